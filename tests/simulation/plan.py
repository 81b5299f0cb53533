"""What is going to happen in a world: drawn from a seed, or read from a file.

Everything that comes from outside is an event of the plan, so that a failing plan can be made
smaller by leaving events out. Nothing of it is carried out here.
"""

from __future__ import annotations

import random

import msgspec

from tests.simulation.disk import CUTS
from tests.simulation.network import Weather
from tests.simulation.shapes import SHAPES

CLOUD = -1
"""Stands for the control plane where an event names a device."""

CLONE = -2
"""Stands for the machine that was made of a device's disk where an event names a device."""

FAULTS = (
    "cut", "kill", "stop", "slow", "full", "read_error", "write_error", "commit_error",
    "wall", "partition", "broker", "cloud_kill", "cloud_cut", "cloud_disk",
)  # fmt: skip
"""Kinds of trouble; each seed switches about half of them off."""

COPIES = ("database", "image")
"""What is put back: the database alone, as from a backup, or all that the device has."""

OFF = ("kill", "stop")
"""How a machine is switched off for good: at once, or in good order."""

ORDERS = ("start", "start", "restart", "put-config")
"""What is ordered of devices from the control plane."""

STEERING = ("pause", "resume", "terminate", "retry", "restart", "rerun")
"""What clients ask of executions besides starting them."""

NINETEEN_SEVENTY_S = -1_700_000_000.0
"""A jump of the wall clock to where boxes without a battery begin."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happens at one moment."""

    at_s: float
    kind: str
    device: int = 0
    """Number of the device; CLOUD = the control plane, CLONE = the clone."""
    number: float = 0.0
    """How much, how long it stays off, or which: what the kind says."""
    for_s: float = 0.0
    """How long it lasts; of an order, how long it is good for."""
    word: str = ""


class Manners(msgspec.Struct):
    """How outside workers behave, each a chance from 0 to 1."""

    hang: float = 0.0
    """Takes a task and is never heard of again."""
    late: float = 0.0
    """Answers after its time."""
    twice: float = 0.0
    """Answers twice."""
    fail: float = 0.0
    reject: float = 0.0
    """Fails for good."""
    beat: float = 0.0
    """Gives signs of life while it works."""
    slow_s: float = 1.0
    """Longest work."""


class Plan(msgspec.Struct):
    """A world's life."""

    seed: int
    devices: int
    length_s: float
    """After so long the faults end, and everything must come to rest."""
    events: list[Event]
    weather: Weather
    manners: Manners
    loss: float = 0.0
    """Chance that a request to a device, or its answer, is lost."""
    slow_scripts: float = 0.0
    shuffled: bool = True
    worry: int = 4
    """Every so many commits are looked at."""

    @property
    def with_orders(self) -> bool:
        """Whether anybody steers the devices from the control plane."""
        return any(event.kind == "order" for event in self.events)

    @property
    def with_copies(self) -> bool:
        """Whether a copy of a disk is ever started: on its own machine, or on another."""
        return any(event.kind in ("put_back", "clone") for event in self.events)

    @property
    def with_ledgers(self) -> bool:
        """Whether the ledger is put back to what it once was."""
        return any(event.kind == "ledger_back" for event in self.events)

    @property
    def cloned(self) -> int | None:
        """The device of whose disk another machine is made; None = of none."""
        return next((event.device for event in self.events if event.kind == "clone"), None)


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"{seed}:plan")
    devices = chance.choice((1, 1, 1, 1, 2, 3))
    length_s = chance.choice((15.0, 15.0, 30.0, 60.0))
    on = {kind for kind in FAULTS if chance.random() < 0.5}
    events = _starts(chance, devices, length_s) + _steering(chance, devices, length_s)
    for kind in FAULTS:
        if kind in on:
            events += _faults(chance, kind, devices, length_s)
    events += _orders(random.Random(f"{seed}:orders"), devices, length_s)
    copies = _copies(random.Random(f"{seed}:copies"), devices, length_s)
    copies = copies or _clones(random.Random(f"{seed}:clones"), devices, length_s)
    events += copies or _ledger_copies(random.Random(f"{seed}:ledgers"), length_s)
    events.sort(key=lambda event: event.at_s)
    return Plan(
        seed,
        devices,
        length_s,
        events,
        _weather(chance),
        _manners(chance),
        loss=chance.choice((0.0, 0.0, 0.02, 0.1)),
        slow_scripts=chance.choice((0.0, 0.0, 0.2)),
        shuffled=chance.random() < 0.7,
    )


def _starts(chance: random.Random, devices: int, length_s: float) -> list[Event]:
    favourites = chance.sample(SHAPES, chance.randint(2, 6))
    return [
        Event(
            _moment(chance, length_s * 0.8),
            "start",
            chance.randrange(devices),
            chance.randrange(1_000),
            word=chance.choice(favourites),
        )
        for _ in range(chance.randint(3, 10))
    ] + [
        Event(_moment(chance, length_s / 2), "schedule", n, chance.choice((5, 10)))
        for n in range(devices)
        if chance.random() < 0.2
    ]


def _steering(chance: random.Random, devices: int, length_s: float) -> list[Event]:
    if chance.random() < 0.5:
        return []
    return [
        Event(
            _moment(chance, length_s),
            chance.choice(STEERING),
            chance.randrange(devices),
            chance.randrange(100),
        )
        for _ in range(chance.randint(1, 5))
    ]


def _orders(chance: random.Random, devices: int, length_s: float) -> list[Event]:
    if chance.random() < 0.7:
        return []
    return [
        Event(
            _moment(chance, length_s),
            "order",
            chance.randrange(devices),
            chance.randrange(100),
            for_s=chance.choice((2.0, 20.0, 3_600.0, 3_600.0)),
            word=chance.choice(ORDERS),
        )
        for _ in range(chance.randint(1, 8))
    ]


def _copies(chance: random.Random, devices: int, length_s: float) -> list[Event]:
    """Copies of one device's disk, and when it is put back to one of them."""
    if chance.random() < 0.85:
        return []
    device = chance.randrange(devices)
    copied_s = [_moment(chance, length_s * 0.6) for _ in range(chance.randint(1, 3))]
    events = [Event(at_s, "copy", device) for at_s in copied_s]
    for _ in range(chance.choice((1, 1, 1, 2))):
        at_s = round(min(copied_s) + 0.1 + chance.random() * length_s * 0.5, 3)
        which = chance.randrange(100)
        events.append(Event(at_s, "put_back", device, which, word=chance.choice(COPIES)))
    return events


def _ledger_copies(chance: random.Random, length_s: float) -> list[Event]:
    """Copies of the control plane's ledger, and when it is put back to one of them."""
    if chance.random() < 0.93:
        return []
    copied_s = [_moment(chance, length_s * 0.7) for _ in range(chance.randint(1, 2))]
    events = [Event(at_s, "ledger_copy", CLOUD) for at_s in copied_s]
    for _ in range(chance.choice((1, 1, 2))):
        at_s = round(min(copied_s) + 0.1 + chance.random() * length_s * 0.5, 3)
        off_s = round(chance.choice((0.1, 2.0)) * chance.random(), 3)
        events.append(Event(at_s, "ledger_back", CLOUD, chance.randrange(100), off_s))
    return events


def _clones(chance: random.Random, devices: int, length_s: float) -> list[Event]:
    """A machine that is made of a device's disk, what happens to it, and who is switched off."""
    if chance.random() < 0.93:
        return []
    device = chance.randrange(devices)
    copied_s = _moment(chance, length_s * 0.5)
    starts_s = round(chance.choice((0.0, 2.0, 8.0)) * chance.random(), 3)
    clock_s = chance.choice((0.0, 0.0, -2.0, -600.0, 20.0, NINETEEN_SEVENTY_S))
    events = [Event(copied_s, "clone", device, clock_s, starts_s)]
    after_s = copied_s + starts_s

    def later() -> float:
        return round(after_s + chance.random() * max(1.0, length_s - after_s), 3)

    for _ in range(chance.randint(2, 6)):
        who, shape = chance.choice((device, CLONE)), chance.choice(SHAPES)
        events.append(Event(later(), "start", who, chance.randrange(1_000), word=shape))
    for _ in range(chance.choice((0, 0, 1, 2))):
        kind = chance.choice(("cut", "kill", "kill", "stop", "partition"))
        events.append(_fault(chance, kind, chance.choice((device, CLONE)), later()))
    if chance.random() < 0.7:
        who, how = chance.choice((device, CLONE)), chance.choice(OFF)
        events.append(Event(later(), "off", who, word=how))
    return events


def _moment(chance: random.Random, until_s: float) -> float:
    return round(1.0 + chance.random() * until_s, 3)


def _faults(chance: random.Random, kind: str, devices: int, length_s: float) -> list[Event]:
    return [
        _fault(chance, kind, chance.randrange(devices), _moment(chance, length_s))
        for _ in range(chance.randint(1, 3))
    ]


def _fault(chance: random.Random, kind: str, device: int, at_s: float) -> Event:
    off_s = round(chance.choice((0.1, 1.0, 8.0)) * chance.random(), 3)
    for_s = round(chance.random() * chance.choice((1.0, 5.0, 15.0)), 3)
    match kind:
        case "cut" | "cloud_cut":
            machine = CLOUD if kind == "cloud_cut" else device
            return Event(at_s, "cut", machine, off_s, word=chance.choice(CUTS))
        case "kill" | "stop" | "cloud_kill":
            machine = CLOUD if kind == "cloud_kill" else device
            return Event(at_s, "kill" if kind == "cloud_kill" else kind, machine, off_s)
        case "slow":
            return Event(at_s, "slow", device, chance.choice((0.005, 0.05, 0.5)), for_s)
        case "read_error" | "write_error" | "commit_error":
            return Event(at_s, kind, device, chance.choice((0.02, 0.2, 1.0)), for_s)
        case "cloud_disk":
            trouble = chance.choice(("full", "commit_error", "slow"))
            return Event(at_s, trouble, CLOUD, chance.choice((0.05, 0.5)), for_s)
        case "wall":
            jumps = (-5.0, -600.0, 0.4, 30.0, 200.0, NINETEEN_SEVENTY_S)
            return Event(at_s, "wall", device, chance.choice(jumps))
        case "broker":
            return Event(at_s, "broker", for_s=for_s)
        case _:
            return Event(at_s, kind, device, for_s=for_s)


def _weather(chance: random.Random) -> Weather:
    def maybe(*rates: float) -> float:
        return chance.choice(rates) if chance.random() < 0.5 else 0.0

    return Weather(
        delay_s=chance.choice((0.01, 0.1, 1.5)),
        drop=maybe(0.02, 0.1, 0.3),
        twice=maybe(0.1, 0.4),
        overtake=maybe(0.1, 0.5),
        refuse=maybe(0.1, 0.5),
    )


def _manners(chance: random.Random) -> Manners:
    def maybe(*rates: float) -> float:
        return chance.choice(rates) if chance.random() < 0.5 else 0.0

    return Manners(
        hang=maybe(0.05, 0.2),
        late=maybe(0.1, 0.3),
        twice=maybe(0.2, 0.5),
        fail=maybe(0.1, 0.3),
        reject=maybe(0.03),
        beat=maybe(0.3),
        slow_s=chance.choice((0.05, 1.0, 3.0)),
    )
