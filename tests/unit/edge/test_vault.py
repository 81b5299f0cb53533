"""The vault: what is sealed can be opened with its key and under its name only."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.model.errors import SecretUnreadable, StorageUnavailable
from edge.vault import Vault

KEY = "ab" * 32


def _vault(folder: Path, text: str = KEY, *, ours: bool = True) -> Vault:
    """A vault whose key file is there."""
    path = folder / "secret.key"
    path.touch(mode=0o600)
    path.write_text(text)
    return Vault(path, ours=ours)


def _with_the_last_bit_turned(sealed: bytes) -> bytes:
    """The bytes as a single bit of damage leaves them."""
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


def test_what_is_sealed_comes_back_and_stands_nowhere(tmp_path: Path) -> None:
    """The stored bytes hold nothing of the value, and no two sealings are alike."""
    vault = _vault(tmp_path)
    first, second = (vault.seal("token", "s3cr3t-välue", others=False) for _ in range(2))

    assert ["s3cr3t-välue"] * 2 == [vault.open("token", one) for one in (first, second)]
    assert b"s3cr3t" not in b"".join(first)
    assert first.nonce != second.nonce and first.sealed != second.sealed


def test_the_first_secret_makes_the_key(tmp_path: Path) -> None:
    """The key is its owner's only, and a second vault on the same file opens what the first did."""
    path = tmp_path / "secret.key"
    sealed = Vault(path).seal("token", "value", others=False)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert ["secret.key"] == [file.name for file in tmp_path.iterdir()]
    assert 64 == len(bytes.fromhex(path.read_text()).hex())
    assert "value" == Vault(path).open("token", sealed)


def test_a_power_cut_while_the_key_was_made_is_no_harm(tmp_path: Path) -> None:
    """What was left unfinished is thrown away; the key appears whole under its name."""
    (tmp_path / "secret.key.unfinished").write_text("abc")
    sealed = Vault(tmp_path / "secret.key").seal("token", "value", others=False)

    assert "value" == Vault(tmp_path / "secret.key").open("token", sealed)
    assert ["secret.key"] == [file.name for file in tmp_path.iterdir()]


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    """While other secrets are kept, a new key would hide that theirs is gone."""
    vault = Vault(tmp_path / "secret.key")

    with pytest.raises(SecretUnreadable, match="put it back"):
        vault.seal("token", "value", others=True)
    assert [] == list(tmp_path.iterdir())


def test_a_key_of_the_site_is_never_made(tmp_path: Path) -> None:
    """A credential that is not there is the site's to bring."""
    with pytest.raises(SecretUnreadable, match="cannot be read"):
        Vault(tmp_path / "credential", ours=False).seal("token", "value", others=False)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_refuses_the_key_is_told(tmp_path: Path) -> None:
    """A disk that does not take the key takes no secret either."""
    (tmp_path / "secret.key.unfinished").mkdir()

    with pytest.raises(StorageUnavailable, match="cannot be made"):
        Vault(tmp_path / "secret.key").seal("token", "value", others=False)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    """The message names the secret and the file, and says what to do; the value is in none."""
    sealed = _vault(tmp_path).seal("token", "value-x", others=False)
    other = _vault(tmp_path, "cd" * 32)

    with pytest.raises(SecretUnreadable, match=r"token was sealed with another key.*secret\.key"):
        other.open("token", sealed)


def test_a_key_that_comes_back_works_at_once(tmp_path: Path) -> None:
    """No restart is needed, and no state is left from the time without it."""
    vault = _vault(tmp_path)
    sealed = vault.seal("token", "value", others=False)
    key = tmp_path / "secret.key"
    key.rename(tmp_path / "away")
    with pytest.raises(SecretUnreadable):
        vault.open("token", sealed)
    (tmp_path / "away").rename(key)

    assert "value" == vault.open("token", sealed)


def test_a_secret_is_bound_to_its_name(tmp_path: Path) -> None:
    """Whoever can write to the database cannot have one secret handed out for another."""
    vault = _vault(tmp_path)
    sealed = vault.seal("token", "value", others=False)

    with pytest.raises(SecretUnreadable, match="not as it was sealed"):
        vault.open("other", sealed)
    with pytest.raises(SecretUnreadable, match="not as it was sealed"):
        vault.open("token", sealed._replace(sealed=_with_the_last_bit_turned(sealed.sealed)))


@pytest.mark.parametrize("text", ["", "ab", "no key at all", KEY + "ab", "ü" * 32, "x" * 2_000])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """A file that holds something else is named; nothing is sealed with it."""
    with pytest.raises(SecretUnreadable, match="64 hexadecimal digits"):
        _vault(tmp_path, text).seal("token", "value", others=False)


def test_a_key_that_everybody_may_read_is_none(tmp_path: Path) -> None:
    """The message says which command mends it."""
    vault = _vault(tmp_path)
    (tmp_path / "secret.key").chmod(0o644)

    with pytest.raises(SecretUnreadable, match="chmod 600"):
        vault.seal("token", "value", others=False)
