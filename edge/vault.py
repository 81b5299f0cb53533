"""The vault: seals secrets and opens them again, with a key that lies in a file of its own.

Nothing is stored here but that key, and nothing opened is kept or logged.

The key is read anew each time: a file that was lost and put back works at once, and the key does
not stay in memory. A secret is bound to its name, so that nobody who can write to the database can
have one handed out in place of another.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from edge import key_file
from edge.durable import FILES, FileSystem
from edge.key_file import KeyFileUnusable
from edge.model.errors import SecretUnreadable, StorageUnavailable
from edge.store.variables import Sealed

_NONCE_BYTES = 12
"""Of GCM. Chosen at random: 2**32 values could be sealed with one key before a repetition becomes
likelier than one in 2**32."""


class Vault:
    """Seals and opens. Any thread may use it.

    Args:
        key_file: holds 64 hexadecimal digits; made, readable by its owner only, when the first
            secret is kept.
        ours: whether a file that is not there may be made. A key that the site provides may not.
        files: makes it.
    """

    def __init__(self, key_file: Path, *, ours: bool = True, files: FileSystem = FILES) -> None:
        self._key_file = key_file
        self._files = files
        self._ours = ours

    def seal(self, name: str, value: str, *, others: bool) -> Sealed:
        """Encrypt a secret.

        Args:
            name: it can be opened under this name only.
            value: what nobody may see.
            others: whether any secret is kept already. Then a key that is not there has been lost,
                and a new one could not open them.

        Raises:
            SecretUnreadable: there is no usable key.
            StorageUnavailable: the disk refused to keep a new key.
        """
        if self._ours and not others and not self._key_file.exists():
            try:
                key_file.create(self._key_file, self._files)
            except OSError as error:
                raise StorageUnavailable(
                    f"the key of the secrets, {self._key_file}, cannot be made: {error.strerror}"
                ) from error
        key = self._key()
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(_id_of(key), nonce, _cipher(key).encrypt(nonce, value.encode(), _bound(name)))

    def open(self, name: str, sealed: Sealed) -> str:
        """Decrypt a secret.

        Raises:
            SecretUnreadable: the key is not there, is another, or what is stored was tampered with.
        """
        from cryptography.exceptions import InvalidTag

        key = self._key()
        if _id_of(key) != sealed.key_id:
            raise SecretUnreadable(
                f"The secret {name} was sealed with another key than {self._key_file} holds. "
                "Put the old key file back, or set the secret again."
            )
        try:
            plain: bytes = _cipher(key).decrypt(sealed.nonce, sealed.sealed, _bound(name))
        except InvalidTag as error:
            raise SecretUnreadable(
                f"The secret {name} is not as it was sealed: the database has been damaged or "
                "changed by hand. Set the secret again."
            ) from error
        return plain.decode()

    def _key(self) -> bytes:
        """The key as the file has it now."""
        try:
            return key_file.read(self._key_file)
        except KeyFileUnusable as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> SecretUnreadable:
        return SecretUnreadable(f"The key of the secrets, {self._key_file}, {why}.")


def _cipher(key: bytes) -> Any:
    """Imported when first used: most devices keep no secret and need no cryptography."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _id_of(key: bytes) -> bytes:
    """Tells keys apart without telling anything of them."""
    return hashlib.sha256(b"baton secret key\x00" + key).digest()[:8]


def _bound(name: str) -> bytes:
    """What is authenticated along with a value."""
    return b"baton secret\x00" + name.encode()
