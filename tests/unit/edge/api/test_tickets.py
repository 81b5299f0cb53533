"""Tickets: good for one operation on one file, for an hour, and made by nobody else."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from edge.api.tickets import VALID_MS, Tickets
from edge.model.errors import AccessDenied

NOW_MS = 1_700_000_000_000


def _parts(query: str) -> tuple[str, str]:
    found = parse_qs(query, strict_parsing=True)
    return found["exp"][0], found["sig"][0]


def test_a_ticket_is_good_for_an_hour() -> None:
    """To the millisecond."""
    tickets = Tickets()
    expires, signature = _parts(tickets.query("READ", "a/b.json", NOW_MS))

    tickets.check("READ", "a/b.json", expires, signature, NOW_MS + VALID_MS)
    with pytest.raises(AccessDenied, match="ask for another"):
        tickets.check("READ", "a/b.json", expires, signature, NOW_MS + VALID_MS + 1)


@pytest.mark.parametrize(
    ("operation", "path", "later_ms"),
    [("WRITE", "a", 0), ("READ", "b", 0), ("READ", "a\n", 0), ("READ", "a", 1)],
)
def test_it_is_good_for_nothing_else(operation: str, path: str, later_ms: int) -> None:
    """Neither for another operation or file, nor for longer."""
    tickets = Tickets()
    expires, signature = _parts(tickets.query("READ", "a", NOW_MS))

    with pytest.raises(AccessDenied):
        tickets.check(operation, path, str(int(expires) + later_ms), signature, NOW_MS)


@pytest.mark.parametrize("expires", ["", "x", "-1", "1e9", "²", "9" * 400, "9" * 5_000])
def test_odd_times_are_refused(expires: str) -> None:
    """What a client may write there is no fault of ours."""
    with pytest.raises(AccessDenied):
        Tickets().check("READ", "a", expires, "é", NOW_MS)


def test_another_process_signs_otherwise() -> None:
    """A ticket of yesterday's daemon is none of today's."""
    expires, signature = _parts(Tickets().query("READ", "a", NOW_MS))

    with pytest.raises(AccessDenied):
        Tickets().check("READ", "a", expires, signature, NOW_MS)
