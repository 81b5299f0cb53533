"""What a device has beyond itself: the uplink, what is fetched over it, and messages of events.

Each is imported when it is wanted: a device that keeps to itself has no use for them in memory. No
rule of any of them stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edge.api.house import House
from edge.config import Settings, publishes_for_itself
from edge.data_dir import DataDir
from edge.durable import FILES
from edge.engine import Engine
from edge.imports import installed
from edge.journal_file import JournalFile
from edge.model.payload_limits import KB
from edge.scripts import Evaluators


class Loop(Protocol):
    """Something that runs beside the engine."""

    async def run(self) -> None:
        """Run until cancelled."""
        ...


class Uplink(Protocol):
    """Carries history to a control plane."""

    async def run(self) -> None:
        """Carry until cancelled."""
        ...

    def wake(self) -> None:
        """Something waits."""
        ...

    def status(self) -> Any:
        """How far it has come."""
        ...


class EventLink(Uplink, Protocol):
    """Hears and publishes messages of events."""

    def filters_changed(self) -> None:
        """Other topics are listened to."""
        ...


class Fetches(Protocol):
    """Looks for what a control plane orders."""

    async def run(self) -> None:
        """Look until cancelled."""
        ...

    def wake(self) -> None:
        """Something was ordered."""
        ...


def fetches(
    settings: Settings,
    data: DataDir,
    engine: Engine,
    journal: JournalFile | None,
    house: Callable[[], House],
) -> Fetches | None:
    """What may be fetched from this device; None = nothing."""
    if not settings.sync.fetch_most_mb:
        return None
    from edge import fetching
    from edge.fetch_sources import Sources

    sources = Sources(
        engine,
        journal=journal,
        evidence=data.evidence,
        files=lambda: house().files,
        uploads=lambda: house().uploads,
    )
    return fetching.Fetches(
        engine,
        sources,
        data.fetched,
        most_bytes=settings.sync.fetch_most_mb * KB * KB,
        budget_bytes=settings.sync.fetch_budget_mb * KB * KB,
    )


def retelling(engine: Engine) -> Loop:
    """Tells the control plane anew what it may have been told otherwise."""
    from edge.retelling import Retelling

    return Retelling(engine)


def uplink(
    settings: Settings,
    data: DataDir,
    engine: Engine,
    scripts: Evaluators,
    fetches: Fetches | None,
) -> Uplink:
    """The way to the control plane."""
    from edge.lineage import Lineage
    from edge.links import Dice, broker, run_id
    from edge.orders import EngineOrders
    from edge.outbox import EngineOutbox, EnginePublications
    from sync import identity
    from sync import uplink as link
    from sync.evidence_files import Folders

    return link.Uplink(
        broker=broker(settings.sync),
        identity=identity.load(
            data.identity,
            device=settings.sync.device,
            tenant=settings.sync.tenant,
            files=FILES,
        ),
        outbox=EngineOutbox(engine),
        publications=None if publishes_for_itself(settings) else EnginePublications(engine),
        folders=Folders(data.evidence, data.fetched),
        boot=engine.boot.boot,
        version=installed("baton"),
        now_ms=engine.clock.now_ms,
        chance=Dice(),
        chronicle=Lineage(engine, data.identity),
        run_id=run_id(),
        cap_bytes_per_s=settings.sync.bytes_per_s,
        orders=EngineOrders(engine, scripts.syntax_error, fetches.wake if fetches else None),
        order_keys=identity.pinned(settings.sync.order_keys),
    )


def event_link(settings: Settings, engine: Engine) -> EventLink:
    """The way of messages of events."""
    from edge.inbound import EngineInbox
    from edge.links import Dice, broker
    from edge.outbox import EnginePublications
    from sync import event_link as link

    return link.EventLink(
        broker=broker(settings.events),
        client_id=f"baton-{settings.sync.tenant}-{settings.sync.device}-events",
        inbox=EngineInbox(engine),
        publications=EnginePublications(engine) if publishes_for_itself(settings) else None,
        chance=Dice(),
        max_bytes=settings.events.max_message_bytes,
        per_s=settings.events.messages_per_s,
    )
