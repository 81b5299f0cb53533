"""Identity: made once, kept secret, never swapped by accident."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.durable import FILES
from sync import identity, topics

_load = partial(identity.load, files=FILES)


def test_the_first_start_makes_it_and_the_next_finds_it(tmp_path: Path) -> None:
    """The key pair is made once; a signature of one start is good at the next."""
    first = _load(tmp_path / "identity", device="roof")
    again = _load(tmp_path / "identity", device="roof")

    assert first.public_key == again.public_key
    Ed25519PublicKey.from_public_bytes(again.public_key).verify(first.sign(b"m"), b"m")
    assert topics.Address("default", "roof") == first.address


def test_nobody_else_may_read_the_key(tmp_path: Path) -> None:
    """The folder is 0700 and the files are 0600."""
    folder = tmp_path / "identity"
    _load(folder, device="roof")

    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_another_name_is_refused(tmp_path: Path) -> None:
    """One data directory is one device: its history must not be filed under a second name."""
    _load(tmp_path, device="roof")

    with pytest.raises(
        identity.NameChanged, match="device default/roof.* default/cellar"
    ) as caught:
        _load(tmp_path, device="cellar")

    # What to do depends on how it came about, and both ways are told.
    assert "a line of [sync] has changed, say there who it was" in str(caught.value)
    assert "a copy of another device, begin with a data directory of its own" in str(caught.value)


def test_a_bad_name_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """A name with a slash would reach into another topic."""
    with pytest.raises(topics.BadName):
        _load(tmp_path / "identity", device="a/b")

    assert not (tmp_path / "identity").exists()


def test_a_cut_first_start_begins_again(tmp_path: Path) -> None:
    """What a power cut left of a file being made is thrown away."""
    (tmp_path / "device.key.new").write_bytes(b"half a k")

    assert 32 == len(_load(tmp_path, device="roof").public_key)


def test_the_key_is_a_file_that_other_programs_read(tmp_path: Path) -> None:
    """It is PKCS #8 as PEM, as openssl makes and reads it."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    made = _load(tmp_path, device="roof")
    key = load_pem_private_key((tmp_path / "device.key").read_bytes(), password=None)

    assert isinstance(key, Ed25519PrivateKey)
    assert made.seed == key.private_bytes_raw()


def test_a_key_that_another_program_made_is_taken(tmp_path: Path) -> None:
    """With remarks before it, for example: then it is read by the library."""
    from cryptography.hazmat.primitives import serialization

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "device.key").write_bytes(b"made by hand\n" + pem)

    assert key.private_bytes_raw() == _load(tmp_path, device="roof").seed


@pytest.mark.parametrize(
    "content",
    [
        b"rubbish",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_damaged_key_is_named(tmp_path: Path, content: bytes) -> None:
    """A key that cannot be read is never replaced silently: the device would be another one."""
    _load(tmp_path, device="roof")
    (tmp_path / "device.key").write_bytes(content)

    with pytest.raises(identity.IdentityUnreadable):
        _load(tmp_path, device="roof")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Only Ed25519 is spoken."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "device.key").write_bytes(pem)

    with pytest.raises(identity.IdentityUnreadable, match="no Ed25519"):
        _load(tmp_path, device="roof")


def test_orders_are_signed_with_a_key_of_their_own(tmp_path: Path) -> None:
    """Made once; what it signs is checked by its public key's digits, and by nobody else's."""
    key = identity.load_order_key(tmp_path / "identity", FILES)
    other = identity.load_order_key(tmp_path / "other", FILES)
    keys = identity.pinned([key.public_key.hex(), other.public_key.hex().upper()])

    assert key == identity.load_order_key(tmp_path / "identity", FILES)
    assert {key.key_id, other.key_id} == keys.keys()
    assert keys[key.key_id](key.sign(b"m"), b"m")
    assert not keys[key.key_id](other.sign(b"m"), b"m")
    assert not keys[key.key_id](b"short", b"m")


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, "00" * 33])
def test_a_key_that_is_none_is_named(text: str) -> None:
    """It says which setting it is."""
    with pytest.raises(identity.KeyMalformed, match=r"sync.order_keys.*64 hexadecimal"):
        identity.pinned([text])


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Also one that nothing can be written to: a key that is in it can be used."""
    folder = tmp_path / "identity"
    key, device = identity.load_order_key(folder, FILES), _load(folder, device="roof")
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0o500)

    assert key == identity.load_order_key(folder, FILES)
    assert device == _load(folder, device="roof")
    assert 0o500 == stat.S_IMODE(folder.stat().st_mode)
