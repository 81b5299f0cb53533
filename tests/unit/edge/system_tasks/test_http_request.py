"""What an HTTP task's input says is read as Conductor reads it, and what cannot be used is named."""

from __future__ import annotations

from typing import Any

import pytest

from edge.system_tasks.http_request import BadRequest, HttpRequest, read_request


def _read(**values: Any) -> HttpRequest:
    return read_request({"uri": "http://host/", "method": "POST", **values})


@pytest.mark.parametrize(
    ("encode", "posted", "sent"),
    [
        (None, "http://h/a b?q=x y", "http://h/a%20b?q=x%20y"),
        (None, "http://h/é?q=ü#part", "http://h/%C3%A9?q=%C3%BC"),
        (None, "http://h?q=50%25", "http://h?q=50%2525"),
        ("TRUE", "http://h/{id}?a=1&b=2/?;", "http://h/%7Bid%7D?a=1&b=2/?;"),
        (False, "http://h/a%20b?q=50%25", "http://h/a%20b?q=50%25"),
        ("false", " http://u:p@h:1/%41 ", "http://u:p@h:1/%41"),
        (None, "HTTPS://h/?", "HTTPS://h/?"),
    ],
)
def test_addresses_are_encoded_unless_they_are(encode: Any, posted: str, sent: str) -> None:
    """By default a percent sign is a character like any other."""
    assert sent == _read(uri=posted, encode=encode).uri


@pytest.mark.parametrize(
    ("content_type", "body", "sent"),
    [
        (None, {"a": [1, None]}, b'{"a":[1,null]}'),
        (None, "as it is", b"as it is"),
        (None, None, None),
        (None, False, b"false"),
        (None, 5, b"5"),
        ("text/plain", "é", "é".encode()),
        ("application/xml", "<a/>", b"<a/>"),
        ("application/x-www-form-urlencoded", "a=1&b=2", b"a=1&b=2"),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            {"a b": "c&d", "n": 1, "t": True, "none": None, "many": [1, "x"], "map": {"k": 1}},
            b"a+b=c%26d&n=1&t=true&many=1&many=x&map=%7B%22k%22%3A1%7D",
        ),
    ],
)
def test_bodies_by_their_content_type(
    content_type: str | None, body: Any, sent: bytes | None
) -> None:
    """A text goes as it is, a map as a form where one is asked for, all else as JSON."""
    request = _read(contentType=content_type, body=body)

    assert sent == request.content
    assert (content_type or "application/json").encode() == dict(request.headers)[b"Content-Type"]


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        (None, b"application/json"),
        ("text/html", b"text/html"),
        (["text/html", "*/*"], b"text/html, */*"),
        ([], b"application/json"),
    ],
)
def test_accept_is_a_text_or_a_list(accept: Any, sent: bytes) -> None:
    """JSON when nothing is said."""
    assert sent == dict(_read(accept=accept).headers)[b"Accept"]


def test_the_authors_own_header_wins() -> None:
    """It stands in place of the one that would have been sent, not beside it."""
    request = _read(headers={"content-type": "text/csv", "ACCEPT": None, "Café": "é"})

    assert (
        (b"Accept", b"application/json"),
        (b"content-type", b"text/csv"),
        ("Café".encode(), "é".encode()),
    ) == request.headers


@pytest.mark.parametrize(
    ("posted", "seconds"),
    [
        (None, 3),
        (0, 3),
        (-1, 3),
        (1500, 1.5),
        ("250", 0.25),
        (2e3, 2),
        ("100.0", 0.1),
        (1e12, 86400),
    ],
)
def test_time_outs(posted: Any, seconds: float) -> None:
    """Milliseconds, as a number or as a text that an expression made of one."""
    request = _read(connectionTimeOut=posted, readTimeOut=posted)

    assert (seconds, seconds) == (request.connect_timeout_s, request.read_timeout_s)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("readTimeOut", "soon"),
        ("readTimeOut", True),
        ("connectionTimeOut", 1.5),
        ("encode", "maybe"),
        ("headers", ["a"]),
        ("acceptedStatusCodes", ["99"]),
        ("acceptedStatusCodes", "6xx"),
        ("acceptedStatusCodes", [True]),
        ("hedgingConfig", {"maxAttempts": 0}),
        ("hedgingConfig", {"maxAttempts": 11}),
        ("hedgingConfig", {"maxAttempts": "many"}),
        ("method", "BREW"),
        ("uri", "ftp://host/"),
    ],
)
def test_what_cannot_be_used_is_named(field: str, value: Any) -> None:
    """The message begins with the field."""
    with pytest.raises(BadRequest, match=f"^{field}"):
        _read(**{field: value})


def test_hedging_is_off_unless_asked_for() -> None:
    """A config without a number asks for nothing."""
    assert [1, 1, 1, 3] == [
        _read(hedgingConfig=config).attempts for config in (None, {}, "x", {"maxAttempts": "3"})
    ]


def test_the_shown_address_has_no_query_and_no_password() -> None:
    """What stands in it may be a key."""
    assert "http://h/a" == _read(uri="http://h/a?key=1").shown_uri
    assert "http://h:8/a@b/c" == _read(uri="http://me:geheim@h:8/a@b/c?key=1").shown_uri
    assert "http://h" == _read(uri="http://me:ge@heim@h").shown_uri
    with pytest.raises(BadRequest, match=r"http:// or https://, not ftp$"):
        _read(uri="ftp://me:geheim@h/a")
