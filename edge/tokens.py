"""Tokens that this device signs and knows again, and the hashes that secrets are kept as.

Who may have a token, and what one allows, is judged elsewhere.

A token is a JSON Web Token of the one kind HS256; no other algorithm is ever accepted, whatever a
token says of itself. The key lies in a file of its own, readable by its owner only: without the
file all tokens are void, and clients ask for new ones.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

import msgspec

from edge import key_file
from edge.key_file import KeyFileUnusable
from edge.model.errors import StorageUnavailable, TokenExpired, TokenInvalid

_SECRET_BYTES = 36
_SALT_BYTES = 16

_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
"""16 MiB and some 80 ms. Secrets are 288 random bits, so this is for the day when somebody runs off
with the database: even then no guess is worth its electricity."""

_MAX_TOKEN = 4_096
"""Characters; a longer text is none of ours."""

_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class Claims(msgspec.Struct, frozen=True):
    """What a token says."""

    sub: str
    """Id of the user that stands for the application."""
    key: str
    """Id of the access key it was given for; without that key it is void."""
    iat: int
    """Epoch seconds of its making."""
    exp: int
    """Epoch seconds after which it is void."""
    use: str = "api"
    """``view``: to look at what the pages embed, and nothing else."""


class Tokens:
    """Signs and checks.

    Args:
        key_file: made when the first token is signed.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._key: bytes | None = None

    def sign(self, claims: Claims) -> str:
        """A token that says this. Raises StorageUnavailable when no key can be made."""
        body = base64.urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=")
        message = _HEADER + b"." + body
        return (message + b"." + self._signature(message)).decode()

    def check(self, token: str, now_ms: int) -> Claims:
        """What a token of ours says.

        Raises:
            TokenInvalid: it is none of ours.
            TokenExpired: its time is over.
        """
        message, _, signature = token.encode(errors="replace").rpartition(b".")
        wanted = self._signature(message) if len(token) <= _MAX_TOKEN else b""
        # Compared first and in constant time: nothing of a token is read that we did not write.
        if not hmac.compare_digest(wanted, signature) or not message:
            raise TokenInvalid("The token is not valid; ask for another at /api/token.")
        try:
            body = message.partition(b".")[2]
            claims = msgspec.json.decode(
                base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=Claims
            )
        except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
            raise TokenInvalid("The token is not valid; ask for another at /api/token.") from error
        if claims.exp * 1000 <= now_ms:
            raise TokenExpired("The token has expired; ask for another at /api/token.")
        return claims

    def _signature(self, message: bytes) -> bytes:
        if self._key is None:
            self._key = self._read_key()
        digest = hmac.digest(self._key, message, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=")

    def _read_key(self) -> bytes:
        try:
            if not self._key_file.exists():
                key_file.create(self._key_file)
            return key_file.read(self._key_file)
        except (OSError, KeyFileUnusable) as error:
            raise StorageUnavailable(
                f"The key of the tokens, {self._key_file}, {error}."
            ) from error


def new_secret() -> str:
    """A secret for a new access key; it is shown once and kept nowhere."""
    return base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode()


def hashed(secret: str) -> tuple[bytes, bytes]:
    """Salt and hash to keep in place of a secret. Takes a while; not for the event loop."""
    salt = os.urandom(_SALT_BYTES)
    return salt, _scrypt(secret, salt)


def matches(secret: str, salt: bytes, digest: bytes) -> bool:
    """Whether this is the secret. Takes a while, always the same; not for the event loop."""
    return hmac.compare_digest(_scrypt(secret, salt), digest)


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(errors="replace"), salt=salt, **_SCRYPT)
