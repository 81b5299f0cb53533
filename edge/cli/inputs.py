"""What is typed or piped in: JSON, files, pairs, ids and moments, turned into values.

No request is made here.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_MAX_IDS = 100_000
"""Ids in one command; more are a slip, and each would be a line of output."""

OBJECT = "JSON|@FILE|KEY=VALUE"


def objects(given: tuple[str, ...], *, hint: str = "--input") -> dict[str, Any]:
    """All that was given as one map; later keys win.

    Raises:
        click.BadParameter: a text is neither JSON, nor a file of it, nor a pair.
    """
    merged: dict[str, Any] = {}
    for text in given:
        if text.startswith("@"):
            merged |= _object(_contents(text, hint), text, hint)
        elif text.lstrip().startswith("{"):
            merged |= _object(text, text[:40], hint)
        elif "=" in text:
            key, _, value = text.partition("=")
            merged[key] = _scalar(value)
        else:
            raise click.BadParameter(
                f"{text!r} is neither JSON, nor @FILE, nor KEY=VALUE", param_hint=hint
            )
    return merged


def pairs(given: tuple[str, ...], *, hint: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a map. Raises click.BadParameter when one is something else."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=hint)
        found[key] = value
    return found


def ids(given: tuple[str, ...], lines: Iterable[str] | None = None) -> list[str]:
    """Each id once, in order; ``-`` stands for the first word of each line.

    Args:
        given: as typed.
        lines: standard input when None.

    Raises:
        click.UsageError: there is none.
    """
    found: dict[str, None] = {}
    for text in given:
        if text != "-":
            found[text] = None
            continue
        for line in sys.stdin if lines is None else lines:
            words = line.split()
            if words:
                found[words[0].strip('",')] = None
            if len(found) > _MAX_IDS:
                raise click.UsageError(f"{_MAX_IDS} ids at most")
    if not found:
        raise click.UsageError("no id was given; `baton search --ids` prints ids, one a line")
    return list(found)


def moment_ms(text: str, *, now_ms: int, hint: str) -> int:
    """``2h`` ago, or a date, or a date and time in the reader's own zone; epoch milliseconds.

    Raises:
        click.BadParameter: it is something else.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is not None:
        return max(0, now_ms - int(float(match[1]) * _UNITS_MS[match[2]]))
    if re.fullmatch(r"\d{12,14}", text):
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither a span, such as 2h or 7d, nor a time, such as 2025-01-31T08:00",
            param_hint=hint,
        ) from error
    return int(moment.timestamp() * 1000)


def _contents(text: str, hint: str) -> str:
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror}", param_hint=hint) from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{text[1:]} is no UTF-8: {error}", param_hint=hint) from error


def _object(text: str, source: str, hint: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{source} is no JSON: {error}", param_hint=hint) from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"{source}: expected a JSON object", param_hint=hint)
    return value


def _scalar(text: str) -> Any:
    """``3``, ``true`` and ``[1]`` are what they look like; everything else is a text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
