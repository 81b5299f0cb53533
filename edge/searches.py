"""Searches: goes through the records window by window, so that other reads come in between.

How a query is written, and how its answer looks on the wire, is not known here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from edge.clock import Clock
from edge.model.errors import Overloaded, SearchTooBroad
from edge.model.executions import ORDINAL_BITS, Task, TaskStatus, Workflow
from edge.model.fields import (
    TASK_FIELDS,
    WORKFLOW_FIELDS,
    Found,
    FoundTask,
    task_holds,
    workflow_holds,
)
from edge.model.matching import (
    Fields,
    FreeText,
    Order,
    Predicate,
    bounds_ms,
    free_text,
    is_span,
    orders,
    predicate,
)
from edge.model.query import Condition, Term, conjuncts, demanded, mentions, parse
from edge.store import archive, search
from edge.store.records import decode_task, decode_workflow
from edge.store.search import Narrow, Place
from sync.database import Database

R = TypeVar("R")

LIMIT_MS = 20_000
"""Of one search. An idle device goes through 100,000 executions in about a second, a busy one in a
few; clients give up after 30 to 60 seconds."""

_AT_ONCE = 2
"""Searches that go through the records at the same time; they share one reading connection."""

_MAX_WAITING = 32
"""Searches that may wait for their turn; beyond that a caller is told to come again."""

_SLACK = 1_000
"""Candidates that are kept beyond the page before the worst are thrown away."""


class Ask(msgspec.Struct, frozen=True):
    """A search as it is asked for."""

    query: str = ""
    free_text: str = "*"
    sort: str = ""
    offset: int = 0
    limit: int = 100


class Hits(msgspec.Struct, Generic[R], frozen=True):
    """A page of what was found."""

    total: int
    """Of all pages."""
    page: list[R]


class _Match(NamedTuple):
    """A record that matches."""

    values: tuple[str | int, ...]
    """What it is sorted by."""
    table: str
    key: int


_Records = list[tuple[int, bytes]]
"""Keys and bodies."""

_Pick = Callable[[sqlite3.Connection, _Records], Iterable[_Match]]
"""Takes the matches out of the records of a window."""


class _Best:
    """The matches that may come to stand on the page, and the number of all.

    Args:
        ask: which page.
        steps: of the sort; among equals the one that began last is first.
    """

    def __init__(self, ask: Ask, steps: Sequence[Order[Any]]) -> None:
        self._ask = ask
        self._steps = steps
        self._matches: list[_Match] = []
        self.total = 0

    def add(self, matches: Iterable[_Match]) -> None:
        before = len(self._matches)
        self._matches += matches
        self.total += len(self._matches) - before
        wanted = self._ask.offset + self._ask.limit
        if len(self._matches) > 2 * wanted + _SLACK:
            self._sort()
            del self._matches[wanted:]

    def page(self) -> list[_Match]:
        self._sort()
        return self._matches[self._ask.offset :][: self._ask.limit]

    def _sort(self) -> None:
        # Sorting keeps the order of equals, so the last step is done first.
        self._matches.sort(key=lambda match: match.key, reverse=True)
        for index, step in reversed(list(enumerate(self._steps))):
            self._matches.sort(key=_value_at(index), reverse=step.descending)


class Searches:
    """Searches through one database.

    Args:
        database: read through its reading connection.
        clock: tells when a search has taken too long.
        as_held: a task as its holder sees it, if a worker holds it. It is called on the reading
            connection's thread and does no more there than look into a dictionary.
    """

    def __init__(
        self, database: Database, clock: Clock, as_held: Callable[[Workflow, Task], Task]
    ) -> None:
        self._database = database
        self._clock = clock
        self._as_held = as_held
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def workflows(self, ask: Ask) -> Hits[Found]:
        """Executions that match, archived ones too; newest first unless sorted otherwise.

        Raises:
            MalformedQuery: the query cannot be read.
            SearchTooBroad: it took too long.
            Overloaded: too many searches are waiting.
        """
        condition = parse(ask.query, WORKFLOW_FIELDS.__contains__)
        text = free_text(ask.free_text)
        holds = _holds(condition, WORKFLOW_FIELDS, workflow_holds, text)
        sort = orders(ask.sort, WORKFLOW_FIELDS)
        steps = sort or [Order(WORKFLOW_FIELDS["startTime"], descending=True)]
        narrow = _narrow_workflows(condition)
        tagged = mentions(condition, "classifier") or "classifier" in ask.sort
        best = _Best(ask, steps)

        async with self._turn():
            kinds = await self._database.read(search.classifiers) if tagged else {}

            def pick(_: sqlite3.Connection, records: _Records) -> list[_Match]:
                found = search.undamaged(records, lambda body: _found(body, kinds))
                return _matches("workflow", found, holds, steps)

            def pick_archived(_: sqlite3.Connection, records: _Records) -> list[_Match]:
                found = search.undamaged(records, archive.decode)
                return _matches("archive", found, holds, steps)

            place = await self._database.read(lambda c: search.workflow_place(c, narrow))
            archived = await self._database.read(lambda c: search.archive_place(c, narrow))
            deadline_ms = self._clock.monotonic_ms() + LIMIT_MS
            if text is None and not sort and place.complete and _is_narrow(condition):
                await self._by_keys(place, best, deadline_ms)
            else:
                await self._through(place, pick, best, deadline_ms)
            await self._through(archived, pick_archived, best, deadline_ms)
        page = best.page()
        return Hits(best.total, await self._database.read(lambda c: _workflows_of(c, page)))

    async def tasks(self, ask: Ask, *, open_only: bool = False) -> Hits[FoundTask]:
        """Tasks that match, as their holders see them.

        Unless sorted otherwise those of the execution that began last are first, and of these the
        last one.

        Args:
            ask: the search.
            open_only: whether tasks of executions that have ended are left out.

        Raises:
            MalformedQuery: the query cannot be read.
            SearchTooBroad: it took too long.
            Overloaded: too many searches are waiting.
        """
        condition = parse(ask.query, TASK_FIELDS.__contains__)
        text = free_text(ask.free_text)
        holds = _holds(condition, TASK_FIELDS, task_holds, text)
        steps = orders(ask.sort, TASK_FIELDS)
        best = _Best(ask, steps)

        def pick(connection: sqlite3.Connection, records: list[tuple[int, bytes]]) -> list[_Match]:
            found = self._found_tasks(connection, records)
            return _matches("task", found, holds, steps)

        async with self._turn():
            narrow = _narrow_tasks(condition, open_only=open_only)
            place = await self._database.read(lambda c: search.task_place(c, narrow))
            deadline_ms = self._clock.monotonic_ms() + LIMIT_MS
            if condition is None and text is None and not steps and place.keys is None:
                await self._by_keys(place, best, deadline_ms)
            else:
                await self._through(place, pick, best, deadline_ms)
        page = best.page()
        return Hits(best.total, await self._database.read(lambda c: self._tasks_of(c, page)))

    async def workflows_by_tasks(self, ask: Ask) -> Hits[Found]:
        """Executions with a task that matches; sorted by their own fields.

        Raises:
            MalformedQuery: the query cannot be read.
            SearchTooBroad: it took too long.
            Overloaded: too many searches are waiting.
        """
        condition = parse(ask.query, TASK_FIELDS.__contains__)
        steps = orders(ask.sort, WORKFLOW_FIELDS)
        best = _Best(ask, steps)
        holds = _holds(condition, TASK_FIELDS, task_holds, free_text(ask.free_text))
        seen: set[int] = set()

        def pick(connection: sqlite3.Connection, records: _Records) -> list[_Match]:
            matching = {
                key >> ORDINAL_BITS: Found(one.workflow)
                for key, one in self._found_tasks(connection, records)
                if holds(one)
            }
            new = {key: one for key, one in matching.items() if key not in seen}
            seen.update(new)
            return _matches("workflow", new.items(), lambda _: True, steps)

        async with self._turn():
            narrow = _narrow_tasks(condition, open_only=False)
            place = await self._database.read(lambda c: search.task_place(c, narrow))
            await self._through(place, pick, best, self._clock.monotonic_ms() + LIMIT_MS)
        page = best.page()
        return Hits(best.total, await self._database.read(lambda c: _workflows_of(c, page)))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= _MAX_WAITING:
            raise Overloaded(f"{_MAX_WAITING} searches are waiting; send this one again later")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _through(self, place: Place, pick: _Pick, best: _Best, deadline_ms: int) -> None:
        """Go through a place, newest record first. Each window is a read of its own.

        What changes meanwhile is seen as it is when its window is looked at; what is new is not
        seen, because keys ascend.
        """

        def look(connection: sqlite3.Connection, below: int) -> int:
            part = search.window(connection, place, below)
            best.add(pick(connection, part.records))
            return part.below

        await self._repeat(look, deadline_ms)

    async def _by_keys(self, place: Place, best: _Best, deadline_ms: int) -> None:
        """The same where SQL leaves in nothing but matches, which need not be read for that."""

        def look(connection: sqlite3.Connection, below: int) -> int:
            found, next_below = search.key_window(connection, place, below)
            best.add(_Match((moment,), place.table, key) for key, moment in found)
            return next_below

        await self._repeat(look, deadline_ms)

    async def _repeat(
        self, look: Callable[[sqlite3.Connection, int], int], deadline_ms: int
    ) -> None:
        below = search.END
        while below:
            if self._clock.monotonic_ms() >= deadline_ms:
                raise SearchTooBroad(
                    f"The search took longer than {LIMIT_MS // 1000} s. Narrow it, for example "
                    "by workflowType, status or startTime."
                )
            below = await self._database.read(lambda c, b=below: look(c, b))  # type: ignore[misc]

    def _found_tasks(
        self, connection: sqlite3.Connection, records: _Records
    ) -> list[tuple[int, FoundTask]]:
        """The tasks of a window with their executions, leases laid over."""
        workflows = search.workflows_around(connection, [key for key, _ in records])
        found = []
        for key, task in search.undamaged(records, decode_task):
            workflow = workflows.get(key >> ORDINAL_BITS)
            if workflow is not None:
                held = self._as_held(workflow, task)
                found.append((key, FoundTask(workflow, held)))
        return found

    def _tasks_of(self, connection: sqlite3.Connection, page: list[_Match]) -> list[FoundTask]:
        found = search.bodies(connection, "task", [match.key for match in page])
        whole = dict(self._found_tasks(connection, list(found.items())))
        return [whole[match.key] for match in page if match.key in whole]


def _value_at(index: int) -> Callable[[_Match], Any]:
    return lambda match: match.values[index]


def _holds(
    condition: Condition | None,
    fields: Fields[R],
    occurs: Callable[[FreeText, R], bool],
    text: FreeText | None,
) -> Predicate[R]:
    asked = predicate(condition, fields)
    if text is None:
        return asked
    return lambda record: asked(record) and occurs(text, record)


def _matches(
    table: str,
    found: Iterable[tuple[int, R]],
    holds: Predicate[R],
    steps: Sequence[Order[R]],
) -> list[_Match]:
    return [
        _Match(tuple(step.key(one) for step in steps), table, key)
        for key, one in found
        if holds(one)
    ]


def _found(body: bytes, kinds: dict[int, str]) -> Found:
    workflow = decode_workflow(body)
    return Found(workflow, kinds.get(workflow.pinned, search.WORKFLOW))


def _workflows_of(connection: sqlite3.Connection, page: list[_Match]) -> list[Found]:
    """The executions of a page, in its order; what has gone meanwhile is left out."""
    stored = search.bodies(
        connection, "workflow", [match.key for match in page if match.table == "workflow"]
    )
    archived = search.bodies(
        connection, "archive", [match.key for match in page if match.table == "archive"]
    )
    workflows = dict(search.undamaged(stored.items(), decode_workflow))
    copies = dict(search.undamaged(archived.items(), archive.decode))
    kinds = search.classifiers(connection, {one.pinned for one in workflows.values()})
    found: list[Found] = []
    for match in page:
        if match.key in copies and match.table == "archive":
            found.append(copies[match.key])
        elif match.key in workflows and match.table == "workflow":
            one = workflows[match.key]
            found.append(Found(one, kinds.get(one.pinned, search.WORKFLOW)))
    return found


def _narrow_workflows(condition: Condition | None) -> Narrow:
    from_ms, to_ms = bounds_ms(condition, "startTime")
    name_fields = [demanded(condition, one) for one in ("workflowType", "workflowName")]
    given = [names for names in name_fields if names is not None]
    return Narrow(
        ids=demanded(condition, "workflowId"),
        correlation_ids=demanded(condition, "correlationId"),
        names=frozenset.intersection(*given) if given else None,
        statuses=demanded(condition, "status"),
        created_from_ms=from_ms,
        created_to_ms=to_ms,
    )


def _is_narrow(condition: Condition | None) -> bool:
    """Whether the columns that SQL looks at say all that the condition says."""
    return all(
        is_span(part, "startTime")
        or (isinstance(part, Term) and any(demanded(part, one) for one in _COLUMNS))
        for part in conjuncts(condition)
    )


_COLUMNS = ("workflowType", "workflowName", "status")


def _narrow_tasks(condition: Condition | None, *, open_only: bool) -> Narrow:
    statuses = demanded(condition, "status")
    if statuses is not None and TaskStatus.IN_PROGRESS in statuses:
        # A hand-over is not written: the record of a task in a worker's hands says SCHEDULED.
        statuses |= {TaskStatus.SCHEDULED.value}
    return Narrow(
        ids=demanded(condition, "taskId"),
        workflow_ids=demanded(condition, "workflowId"),
        correlation_ids=demanded(condition, "correlationId"),
        names=demanded(condition, "taskType"),
        workflow_names=demanded(condition, "workflowType"),
        statuses=statuses,
        open_only=open_only,
    )
