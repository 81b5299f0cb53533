"""Goes through the images of a shape until there are enough, and finds one again by its address.

What is looked at in an image stands elsewhere.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from tests.power.battery import BATTERY
from tests.power.disk import MODES, Disk
from tests.power.look import Found, Looker, images, record_boot
from tests.power.recording import Recording, Shape, record, scratch

MOST_FAILURES = 20
"""Of one shape; whoever has so many has one fault, and need not see all that it does."""

_MOST_ROUNDS = 5_000

BOOTS = 3
"""Images of each shape on which the device is booted while the power may go again."""


class Failure(NamedTuple):
    """What is wrong with an image."""

    address: str
    """Finds the image again: ``shape:index:mode:seed``, and for the second of two power cuts
    ``/index:mode`` after that."""
    what: str


class Result(NamedTuple):
    """What has come of a shape."""

    shape: str
    images: int
    """Distinct ones that one power cut left; some were held to more than one set of promises."""
    boots: int
    """Images that a second power cut left, in a boot on one of the others."""
    failures: list[Failure]


class BadAddress(ValueError):
    """The address is none."""


def explore(
    shape: Shape,
    seed: str,
    *,
    later: str | None = None,
    enough: int = 0,
    boots: int = BOOTS,
    most: int = MOST_FAILURES,
) -> Result:
    """Look at what power cuts leave of a shape.

    Every operation in every mode is looked at once in any case, then with other choices, until
    there are enough images.

    Args:
        shape: what is played.
        seed: of the choices that modes leave open, when every operation is looked at.
        later: the seed after that; None = the same.
        enough: distinct images.
        boots: images on which a boot is cut short, too.
        most: failures after which it is given up.
    """
    recording = record(shape)
    failures: list[Failure] = []
    seen: set[object] = set()
    distinct: set[bytes] = set()
    second = 0
    with scratch() as folder:
        looker = Looker(recording, folder / "first")
        for number in range(_MOST_ROUNDS):
            before, name = len(distinct), seed if number == 0 else f"{later or seed}.{number}"
            for found in images(recording, name, seen):
                distinct.add(found.content)
                wrong = looker.look(found, go_on=found.is_boundary)
                if wrong is not None:
                    failures.append(Failure(_address(shape, found, name), wrong))
                if len(failures) >= most:
                    return Result(shape.name, len(distinct), second, failures)
                if number and len(distinct) >= enough:
                    break
            if number == 0 and boots:
                second, wrongs = _cut_boots(recording, name, boots, folder)
                failures += wrongs
            if len(distinct) >= enough or len(distinct) == before:
                break
    return Result(shape.name, len(distinct), second, failures)


def _address(shape: Shape, found: Found, seed: str) -> str:
    return f"{shape.name}:{found.image.moment}:{found.image.mode}:{seed}"


def _cut_boots(
    recording: Recording, seed: str, boots: int, folder: Path
) -> tuple[int, list[Failure]]:
    """Boot on some images, and let the power go again at every operation of the boot."""
    chosen = list(images(recording, seed, set()))
    rng = random.Random(f"boots:{seed}")
    count, failures = 0, []
    for found in rng.sample(chosen, min(boots, len(chosen))):
        boot = record_boot(recording, found, folder / "base")
        looker = Looker(boot, folder / "second")
        for again in images(boot, seed, set()):
            count += 1
            wrong = looker.look(again, go_on=again.is_boundary)
            if wrong is not None:
                address = _address(recording.shape, found, seed)
                second = f"{again.image.moment}:{again.image.mode}"
                failures.append(Failure(f"{address}/{second}", wrong))
    return count, failures


class Replayed(NamedTuple):
    """One image, looked at again."""

    wrong: str | None
    """None = nothing."""
    operations: list[str]
    """The last ones before the power went."""


def replay(address: str) -> Replayed:
    """Look at one image once more, and boot the device on it.

    Raises:
        BadAddress: the address is none; the message says which part, and what it may be.
    """
    first, _, second = address.partition("/")
    name, _, rest = first.partition(":")
    shape = BATTERY.get(name)
    if shape is None:
        raise BadAddress(f"shape: there is no {name!r}; --list names them all")
    number, mode, seed = _parsed(rest + ("" if rest.count(":") > 1 else ":"))
    recording = record(shape)
    with scratch() as folder:
        found = _find(recording, number, mode, seed)
        if second:
            again, mode, _ = _parsed(second + ":")
            recording = record_boot(recording, found, folder / "base")
            found = _find(recording, again, mode, seed)
        wrong = Looker(recording, folder / "look").look(found, go_on=True)
        last = recording.operations[max(0, found.image.moment - 8) : found.image.moment]
        return Replayed(wrong, [_shown(operation) for operation in last])


def _parsed(text: str) -> tuple[int, str, str]:
    index, mode, seed = itertools.islice(itertools.chain(text.split(":", 2), ["", ""]), 3)
    if not index.isdigit():
        raise BadAddress(f"index: {index!r} is not the number of an operation")
    if mode not in MODES:
        raise BadAddress(f"mode: {mode!r} is none; it is one of {', '.join(MODES)}")
    return int(index), mode, seed


def _find(recording: Recording, index: int, mode: str, seed: str) -> Found:
    if index > len(recording.operations):
        raise BadAddress(f"index: the shape has {len(recording.operations)} operations")
    disk = Disk(recording.files)
    for operation in recording.operations[:index]:
        disk.advance(operation)
    image = disk.image(mode, seed)
    files = {name: one.content for name, one in disk.build(image).items()}
    return Found(image, files, b"", is_boundary=True)


def _shown(operation: object) -> str:
    text = repr(operation)
    return text if len(text) < 120 else f"{text[:100]}... ({len(text)} characters)"


def shares(total: int, names: Iterable[str]) -> dict[str, int]:
    """How many images each shape has to give, by the operations that it does; longest first."""
    lengths = {name: _length(name) for name in names}
    whole = sum(lengths.values())
    ordered = sorted(lengths, key=lambda one: -lengths[one])
    return {name: -(-total * lengths[name] // whole) for name in ordered}


@functools.cache
def _length(name: str) -> int:
    return len(record(BATTERY[name]).operations)


def be_quiet() -> None:
    """What the engine logs of its many lives is of no use here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def explore_named(name: str, seed: str, enough: int) -> Result:
    """``explore`` in a process of its own, which only names can be sent to."""
    be_quiet()
    return explore(BATTERY[name], seed, enough=enough)
