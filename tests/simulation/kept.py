"""Plans that once failed: kept as files, made small, lived through again with every run of the tests.

A seed means something else as soon as the drawing of plans changes; a plan in a file does not.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.simulation.plan import Plan

FOLDER = Path(__file__).parent.parent / "seeds"


class Kept(msgspec.Struct, frozen=True):
    """A plan and what it showed."""

    showed: str
    """The fault, in a sentence; it is mended."""
    violation: str
    """How the checks called it."""
    plan: Plan


def read(path: Path) -> Kept:
    """A kept plan. Raises msgspec.ValidationError when the file is none."""
    return msgspec.json.decode(path.read_bytes(), type=Kept)


def write(path: Path, kept: Kept) -> None:
    """Keep a plan."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def all_kept() -> list[Path]:
    """The files of all kept plans."""
    return sorted(FOLDER.glob("*.json"))
