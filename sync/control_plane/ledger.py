"""The ledger: every device's history, each record once, and what the pages may ask of it.

No MQTT and no HTTP stands here. Truth (segments and cursors) is committed by `commit`, and only
then may its acknowledgements be sent; all that is shown is projected from it afterwards and can be
rebuilt. The statements live in `truth`, `projection` and `queries`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from sync.control_plane import (
    campaigns,
    clocks,
    fleet,
    gaps,
    new_orders,
    notices,
    orders,
    projection,
    queries,
    scrub,
    truth,
)
from sync.control_plane.dialect import Connection, StatementRefused, StorageUnavailable
from sync.control_plane.orders import Outbound
from sync.control_plane.storage import Storage, open_storage
from sync.control_plane.truth import Presence
from sync.control_plane.views import (
    Change,
    DeviceView,
    EvidenceContent,
    ExecutionPage,
    ExecutionView,
    GapView,
    LagReport,
    NoticeView,
    OrderPage,
    OrderView,
    Summary,
)
from sync.database import Connect, on_a_thread
from sync.receiver import Arrival, Outgoing
from sync.topics import Address

T = TypeVar("T")


class OrderSender(Protocol):
    """Signs and sends orders, as the ledger needs it: the ingest does."""

    @property
    def key_id(self) -> bytes | None:
        """Of the key that signs; None = it cannot send just now."""
        ...

    def send(self, outbound: Outbound) -> None:
        """Send what is noted as sent, durably; what is lost on the way is sent again."""
        ...


DEFAULT_TENANT = "default"
# Segments projected in one transaction: long enough to share its fsync, short enough that the
# commit of newly arrived segments never waits more than some 50 ms behind it.
PROJECTION_SEGMENTS = 8
# Devices that come into the list in the transaction of the frames that changed them.
_FEW_DEVICES = 8

SCRUB_SEGMENTS = 50
"""Looked at in one transaction: five megabytes at most."""

_SCRUB_PAUSE_S = 0.1

_LOOK_AGAIN_S = 0.25
"""Between two looks for what other processes have changed."""


_log = structlog.get_logger(__name__)


class LedgerError(Exception):
    """Head of this module's errors.

    LedgerError
    └── LedgerUnavailable
    """


class LedgerUnavailable(LedgerError):
    """The ledger cannot be written just now. Look at the disk; what arrives meanwhile waits."""


class Ledger:
    """One control plane's ledger, in an SQLite file or a PostgreSQL database."""

    def __init__(self, storage: Storage, *, now_ms: Callable[[], int]) -> None:
        """Use `open`; this only keeps what it is given."""
        self._database = storage
        self._now_ms = now_ms
        self._changed = asyncio.Event()
        self.on_orders: list[Callable[[], None]] = []
        """Called when an order was given here; a hint for those who send them."""
        self.sender: OrderSender | None = None
        """Sends an order at once when its device is there, noted as sent in the transaction that
        gives it; None = whoever asks `due_orders` sends it."""
        self.trouble = ""
        """Why the last thing that was to be written was not; empty = it was. Reading may go on."""
        self.shared = False
        """Whether other processes write too, which nobody tells this one of."""

    @classmethod
    async def open(
        cls, where: Path | str, *, now_ms: Callable[[], int], connect: Connect = on_a_thread
    ) -> Ledger:
        """Open the ledger, and make what is not there of it.

        Args:
            where: the path of an SQLite file, or ``postgresql://...``.
            now_ms: the wall clock.
            connect: makes the connections to a file.

        Raises:
            DatabaseError: it cannot be opened; the message says what to do.
        """
        return cls(await open_storage(where, truth.create_schema, connect), now_ms=now_ms)

    async def close(self) -> None:
        """Close the database; nothing may be asked afterwards."""
        await self._database.close()

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Ask in one snapshot. Raises StorageUnavailable."""
        return await self._database.read(function)

    async def write(self, step: Callable[[Connection], T]) -> T:
        """Change something in one transaction, and wake those who wait for a change.

        Raises:
            LedgerUnavailable: nothing was written, or it is not known.
            StatementRefused: nothing was written, and never would be.
        """
        result = await self._write(step)
        self._notify()
        return result

    # Writing: the ingest's part.

    async def commit(self, arrivals: Sequence[Arrival], *, only: bool = False) -> list[Outgoing]:
        """Store what has arrived; what is returned may be sent, because it is true now.

        What is little comes into view in the same transaction, for the price of no fsync.

        Args:
            arrivals: in any order.
            only: nothing is brought into view beside; `project` does it.

        Raises:
            LedgerUnavailable: nothing was stored, or it is not known; give the same again.
        """
        now_ms = self._now_ms()

        def store(connection: Connection) -> list[Outgoing]:
            return truth.commit(connection, arrivals, now_ms=now_ms)

        def store_and_show(connection: Connection) -> list[Outgoing]:
            outgoing = store(connection)
            projection.project_few(connection)
            fleet.refresh(connection, limit=_FEW_DEVICES)
            return outgoing

        if only:
            return await self.write(store)
        try:
            return await self.write(store_and_show)
        except StatementRefused:
            # What is to be shown must not stand in the way of what is true.
            return await self.write(store)

    async def probe(self) -> None:
        """Return when the database has taken a transaction. Raises LedgerUnavailable."""
        await self._write(lambda _: None)

    async def project(self, *, limit: int = PROJECTION_SEGMENTS, records: int | None = None) -> int:
        """Bring the next segments into view, as `projection.project`; 0 = all of it is there."""
        # A look keeps nobody waiting; a transaction keeps whoever writes.
        if not await self._look(
            lambda connection: projection.pending(connection) or fleet.pending(connection)
        ):
            return 0
        segments, devices = await self._project(limit, records)
        return segments + devices

    async def _project(self, limit: int, records: int | None = None) -> tuple[int, int]:
        """Segments and devices that were brought into view."""

        def step(connection: Connection) -> tuple[int, int]:
            segments = projection.project(connection, limit=limit, records=records)
            return segments, fleet.refresh(connection)

        try:
            done = await self._write(step)
        except StatementRefused:
            # One of them stands in the way of the others.
            segments = await self._project_one()
            if not segments:
                raise
            done = segments, 0
        if any(done):
            self._notify()
        return done

    async def _project_one(self) -> int:
        """Bring one segment into view, or set it aside when the database refuses it; 0 = none."""
        place = await self._write(projection.next_one)
        try:
            return await self._write(lambda connection: projection.project(connection, limit=1))
        except StatementRefused as error:
            reason = f"the database refuses what stands in it: {error}"
            _log.error("segment_refused", segment=place.segment_id, reason=str(error))
            await self._write(
                lambda connection: projection.set_aside(connection, place, reason=reason)
            )
            return 1

    async def scrub(self) -> int:
        """Look at every stored segment once; how many were found to be damaged.

        In steps of one short transaction each, with pauses, so that what arrives is not kept
        waiting.
        """
        damaged = after = 0
        while True:
            page = await self._write(
                lambda connection, after=after: scrub.look(  # type: ignore[misc]
                    connection, after=after, limit=SCRUB_SEGMENTS
                )
            )
            if not page.last:
                return damaged
            damaged, after = damaged + page.damaged, page.last
            await asyncio.sleep(_SCRUB_PAUSE_S)

    async def rebuild(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Throw the projections away and make them again from the segments; how many there were.

        It runs in steps of one transaction each, so that arriving history is stored meanwhile;
        pages show less until it is done. Other processes that project help.

        Args:
            progress: is told the number of the last segment that is done, and of the last one.
        """

        def forget(connection: Connection) -> None:
            projection.forget(connection)
            fleet.forget(connection)

        await self._write(forget)
        total = 0
        while any(done := await self._project(PROJECTION_SEGMENTS)):
            total += done[0]
            if progress is not None:
                progress(*await self._database.read(projection.place))
        return total

    async def note_presence(self, presences: Sequence[Presence]) -> None:
        """Keep what devices, or their wills, say of their connections."""
        now_ms = self._now_ms()

        def note(connection: Connection) -> None:
            truth.note_presence(connection, presences, now_ms=now_ms)
            fleet.refresh(connection)

        await self.write(note)

    async def note_broker_lost(self) -> None:
        """Show every device as offline: none can be reached until the broker says otherwise."""

        def note(connection: Connection) -> None:
            truth.note_broker_lost(connection)
            fleet.all_offline(connection)

        await self.write(note)

    # Orders.

    async def order(
        self,
        device: str,
        kind: str,
        body: object,
        *,
        expires_ms: int,
        tenant: str = DEFAULT_TENANT,
        condition: object = None,
        issued_by: str = "",
        order_id: str | None = None,
        noted: Callable[[Connection, OrderView], None] | None = None,
    ) -> OrderView:
        """Give a device an order; it is sent as soon as the device is there.

        Args:
            device: which has been heard of before.
            kind: one of `sync.orders.Kind`.
            body: plain data or JSON text; what it holds is said by `sync.orders`.
            expires_ms: on this clock; from then on it is not carried out.
            tenant: the device's.
            condition: what must hold on the device, as `sync.orders.Condition`; None = nothing.
            issued_by: for people.
            order_id: 1 to 64 characters, and its idempotency key: the same again is the same
                order; None makes one.
            noted: writes down, in the same transaction, that it was given.

        Raises:
            OrderInvalid: the message names the field.
            DeviceUnknown, OrderConflict: see `sync.control_plane.orders`.
            LedgerUnavailable: nothing was written, or it is not known; give the same id again.
        """
        now_ms = self._now_ms()
        new = new_orders.checked(
            Address(tenant, device), kind, body, condition, now_ms=now_ms, expires_ms=expires_ms,
            issued_by=issued_by, order_id=order_id,
        )  # fmt: skip
        sender = self.sender
        key_id = None if sender is None else sender.key_id

        def give(connection: Connection) -> tuple[OrderView, Outbound | None]:
            given = orders.give(connection, new, now_ms=now_ms)
            if noted is not None:
                noted(connection, given)
            if key_id is None:
                return given, None
            going = orders.due_to(connection, new.address, key_id=key_id, now_ms=now_ms)
            fleet.refresh(connection, limit=_FEW_DEVICES)
            return orders.find(connection, given.order_id) or given, going

        given, going = await self.write(give)
        if sender is not None and going is not None:
            sender.send(going)
        else:
            self.hint_orders()
        return given

    def hint_orders(self) -> None:
        """Tell those who send orders that there may be some."""
        for call in self.on_orders:
            call()

    async def give_campaign_orders(self) -> int:
        """Give the orders of campaigns whose turn it is; how many those were."""
        now_ms = self._now_ms()
        given = await self._write(lambda connection: campaigns.step(connection, now_ms=now_ms))
        if given:
            self._notify()
            self.hint_orders()
        return given

    async def withdraw_order(self, order_id: str, *, reason: str = "") -> OrderView | None:
        """Take back an order that was not sent yet; None when there is none of this id.

        Raises:
            OrderNotWithdrawn: it has been sent, or has ended.
        """
        now_ms = self._now_ms()
        return await self.write(
            lambda connection: orders.withdraw(
                connection, order_id, now_ms=now_ms, reason=reason or "it was taken back"
            )
        )

    async def find_order(self, order_id: str) -> OrderView | None:
        """An order by its id."""
        return await self._database.read(lambda connection: orders.find(connection, order_id))

    async def outcome(self, order_id: str, *, timeout_s: float) -> OrderView | None:
        """An order when it has come to something, or as it stands when the time is over."""
        until_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            # Taken before the look, so that a change in between is not slept through.
            changed = self._changed
            found = await self.find_order(order_id)
            left_s = until_s - asyncio.get_running_loop().time()
            if found is None or found.ended or left_s <= 0:
                return found
            await self._hear(changed, left_s)

    async def orders_of(
        self,
        device: str | None,
        *,
        tenant: str | None = DEFAULT_TENANT,
        open_only: bool = False,
        kind: str | None = None,
        ended: str | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> OrderPage:
        """Orders to a device, or with None to all, newest first."""
        return await self._database.read(
            lambda connection: orders.page(
                connection, tenant=tenant, device=device, open_only=open_only, kind=kind,
                ended=ended, after=after, limit=limit,
            )
        )  # fmt: skip

    async def orders_wait(self, *, key_id: bytes) -> bool:
        """Whether `due_orders` would find something, or some wait for room in a device's line."""
        now_ms = self._now_ms()
        return await self._look(
            lambda connection: orders.anything_to_do(connection, key_id=key_id, now_ms=now_ms)
        )

    async def due_orders(
        self, *, key_id: bytes, greeted: Collection[Address] = ()
    ) -> list[Outbound]:
        """What is to be signed with this key and sent now; counted as sent when this returns."""
        now_ms = self._now_ms()

        def take(connection: Connection) -> list[Outbound]:
            orders.expire(connection, now_ms=now_ms)
            return orders.due(connection, key_id=key_id, greeted=greeted, now_ms=now_ms)

        found = await self._write(take)
        if found:
            self._notify()
        return found

    # Reading: the pages' part.

    async def devices(
        self, *, tenant: str | None = DEFAULT_TENANT, limit: int = 1_000
    ) -> list[DeviceView]:
        """Devices in the order of their names; tenant None means all tenants."""
        return await self._database.read(
            lambda connection: queries.devices(connection, tenant=tenant, device=None, limit=limit)
        )

    async def device(self, device: str, *, tenant: str = DEFAULT_TENANT) -> DeviceView | None:
        """One device; None when it has never been heard of."""
        found = await self._database.read(
            lambda connection: queries.devices(connection, tenant=tenant, device=device, limit=1)
        )
        return found[0] if found else None

    async def executions(
        self,
        *,
        tenant: str | None = DEFAULT_TENANT,
        device: str | None = None,
        status: str | None = None,
        name: str | None = None,
        text: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> ExecutionPage:
        """A page of executions, newest first.

        Args:
            tenant: None means all tenants.
            device: only this device's.
            status: only this status, as Conductor spells it.
            name: only this workflow name, exactly.
            text: part of the name, id, correlation id, reason or device, in any case.
            after: `next` of the page before; None or anything unknown begins at the newest.
            limit: 1 to 500.
        """
        return await self._database.read(
            lambda connection: queries.executions(
                connection, tenant=tenant, device=device, status=status, name=name, text=text,
                after=after, limit=limit,
            )
        )  # fmt: skip

    async def execution(
        self, device: str, workflow_id: str, *, tenant: str = DEFAULT_TENANT
    ) -> ExecutionView | None:
        """One execution with its tasks and evidence; None when it has not arrived."""
        return await self._database.read(
            lambda connection: queries.execution(
                connection, tenant=tenant, device=device, workflow_id=workflow_id
            )
        )

    async def evidence_content(
        self,
        device: str,
        workflow_id: str,
        task_id: str,
        key: str,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> EvidenceContent | None:
        """The bytes of one kept file; None until all of it is here and its digest is right."""
        return await self._database.read(
            lambda connection: queries.evidence_content(
                connection, tenant=tenant, device=device, workflow_id=workflow_id,
                task_id=task_id, key=key,
            )
        )  # fmt: skip

    async def gaps(self, device: str, *, tenant: str = DEFAULT_TENANT) -> list[GapView]:
        """What of a device's history will not come, and why, as far as it has told."""
        return await self._database.read(
            lambda connection: gaps.read(connection, tenant=tenant, device=device)
        )

    async def notices(
        self,
        *,
        tenant: str = DEFAULT_TENANT,
        after_ms: int = 0,
        limit: int = 100,
        device: str | None = None,
        newest_first: bool = False,
    ) -> list[NoticeView]:
        """What a person should know of devices, that came or came again after a moment.

        With ``newest_first`` the newest ones, whenever they came.
        """
        if newest_first:
            return await self._database.read(
                lambda connection: notices.newest(
                    connection, tenant=tenant, limit=limit, device=device
                )
            )
        return await self._database.read(
            lambda connection: notices.read(
                connection, tenant=tenant, after_ms=after_ms, limit=limit, device=device
            )
        )

    async def correction(self, device: str, *, tenant: str = DEFAULT_TENANT) -> clocks.Correction:
        """What a device's times mean on the control plane's clock."""
        return await self._database.read(lambda c: clocks.read(c, tenant=tenant, device=device))

    async def summary(self, *, tenant: str | None = None) -> Summary:
        """The fleet in figures; tenant None = of all."""
        return await self._database.read(lambda c: queries.summary(c, tenant=tenant))

    async def lag_percentiles(self, *, since_ms: int = 0) -> LagReport:
        """How long records took to get here, from the hour of `since_ms` on."""
        return await self._database.read(
            lambda connection: queries.lag_report(connection, since_ms=since_ms)
        )

    async def changes_after(self, cursor: int, limit: int = 200) -> list[Change]:
        """What has changed since a cursor, each thing once, in the order of its last change."""
        return await self._database.read(
            lambda connection: queries.changes_after(connection, after=cursor, limit=limit)
        )

    async def newest_change(self) -> int:
        """The cursor to begin a change feed with when the page has just been loaded."""
        return await self._database.read(queries.newest_change)

    async def wait_for_change(self, cursor: int, *, timeout_s: float) -> bool:
        """Sleep until something after `cursor` has changed; False when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    # Taken before the look, so that a change in between is not slept through.
                    changed = self._changed
                    if await self.newest_change() > cursor:
                        return True
                    await self._hear(changed)
        except TimeoutError:
            return False

    async def _hear(self, changed: asyncio.Event, most_s: float | None = None) -> None:
        """Until something has changed, or may have changed in another process."""
        if self.shared:
            most_s = _LOOK_AGAIN_S if most_s is None else min(most_s, _LOOK_AGAIN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await changed.wait()

    async def _write(self, step: Callable[[Connection], T]) -> T:
        try:
            result = await self._database.transact(step)
        except StorageUnavailable as error:
            self.trouble = str(error)
            raise LedgerUnavailable(self.trouble) from error
        self.trouble = ""
        return result

    async def _look(self, function: Callable[[Connection], T]) -> T:
        try:
            return await self._database.read(function)
        except StorageUnavailable as error:
            raise LedgerUnavailable(str(error)) from error

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
