"""The outbox as the uplink sees it: read from the last commit, cursors moved by the disk thread.

No frame and no broker stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.engine import Engine
from edge.keeping import keep
from edge.model.events import MQTT
from edge.store import outbox
from sync.publishing import Publication
from sync.records import Lane
from sync.runs import Portion


class EngineOutbox:
    """History of one engine, for the uplink.

    Args:
        engine: whose history it is.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def epoch(self) -> int:
        """The lineage of the history."""
        return self._engine.boot.epoch

    async def cursors(self) -> Mapping[Lane, int]:
        """The last acknowledged sequence of each lane."""
        lanes = await self._engine.database.read(outbox.read_lanes)
        return {lane: lanes.get(lane, (0, 1, 0))[0] for lane in Lane}

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        """Oldest and newest sequence held in each lane; (newest + 1, newest) when empty."""
        return _bounds(await self._engine.database.read(outbox.read_lanes))

    async def look(
        self, after: Mapping[Lane, int]
    ) -> tuple[Mapping[Lane, tuple[int, int]], Mapping[Lane, Portion]]:
        """The bounds, and the records of lanes in which few stand behind a sequence."""
        seqs = {int(lane): seq for lane, seq in after.items()}
        lanes, few = await self._engine.database.read(lambda c: outbox.look(c, seqs))
        return _bounds(lanes), {Lane(lane): portion for lane, portion in few.items()}

    async def read(self, lane: Lane, after_seq: int, limit: int, max_bytes: int) -> Portion:
        """The next records of a lane; at least one if there is one."""
        return await self._engine.database.read(
            lambda c: outbox.read_portion(c, lane, after_seq, limit, max_bytes)
        )

    async def acknowledge(self, epoch: int, cursors: Mapping[Lane, int]) -> None:
        """Move cursors forward and free what lies behind them."""
        if epoch != self.epoch:
            return
        acked = {int(lane): seq for lane, seq in cursors.items()}
        await keep(self._engine, lambda t: outbox.acknowledge(t.connection, acked))


def _bounds(lanes: Mapping[int, tuple[int, int, int]]) -> Mapping[Lane, tuple[int, int]]:
    return {lane: lanes.get(lane, (0, 1, 0))[1:] for lane in Lane}


class EnginePublications:
    """What EVENT tasks handed over, for the uplink.

    Args:
        engine: whose tasks they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def pending(self, limit: int) -> Sequence[Publication]:
        """The oldest that wait, in order."""
        rows = await self._engine.database.read(lambda c: outbox.read_publications(c, limit))
        return [
            Publication(key, p.message_id, p.sink.removeprefix(MQTT), p.payload) for key, p in rows
        ]

    async def published(self, keys: Sequence[int]) -> None:
        """The broker has taken these."""
        taken = list(keys)
        await keep(self._engine, lambda t: outbox.forget_publications(t.connection, taken))
