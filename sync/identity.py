"""Who a device is: its name and the key pair it makes at its first start.

No history, epoch or boot number is kept here: those belong to the store.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync import topics

_KEY_FILE = "device.key"
_NAME_FILE = "device.name"


class IdentityError(Exception):
    """Head of this module's errors.

    IdentityError
    ├── IdentityUnreadable
    └── NameChanged
    """


class IdentityUnreadable(IdentityError):
    """The identity folder cannot be used. Restore it from a copy, or move it away to begin anew."""


class NameChanged(IdentityError):
    """The data directory belongs to a device of another name. Use its name, or another folder."""


class Identity(msgspec.Struct, frozen=True):
    """A device's name and keys."""

    tenant: str
    device: str
    private_key: Ed25519PrivateKey
    public_key: bytes
    """32 bytes, raw."""

    @property
    def address(self) -> topics.Address:
        """Where its history goes."""
        return topics.Address(tenant=self.tenant, device=self.device)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that prove the message is this device's."""
        return self.private_key.sign(message)


def load(folder: Path, *, device: str, tenant: str = "default") -> Identity:
    """The identity kept in a folder, made there at the first start.

    Args:
        folder: usually `identity/` in the data directory; created with mode 0700.
        device: the name; it may not change later, because the history is filed under it.
        tenant: whose fleet it belongs to.

    Raises:
        topics.BadName: a name cannot stand in a topic.
        NameChanged: the folder belongs to another name.
        IdentityUnreadable: the folder cannot be read or written.
    """
    address = topics.address(tenant, device)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = _read_or_make(folder / _NAME_FILE, f"{tenant}/{device}\n".encode()).decode().strip()
        key = serialization.load_pem_private_key(
            _read_or_make(folder / _KEY_FILE, _new_key()), password=None
        )
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityUnreadable(f"{folder}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityUnreadable(f"{folder / _KEY_FILE} holds no Ed25519 key")
    if known != f"{tenant}/{device}":
        raise NameChanged(f"{folder} belongs to {known!r}, not to {tenant}/{device!r}")
    public = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return Identity(
        tenant=address.tenant, device=address.device, private_key=key, public_key=public
    )


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read_or_make(path: Path, content: bytes) -> bytes:
    """What the file holds; made durably, with mode 0600, when it is not there.

    A power cut leaves either no file or a whole one, so that a half-written key never stays.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return content
