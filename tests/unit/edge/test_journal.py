"""The log: one JSON line a fact, for our own facts and for what libraries say."""

from __future__ import annotations

import io
import json
import logging

import structlog

from edge import journal


def test_facts_are_lines_of_json() -> None:
    """The event, its level, its time and its facts; what is below the level is not written."""
    stream = io.StringIO()
    journal.configure("info", stream)

    structlog.get_logger("test").debug("not_told")
    structlog.get_logger("test").info("camera_connected", device="front", path=object)

    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert ("camera_connected", "info", "front") == (told["event"], told["level"], told["device"])
    assert told["at"].endswith("Z")


def test_libraries_are_heard_when_something_is_wrong() -> None:
    """With their trace as a fact, on one line."""
    stream = io.StringIO()
    journal.configure("info", stream)

    logging.getLogger("library").info("chatter")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("library").exception("it failed: %s", 3)

    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert ("library_reported", "library", "it failed: 3") == (
        told["event"],
        told["library"],
        told["message"],
    )
    assert "ValueError: broken" in told["exception"]
