"""Who a device is: its name and the key pair it makes at its first start.

No history, epoch or boot number is kept here: those belong to the store.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from sync import orders, topics

_ORDER_KEY_FILE = "orders.key"
_KEY_FILE = "device.key"
_NAME_FILE = "device.name"

_SEED_BYTES = 32
"""A private key is as many random bytes."""

_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""Stands before them in PKCS #8 (RFC 8410, section 7)."""

_PEM = re.compile(
    rb"\s*-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PRIVATE KEY-----\s*"
)


class Files(Protocol):
    """Changes files, and forces out what has to be: see ``edge/durable.py``."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those around it."""
        ...

    def force_out(self, file: BinaryIO) -> None:
        """Force the bytes of an open file to the disk."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name."""
        ...

    def unlink(self, path: Path) -> None:
        """Take a file away if it is there."""
        ...

    def force_out_folder(self, folder: Path) -> None:
        """Force the names in a folder to the disk."""
        ...


class IdentityError(Exception):
    """Head of this module's errors.

    IdentityError
    ├── IdentityUnreadable
    ├── KeyMalformed
    └── NameChanged
    """


class IdentityUnreadable(IdentityError):
    """The identity folder cannot be used. Restore it from a copy, or move it away to begin anew."""


class NameChanged(IdentityError):
    """The data directory belongs to a device of another name. Use its name, or another folder."""


class KeyMalformed(IdentityError):
    """A public key is not 64 hexadecimal digits. Copy it from what the control plane logs."""


class OrderKey(msgspec.Struct, frozen=True):
    """What a control plane signs its orders with."""

    seed: bytes
    """Of the private key."""

    @property
    def public_key(self) -> bytes:
        """32 bytes, raw; devices pin it."""
        return _public(self.seed)

    @property
    def key_id(self) -> bytes:
        """How messages name it."""
        return orders.key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that prove the message is this control plane's."""
        signature: bytes = _private(self.seed).sign(message)
        return signature


class Identity(msgspec.Struct, frozen=True):
    """A device's name and keys."""

    tenant: str
    device: str
    seed: bytes
    """32 bytes: the private key, raw."""

    @property
    def address(self) -> topics.Address:
        """Where its history goes."""
        return topics.Address(tenant=self.tenant, device=self.device)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that prove the message is this device's."""
        signature: bytes = _private(self.seed).sign(message)
        return signature

    @property
    def public_key(self) -> bytes:
        """32 bytes, raw."""
        return _public(self.seed)


def make_private(folder: Path, files: Files) -> None:
    """Make a folder with mode 0700; one that is there stays as it is. Raises OSError."""
    if not folder.is_dir():
        files.make_folder(folder)
        folder.chmod(0o700)


def load(folder: Path, *, device: str, tenant: str = "default", files: Files) -> Identity:
    """The identity kept in a folder, made there at the first start.

    Args:
        folder: usually `identity/` in the data directory; created with mode 0700.
        device: the name; it may not change later, because the history is filed under it.
        tenant: whose fleet it belongs to.
        files: changes the files; what is returned is on the disk.

    Raises:
        topics.BadName: a name cannot stand in a topic.
        NameChanged: the folder belongs to another name.
        IdentityUnreadable: the folder cannot be read or written.
    """
    address = topics.address(tenant, device)
    try:
        make_private(folder, files)
        name = f"{tenant}/{device}\n".encode()
        known = _read_or_make(folder / _NAME_FILE, name, files).decode().strip()
        seed = _seed(folder / _KEY_FILE, _read_or_make(folder / _KEY_FILE, _new_key(), files))
    except (OSError, ValueError) as error:
        raise IdentityUnreadable(f"{folder}: {error}") from error
    if known != f"{tenant}/{device}":
        raise NameChanged(
            f"{folder} is the identity of the device {known}, and the configuration says "
            f"{tenant}/{device}. Where the name of the host or a line of [sync] has changed, say "
            "there who it was (tenant, device); where this is a copy of another device, begin with "
            "a data directory of its own: --data-dir"
        )
    return Identity(tenant=address.tenant, device=address.device, seed=seed)


def load_order_key(folder: Path, files: Files) -> OrderKey:
    """The key kept in a folder, made there at the first start.

    Args:
        folder: usually `identity/` in the data directory; created with mode 0700.
        files: changes the files; what is returned is on the disk.

    Raises:
        IdentityUnreadable: the folder cannot be read or written.
    """
    path = folder / _ORDER_KEY_FILE
    try:
        make_private(folder, files)
        return OrderKey(_seed(path, _read_or_make(path, _new_key(), files)))
    except (OSError, ValueError) as error:
        raise IdentityUnreadable(f"{folder}: {error}") from error


def pinned(keys: Sequence[str], named: str = "sync.order_keys") -> dict[bytes, orders.Verify]:
    """Whose orders are obeyed: what checks a signature, by the id of the key.

    Args:
        keys: public keys, 64 hexadecimal digits each.
        named: where they were written, for errors.

    Raises:
        KeyMalformed: one of them is something else.
    """
    found: dict[bytes, orders.Verify] = {}
    for text in keys:
        if re.fullmatch(r"[0-9a-fA-F]{64}", text) is None:
            raise KeyMalformed(
                f"{named}: {text[:80]!r} is not a key of 64 hexadecimal digits; "
                "copy it from what the control plane logs when it starts"
            )
        raw = bytes.fromhex(text)
        found[orders.key_id(raw)] = partial(_verifies, raw)
    return found


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is a key's own; imported when first used, as above."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(seed: bytes) -> Any:
    """Imported when first used: 8 MB, for which a device that waits has no need."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


def _public(seed: bytes) -> bytes:
    raw: bytes = _private(seed).public_key().public_bytes_raw()
    return raw


def _new_key() -> bytes:
    """A new private key as PEM."""
    text = base64.b64encode(_PREFIX + os.urandom(_SEED_BYTES)).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n".encode()


def _seed(path: Path, pem: bytes) -> bytes:
    """The private key that a file holds.

    Raises:
        IdentityUnreadable: it holds a key of another kind.
        ValueError: it holds no key.
    """
    found = _PEM.fullmatch(pem)
    if found is not None:
        try:
            der = base64.b64decode(b"".join(found[1].split()), validate=True)
        except binascii.Error:
            der = b""
        if der.startswith(_PREFIX) and len(der) == len(_PREFIX) + _SEED_BYTES:
            return der[len(_PREFIX) :]
    return _foreign_seed(path, pem)


def _foreign_seed(path: Path, pem: bytes) -> bytes:
    """The private key of a file that another program has made, in its own way. Raises likewise."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityUnreadable(f"{path} holds no Ed25519 key")
    return key.private_bytes_raw()


def _read_or_make(path: Path, content: bytes, files: Files) -> bytes:
    """What the file holds; made durably, with mode 0600, when it is not there.

    A power cut leaves either no file or a whole one, so that a half-written key never stays.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    fresh = path.with_suffix(path.suffix + ".new")
    files.unlink(fresh)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        files.force_out(file)
    files.rename(fresh, path)
    # The folder may be new itself.
    for place in (path.parent, path.parent.parent):
        files.force_out_folder(place)
    return content
