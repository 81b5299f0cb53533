"""What a control plane has ordered to be fetched: looked for, laid out in chunks, and told of.

An order to fetch is done when it is noted; what it asks for is looked for afterwards, so that no
other order and nothing urgent waits for it. The answer is copied into a folder of its own, forced out,
and then named by records of the bulk lane, a chunk each: they bring it through cut links and power
cuts like any other history. A copy goes when its records are acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from edge.durable import FILES, FileSystem
from edge.engine import Engine
from edge.fetch_sources import Found, Sources
from edge.history import records_again
from edge.model.errors import BatonError, NotFound, Overloaded, PayloadLost, StorageUnavailable
from edge.model.executions import parse_workflow_id
from edge.store import fetches, outbox
from edge.store.fetches import Fetch
from edge.transactions import Transaction
from sync import orders
from sync.evidence_files import fetched_name
from sync.orders import ExecutionBody, FetchBody, OrderInvalid
from sync.records import (
    EVIDENCE_CHUNK_BYTES,
    KINDS,
    Body,
    FetchedRecord,
    Lane,
    PartRecord,
    encode_body,
)

log = structlog.get_logger(__name__)

LOOK_S = 20.0
"""Between two looks for answers that have arrived, and for what could not be looked for."""

_UNFINISHED = ".unfinished"

FOUND, GONE, REFUSED = "found", "gone", "refused"


class _Refused(Exception):
    """It is more than may be sent."""


class Fetches:
    """Looks for what was ordered, one after the other. One for each daemon.

    Args:
        engine: keeps what was ordered, and the records of the answers.
        sources: where things are.
        folder: of the copies; made when the first one is.
        most_bytes: of one answer.
        budget_bytes: of all copies that have not arrived yet.
        files: changes them.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sources,
        folder: Path,
        *,
        most_bytes: int,
        budget_bytes: int,
        files: FileSystem = FILES,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._folder = folder
        self._most_bytes = most_bytes
        self._budget_bytes = budget_bytes
        self._disk = files
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Something was ordered. A hint, on the loop's own thread."""
        self._news.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._news.clear()
            try:
                await self.step()
            except (StorageUnavailable, Overloaded) as error:
                log.warning("fetches_postponed", reason=error.message)
            except OSError as error:
                log.warning("fetches_postponed", reason=str(error))
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Answer what waits, and let go of what has arrived.

        Raises:
            StorageUnavailable, Overloaded, OSError: not now; what is left is done the next time.
        """
        while True:
            await self._let_go()
            fetch = await self._engine.database.read(fetches.waiting)
            if fetch is None:
                return
            await self._answer(fetch)

    # Answering.

    async def _answer(self, fetch: Fetch) -> None:
        try:
            await self._find(fetch)
        except (StorageUnavailable, Overloaded):
            raise
        except FileNotFoundError:
            await self._tell_missing(fetch, GONE, "it has just been removed")
        except (_Refused, OrderInvalid) as error:
            await self._tell_missing(fetch, REFUSED, str(error))
        except BatonError as error:
            state = GONE if isinstance(error, NotFound | PayloadLost) else REFUSED
            await self._tell_missing(fetch, state, error.told)
        else:
            log.info("fetched", order=fetch.order_id, kind=fetch.kind)

    async def _tell_missing(self, fetch: Fetch, state: str, reason: str) -> None:
        log.warning("not_fetched", order=fetch.order_id, kind=fetch.kind, reason=reason)
        told = FetchedRecord(fetch.order_id, state, reason)
        await self._engine.request(lambda t: self._tell(t, told, []))

    async def _find(self, fetch: Fetch) -> None:
        """Look for what is asked for, and tell of it.

        Raises:
            BatonError, OrderInvalid, FileNotFoundError, _Refused: there is nothing to send.
        """
        body = orders.parse_body(orders.kind_of(fetch.kind), fetch.body)
        assert isinstance(body, FetchBody), "nothing else is noted"
        most_bytes = min(self._most_bytes, body.max_bytes)
        if isinstance(body, ExecutionBody):
            await self._engine.request(
                # Read where it is written: nothing can come in between.
                lambda t: self._tell(t, *_execution(t, fetch.order_id, body, most_bytes))
            )
            return
        found = await self._sources.find(body, most_bytes)
        told, parts = await asyncio.to_thread(self._lay_out, fetch.order_id, found, most_bytes)
        await self._engine.request(lambda t: self._tell(t, told, parts))

    def _tell(self, transaction: Transaction, told: FetchedRecord, bodies: list[Body]) -> None:
        """Write the records of an answer, and that there is one."""
        connection, boot = transaction.connection, self._engine.boot.boot
        first = transaction.outbox.next_seq(connection, Lane.BULK)
        if not fetches.answer(connection, told.order_id, first + len(bodies) - 1):
            return
        told = msgspec.structs.replace(told, count=len(bodies), first_seq=first if bodies else 0)
        outbox.put_control(
            connection,
            KINDS[FetchedRecord],
            encode_body(told),
            now_ms=transaction.now_ms,
            boot=boot,
        )
        transaction.note_control()
        # Last of all, as nothing may fail behind it: what the writer has is not undone with us.
        for body in bodies:
            transaction.outbox.add(
                connection,
                Lane.BULK,
                KINDS[type(body)],
                encode_body(body),
                now_ms=transaction.now_ms,
                boot=boot,
            )

    # Copies.

    def _lay_out(
        self, order_id: str, found: Found, most_bytes: int
    ) -> tuple[FetchedRecord, list[Body]]:
        """Copy what was found; it is on the disk when this returns."""
        content = found.content
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > most_bytes:
            raise _Refused(
                f"it has {size} bytes, and {most_bytes} may be sent: maxBytes of the order, and "
                "sync.fetch_most_mb of the device"
            )
        used = sum(path.stat().st_size for path in self._copies())
        if used + size > self._budget_bytes:
            raise _Refused(
                f"it has {size} bytes, and {used} of the {self._budget_bytes} of "
                "sync.fetch_budget_mb are still on their way"
            )
        unfinished = self._folder / _UNFINISHED
        self._disk.make_folder(self._folder)
        whole, chunks, copied = hashlib.sha256(), list[bytes](), 0
        with unfinished.open("wb") as file:
            for chunk in _chunks(content, most_bytes):
                file.write(chunk)
                whole.update(chunk)
                chunks.append(hashlib.sha256(chunk).digest())
                copied += len(chunk)
            self._disk.force_out(file)
        self._disk.rename(unfinished, self._folder / fetched_name(order_id))
        self._disk.force_out_folder(self._folder)
        self._disk.force_out_folder(self._folder.parent)
        told = FetchedRecord(
            order_id,
            FOUND,
            name=found.name,
            media_type=found.media_type,
            size_bytes=copied,
            sha256=whole.hexdigest(),
            cut=found.cut,
        )
        parts: list[Body] = [
            PartRecord(order_id, index, len(chunks), digest) for index, digest in enumerate(chunks)
        ]
        return told, parts

    def _copies(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return [path for path in self._folder.iterdir() if path.name != _UNFINISHED]

    async def _let_go(self) -> None:
        """Forget the answers that have arrived, and remove copies that nobody needs."""
        answered = await self._engine.database.read(fetches.answered)
        if answered:
            lanes = await self._engine.database.read(outbox.read_lanes)
            _, oldest, _ = lanes.get(Lane.BULK, (0, 1, 0))
            arrived = [order_id for order_id, last in answered.items() if last < oldest]
            for order_id in arrived:
                await self._engine.request(
                    lambda t, order_id=order_id: fetches.drop(t.connection, order_id)  # type: ignore[misc]
                )
                del answered[order_id]
        # One that was laid out and not told of when the power failed is laid out anew.
        needed = {fetched_name(order_id) for order_id in answered}
        for path in await asyncio.to_thread(self._copies):
            if path.name not in needed:
                await asyncio.to_thread(self._disk.unlink, path)


def _execution(
    transaction: Transaction, order_id: str, body: ExecutionBody, most_bytes: int
) -> tuple[FetchedRecord, list[Body]]:
    """An execution and its tasks as they are now, as records."""
    snapshot = transaction.find(parse_workflow_id(body.workflow_id))
    if snapshot is None:
        raise NotFound("no execution of this id is here any more")
    bodies: list[Body] = []
    size, cut = 0, False
    for record in records_again(snapshot.workflow, snapshot.tasks.values()):
        one, weight = record, len(encode_body(record))
        if size + weight > most_bytes:
            # Its state is small, and a step that is missing would be worse than an empty one.
            one = msgspec.structs.replace(one, input=None, output=None)
            weight, cut = len(encode_body(one)), True
        size += weight
        bodies.append(one)
    return FetchedRecord(order_id, FOUND, name=body.workflow_id, size_bytes=size, cut=cut), bodies


def _chunks(content: bytes | Path, most_bytes: int) -> Iterator[bytes]:
    """The chunks of a content; an empty one is one empty chunk."""
    if isinstance(content, bytes):
        for at in range(0, max(1, len(content)), EVIDENCE_CHUNK_BYTES):
            yield content[at : at + EVIDENCE_CHUNK_BYTES]
        return
    with content.open("rb") as file:
        yield from _read(file, most_bytes)


def _read(file: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    chunk = file.read(EVIDENCE_CHUNK_BYTES)
    yield chunk
    left = most_bytes - len(chunk)
    # One that grows meanwhile is taken as far as it may go.
    while left > 0 and (chunk := file.read(min(EVIDENCE_CHUNK_BYTES, left))):
        left -= len(chunk)
        yield chunk
