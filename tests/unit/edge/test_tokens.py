"""Tokens are known again by their maker only, and a secret by its hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import tokens
from edge.model.errors import StorageUnavailable, TokenExpired, TokenInvalid
from edge.tokens import Claims, Tokens

_CLAIMS = Claims("app:1", "key-1", 1_000, 2_000)


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_says_what_was_signed(tmp_path: Path) -> None:
    """It is a JSON Web Token as any library reads it; the key survives a restart."""
    path = tmp_path / "token.key"
    token = Tokens(path).sign(_CLAIMS)
    head, body, signature = token.split(".")
    key = bytes.fromhex(path.read_text())
    expected = hmac.digest(key, f"{head}.{body}".encode(), hashlib.sha256)

    assert _CLAIMS == Tokens(path).check(token, 1_999_999)
    assert {"alg": "HS256", "typ": "JWT"} == json.loads(base64.urlsafe_b64decode(head))
    assert "app:1" == json.loads(base64.urlsafe_b64decode(body + "=="))["sub"]
    assert expected == base64.urlsafe_b64decode(signature + "=")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_token_ends(tmp_path: Path) -> None:
    """At the second that it names."""
    signer = Tokens(tmp_path / "token.key")
    token = signer.sign(_CLAIMS)

    with pytest.raises(TokenExpired):
        signer.check(token, 2_000_000)


def test_forgeries(tmp_path: Path) -> None:
    """Another key, another algorithm, none at all, a changed claim: none is ours."""
    signer = Tokens(tmp_path / "token.key")
    token = signer.sign(_CLAIMS)
    head, body, signature = token.split(".")
    more = _part({**msgspec.to_builtins(_CLAIMS), "exp": 9_999_999_999})
    for forged in (
        Tokens(tmp_path / "other.key").sign(_CLAIMS),
        f"{_part({'alg': 'none'})}.{body}.",
        f"{_part({'alg': 'none'})}.{body}.{signature}",
        f"{head}.{more}.{signature}",
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature}x",
        "",
        ".",
        "..",
        "\ud800.é.x",
        "a" * 5_000_000,
    ):
        with pytest.raises(TokenInvalid):
            signer.check(forged, 0)


def test_signed_nonsense(tmp_path: Path) -> None:
    """What our key has signed and is no claim is refused like the rest."""
    signer = Tokens(tmp_path / "token.key")
    for body in (_part([]), _part({"sub": 1}), "%%%", ""):
        message = f"{_part({'alg': 'HS256'})}.{body}".encode()
        with pytest.raises(TokenInvalid):
            signer.check((message + b"." + signer._signature(message)).decode(), 0)


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """Never with anything but the one error."""
    signer = Tokens(Path("/nonexistent/token.key"))
    signer._key = bytes(32)

    with pytest.raises(TokenInvalid):
        signer.check(text, 0)


def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    """The disk is at fault, not the caller; the file is named."""
    path = tmp_path / "token.key"
    path.write_text("short")
    path.chmod(0o600)

    with pytest.raises(StorageUnavailable, match=r"token.key, does not hold 64"):
        Tokens(path).sign(_CLAIMS)
    with pytest.raises(StorageUnavailable, match="No such file"):
        Tokens(tmp_path / "none" / "token.key").sign(_CLAIMS)


def test_secrets_are_known_by_their_hash() -> None:
    """Two of them are never alike, and the same one is hashed differently each time."""
    secret = tokens.new_secret()
    salt, digest = tokens.hashed(secret)

    assert tokens.matches(secret, salt, digest)
    assert not tokens.matches(secret + " ", salt, digest)
    assert not tokens.matches("", salt, digest)
    assert (salt, digest) != tokens.hashed(secret)
    assert secret != tokens.new_secret()
    assert 48 == len(secret)
