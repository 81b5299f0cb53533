"""Takes the rows out of a database that SQLite gives up on, and puts them into a new one.

The damaged file is only read. Rows are followed from the roots of their tables; where a page on the
way is gone, every page of the file is looked at for rows of the stretch that is missing. What a row
is worth says its checksum. What moves files about stands in ``quarantine``.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from edge.durable import FILES, FileSystem
from edge.model.definitions import WorkflowDefinition
from edge.model.errors import RowDamaged
from edge.model.executions import (
    ORDINAL_BITS,
    split_task_key,
    workflow_uuid,
)
from edge.store import damage, integrity, redo, sealed
from edge.store.checked import (
    encode_document,
    seed_of,
    with_checksum,
)
from edge.store.executions import put, workflow_row
from edge.store.migrations import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    migrate,
    own_tables,
    weigh,
)
from edge.store.pages import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    TABLE_LEAF,
    Image,
    Page,
    Row,
    Unreadable,
    Value,
)
from edge.store.records import decode_task, decode_workflow
from edge.store.relations import (
    Table,
    described,
    fits,
    is_schema_row,
    named_as,
    padded,
    quoted,
    table_names,
)
from edge.store.roots import MOST_DEEP, NOWHERE, root_of
from edge.store.scratch import fresh
from edge.store.staging import Staged

_EVERYTHING = (-(1 << 63), (1 << 63) - 1)

_WAITING_FOR_CHILDREN = "SELECT key, body FROM task WHERE instr(body, CAST('SUB_WORKFLOW' AS BLOB))"
_TASKS_OF = "SELECT body FROM task WHERE key BETWEEN ? AND ? ORDER BY key"

_HISTORY = ("history", "sealed")
"""Two tables with one sequence of numbers."""

_MOST_NUMBERS = 10_000
"""Executions of one stretch that are named by their numbers."""


Range = tuple[int, int]
"""Row ids: above the first, up to the second."""


class CannotWrite(Exception):
    """The salvaged rows cannot be written. Free space, or name a file on another disk."""


class Report(msgspec.Struct):
    """What came of a salvage."""

    source: str
    pages: int = 0
    unreadable_pages: int = 0
    """Pages that a tree led to and that are none."""
    frames_behind_damage: int = 0
    """Of the log: what SQLite itself would not have read."""
    rows: dict[str, int] = {}
    """Salvaged, by table."""
    damaged: dict[str, int] = {}
    """Rows that were found and are not what was written, by table."""
    missing: dict[str, int] = {}
    """Stretches of a table that are gone, by table."""
    lost_workflows: list[str] = []
    """Ids of executions of which the record is gone; "number N" where the id is, too, and where it
    is not even known whether there was one."""
    incomplete_workflows: list[str] = []
    """Ids of executions of which some records may be gone. The open ones that show it are ended."""
    lost_definitions: list[str] = []
    epoch: int = 0
    """Of the history from now on: what the control plane has is of another lineage."""

    @property
    def total(self) -> int:
        """Rows that were salvaged."""
        return sum(self.rows.values())


class _Found(msgspec.Struct):
    """Where the rows of a table are, as far as the trees lead to them."""

    pages: list[int] = []
    gaps: list[Range] = []


def rebuild(
    source: Path,
    target: Path,
    *,
    now_ms: int,
    progress: Callable[[str], None] = lambda _: None,
    files: FileSystem = FILES,
) -> Report:
    """Salvage a database into a new file, which is complete and on the disk when this returns.

    Args:
        source: the damaged database, with its log beside it.
        target: made anew; whatever was there is replaced.
        now_ms: epoch milliseconds, written beside what is reported.
        progress: told which table is being salvaged.
        files: changes files.

    Raises:
        CannotWrite: the new file cannot be written; nothing of it is left.
    """
    try:
        files.unlink(target)
        with Image(source) as image, contextlib.closing(fresh(target)) as connection:
            salvage = _Salvage(image, connection, now_ms)
            salvage.report.source = str(source)
            salvage.run(progress)
            connection.execute("COMMIT")
        with target.open("rb") as file:
            files.force_out(file)
    except (OSError, sqlite3.Error) as error:
        for suffix in ("", "-journal"):
            with contextlib.suppress(OSError):
                target.with_name(target.name + suffix).unlink()
        raise CannotWrite(str(error)) from error
    return salvage.report


class _Salvage:
    """One salvage."""

    def __init__(self, image: Image, connection: sqlite3.Connection, now_ms: int) -> None:
        self._image = image
        self._connection = connection
        self._now_ms = now_ms
        self._free = image.free()
        self._visited: set[int] = set()
        self._ids: dict[int, bytes] = {}
        """Ids of executions by their keys, as an index has them."""
        self._roots: set[int] = set()
        self._keys: set[int] = set()
        """Of the executions that were salvaged."""
        self._suspect: set[int] = set()
        """Keys of executions some of whose tasks may be gone."""
        self._schema_lost = False
        self._ids_lost = True
        """Whether that index has lost some itself."""
        self._doubtful: set[int] = set()
        """Keys of executions of which nothing seems to be gone, though it may."""
        self._epoch = 0
        self._acked: dict[int, int] = {}
        frames = image.frames
        self.report = Report("", pages=image.count, frames_behind_damage=frames.whole - frames.good)
        self._rows: Counter[str] = Counter()
        self._damaged: Counter[str] = Counter()
        self._lanes: defaultdict[int, int] = defaultdict(int)

    def run(self, progress: Callable[[str], None]) -> None:
        schema = self._schema()
        self._create(schema)
        tables = [described(self._connection, name) for name in table_names(self._connection)]
        roots = {str(row[1]): row[3] for row in schema if row[0] == "table"}
        often = Counter(row[3] for row in schema if isinstance(row[3], int))
        doubtful = self._free | {root for root, times in often.items() if times > 1}
        for table in tables:
            table.root = root_of(table, roots.get(table.name), doubtful, self._page)
        self._roots = {table.root for table in tables}
        self._read_ids(schema)
        # Facts and lanes first: what is salvaged later depends on them. And last what has been
        # committed after all that the tables say.
        first = ("fact", "lane", "workflow")
        order = {name: place for place, name in enumerate(first)} | {"redo": len(first) + 1}
        tables.sort(key=lambda one: order.get(one.name, len(first)))
        found = {table.name: self._walk(table) for table in tables}
        together = [table for table in tables if table.name in _HISTORY]
        for table in tables:
            progress(table.name)
            if table not in together:
                self._take(table, found[table.name])
            elif table is together[0]:
                self._take_history(together, found)
        self._finish()

    # Finding.

    def _schema(self) -> list[list[Value]]:
        """The rows of the schema table, even where its root is gone."""
        found = self._walk(Table("sqlite_schema", [], None, root=1))
        self._schema_lost = bool(found.gaps)
        pages = [self._page(number) for number in found.pages]
        if any(
            page is None or page.damaged or not all(is_schema_row(row.values) for row in page.rows)
            for page in pages
        ):
            # A table that a row told of which says nothing any more: all of it lies about.
            found.gaps.append(_EVERYTHING)
            self._schema_lost = True
        if found.gaps:
            without = self._visited | self._free
            pages += [page for _, page in self._image.leaves(without, holding=b"CREATE ")]
        rows = [row.values for page in pages if page is not None for row in page.rows]
        ours = own_tables()
        return [named_as(one, ours) for one in rows if is_schema_row(one)]

    def _walk(self, table: Table) -> _Found:
        """The pages that a table's root leads to, in order."""
        found = _Found([], [])
        if table.root == NOWHERE:
            found.gaps.append(_EVERYTHING)
            return found
        if not table.root:
            # The table is older than the file, unless what lists the tables is damaged itself.
            if self._schema_lost:
                found.gaps.append(_EVERYTHING)
            return found
        waiting: list[tuple[int, Range, int]] = [(table.root, _EVERYTHING, 0)]
        wanted = (5, TABLE_LEAF) if table.rowid else (INDEX_INTERIOR, INDEX_LEAF)
        while waiting:
            number, (low, high), depth = waiting.pop()
            page = None
            if number not in self._visited:
                page = self._page(number, with_rows=False)
            if page is None or page.kind not in wanted or depth > MOST_DEEP:
                self.report.unreadable_pages += 1
                found.gaps.append((low, high))
                continue
            self._visited.add(number)
            if page.kind != 5:
                found.pages.append(number)
            below = low
            following: list[tuple[int, Range, int]] = []
            for child, key in page.children:
                top = min(key, high) if table.rowid else high
                following.append((child, (below, top), depth + 1))
                below = top if table.rowid else below
            waiting.extend(reversed(following))
        return found

    def _page(self, number: int, *, with_rows: bool = True) -> Page | None:
        try:
            return self._image.page(number, with_rows=with_rows)
        except Unreadable:
            return None

    def _rows_of(self, table: Table, found: _Found) -> Iterator[Row]:
        """The rows of a table: by its tree, then what lies about of the stretches it has lost."""
        for number in found.pages:
            page = self._page(number)
            if page is None:
                continue
            yield from page.rows
            for before, behind in page.damaged:
                self._damaged[table.name] += 1
                low = _EVERYTHING[0] if before is None else before
                high = _EVERYTHING[1] if behind is None else behind
                found.gaps.append((low, high))
        # Of a table whose rows carry no checksum nobody could tell what lies about from what was
        # deleted or belongs to another table.
        if not found.gaps or table.name not in integrity.TABLES:
            return
        lying_about: dict[int, Row] = {}
        for _, page in self._image.leaves(self._visited | self._free):
            for row in page.rows:
                if any(low < row.rowid <= high for low, high in found.gaps) and fits(table, row):
                    old = lying_about.get(row.rowid)
                    if old is None or _updated_ms(table, old) <= _updated_ms(table, row):
                        lying_about[row.rowid] = row
        for rowid in sorted(lying_about):
            yield lying_about[rowid]

    def _read_ids(self, schema: list[list[Value]]) -> None:
        """Which executions there should be: the index over their ids knows them, too."""
        for row in schema:
            if row[1] == "sqlite_autoindex_workflow_1" and isinstance(row[3], int):
                table = Table(str(row[1]), [], None, rowid=False, root=row[3])
                found = self._walk(table)
                self._ids_lost = bool(found.gaps)
                for one in self._rows_of(table, found):
                    if len(one.values) == 2 and isinstance(one.values[0], bytes):
                        self._ids[int(one.values[1] or 0)] = one.values[0]

    # Taking over.

    def _create(self, schema: list[list[Value]]) -> None:
        """The tables of the damaged file, so far as they hold ours, and the rest of ours."""
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        ours = own_tables()
        for kind, name, _, _, text in schema:
            if kind == "table" and not str(name).startswith("sqlite_"):
                self._create_one(str(name), str(text), ours.get(str(name)))
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        assert version == 0, "a fresh file has no version yet"
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS fact "
            "(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID"
        )
        migrate(self._connection)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _create_one(self, name: str, text: str, ours: Table | None) -> None:
        self._connection.execute("SAVEPOINT one")
        try:
            self._connection.execute(text)
            made = described(self._connection, name)
            # One with the same columns is made of our own text: a damaged one may refuse every row.
            good = ours is None or (
                len(made.columns) > len(ours.columns)
                and made.columns[: len(ours.columns)] == ours.columns
                and (made.key, made.rowid) == (ours.key, ours.rowid)
            )
        except (sqlite3.Error, sqlite3.Warning, UnicodeError, LookupError):
            # No text any more, or one that makes another table.
            good = False
        if not good:
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")

    def _take_history(self, tables: list[Table], found: dict[str, _Found]) -> None:
        """Rows and runs in the order in which they were written: their numbers are given anew."""
        rows = [
            (row.rowid, table, row)
            for table in tables
            for row in self._rows_of(table, found[table.name])
        ]
        for _, table, row in sorted(rows, key=itemgetter(0)):
            self._take_row(table, row)
        for table in tables:
            self._count_missing(table, found[table.name])

    def _take(self, table: Table, found: _Found) -> None:
        """The rows of one table that are what was written."""
        for row in self._rows_of(table, found):
            self._take_row(table, row)
        self._count_missing(table, found)

    def _take_row(self, table: Table, row: Row) -> None:
        if not fits(table, row):
            self._damaged[table.name] += 1
            self._lose(table, row)
            return
        marks = ", ".join("?" for _ in table.columns)
        statement = f"INSERT OR IGNORE INTO {quoted(table.name)} VALUES ({marks})"
        try:
            values = self._judged(table, row)
            if values is None:
                return
            written = self._connection.execute(statement, values).rowcount
        except (RowDamaged, sqlite3.Error, UnicodeError, OverflowError) as error:
            self._damaged[table.name] += 1
            self._lose(table, row)
            self._keep_aside(table, row, str(error))
            return
        self._rows[table.name] += max(written, 0)

    def _count_missing(self, table: Table, found: _Found) -> None:
        """What the stretches that a table has lost mean for others."""
        if found.gaps:
            self.report.missing[table.name] = len(found.gaps)
        if table.name == "workflow" and self._ids_lost:
            # Nobody knows whether there was one under each of these numbers.
            last = max(self._keys | set(self._ids), default=0)
            for low, high in found.gaps:
                numbers = range(max(low + 1, 1), min(high, last) + 1)
                self._suspect |= set(numbers[:_MOST_NUMBERS]) - self._keys
        if table.name == "task" and not self._all_accounted_for(table):
            self._doubt(found.gaps)

    def _all_accounted_for(self, table: Table) -> bool:
        """Whether no page is left that may have held rows of a table and cannot be read.

        Then a part of its tree that is gone has led to nothing but what was found lying about. The
        table's own root has: were it a leaf, there would be nothing else.
        """
        if self._damaged[table.name] or not self._rows[table.name]:
            return False
        known = self._free | self._image.overflow | {table.root, *self._roots}
        return all(
            number in known or self._page(number, with_rows=False) is not None
            for number in range(1, self._image.count + 1)
        )

    def _doubt(self, gaps: list[Range]) -> None:
        """Executions that may have lost tasks: who cannot go on has, and the others are told of."""
        for key in self._keys:
            low, high = key << ORDINAL_BITS, (key + 1 << ORDINAL_BITS) - 1
            if not any(low <= above and below < high for below, above in gaps):
                continue
            rows = self._connection.execute(_TASKS_OF, (low, high)).fetchall()
            tasks = [decode_task(body) for (body,) in rows]
            ordinals = [task.ordinal for task in tasks]
            whole = ordinals and ordinals == list(range(ordinals[0], ordinals[-1] + 1))
            if whole and any(not task.settled for task in tasks):
                self._doubtful.add(key)
            else:
                self._suspect.add(key)

    def _lose(self, table: Table, row: Row) -> None:
        """A row is not what was written: the execution that it belongs to has lost something."""
        if table.name == "task":
            self._suspect.add(split_task_key(row.rowid)[0])

    def _keep_aside(self, table: Table, row: Row, reason: str) -> None:
        body = next((one for one in reversed(row.values) if isinstance(one, bytes)), None)
        damage.note(
            self._connection,
            damage.Damage(
                found_ms=self._now_ms,
                table=table.name,
                record=str(row.rowid),
                reason=reason,
                body=body,
                settled=True,
            ),
        )

    def _judged(self, table: Table, row: Row) -> list[Any] | None:
        """The values of a row that is what was written; None = it is left out.

        Raises:
            RowDamaged: it is not.
        """
        values = padded(table, row)
        if table.name == "workflow":
            workflow = integrity.whole_workflow(row.rowid, values)
            self._keys.add(workflow.key)
            # The columns follow from the record, so that they are right again.
            return [*workflow_row(workflow), *values[9:]]
        if table.name == "task":
            task = integrity.whole_task(row.rowid, values)
            if split_task_key(row.rowid)[0] not in self._keys:
                # Its execution is lost: an execution that is removed takes its tasks along.
                self._suspect.add(split_task_key(row.rowid)[0])
                return None
            return [row.rowid, task.due_ms or None, *values[2:]]
        if table.name == "history":
            return self._record(row.rowid, values)
        if table.name == "sealed":
            return self._run(row.rowid, values)
        if table.name == "fact" and values[0] == "epoch":
            self._epoch = int(values[1] or 0)
            return None
        if table.name == "lane":
            self._acked[int(values[0] or 0)] = int(values[1] or 0)
            return None
        if table.name == "redo":
            self._redo(redo.unpack(integrity.bytes_of("redo", values[1])))
            return None
        if table.name in integrity.TABLES:
            integrity.TABLES[table.name](row.rowid, values)
        return values

    def _redo(self, batch: Staged) -> None:
        """Put in place what one COMMIT has changed."""
        put(self._connection, batch)
        self._keys |= batch.workflows.keys()
        self._keys -= batch.removed.keys()
        for key in batch.removed:
            self._ids.pop(key, None)
        # What has no record of its execution any more is of one that is lost.
        for key in {split_task_key(one)[0] for one in batch.tasks} - self._keys:
            self._suspect.add(key)
            self._connection.execute("DELETE FROM task WHERE key >> ? = ?", (ORDINAL_BITS, key))

    def _record(self, key: int, values: list[Value]) -> list[Value] | None:
        """A record of history under its number in the new lineage; None = it was acknowledged."""
        lane, seq = key >> sealed.LANE_BITS, key & (1 << sealed.LANE_BITS) - 1
        if seq <= self._acked.get(lane, 0):
            return None
        body = integrity.history_body(key, values)
        self._lanes[lane] += 1
        new, columns = lane << sealed.LANE_BITS | self._lanes[lane], values[1:4]
        return [new, *columns, with_checksum(body, seed_of(new, *columns)), *values[5:]]

    def _run(self, key: int, values: list[Value]) -> list[Value] | None:
        """The same of a run of records. Raises RowDamaged."""
        lane, seq = key >> sealed.LANE_BITS, key & (1 << sealed.LANE_BITS) - 1
        count = sealed.checked_count(key, values[2])
        if seq + count - 1 <= self._acked.get(lane, 0):
            return None
        new = lane << sealed.LANE_BITS | self._lanes[lane] + 1
        self._lanes[lane] += count
        return [new, count, *values[2:]]

    # Afterwards.

    def _finish(self) -> None:
        connection, report = self._connection, self.report
        # Without any trace of the old number one that no counting can have reached.
        report.epoch = (self._epoch or self._now_ms // 1000) + 1
        connection.execute("INSERT OR REPLACE INTO fact VALUES ('epoch', ?)", (report.epoch,))
        lanes = [(lane, last + 1) for lane, last in self._lanes.items()]
        connection.executemany("INSERT INTO lane (lane, acked, next_seq) VALUES (?, 0, ?)", lanes)
        weigh(connection)
        self._miss_definitions()
        self._miss_children()
        lost = {key for key in self._ids if key not in self._keys}
        orphans = {key for key in self._suspect if key not in self._keys and key not in lost}
        for key in sorted(lost):
            self._tell(key, workflow_uuid(self._ids[key]), "its record is gone", settled=True)
            report.lost_workflows.append(workflow_uuid(self._ids[key]))
        report.lost_workflows += [f"number {key}" for key in sorted(orphans)]
        for key in sorted((self._suspect | self._doubtful) & self._keys):
            row = connection.execute("SELECT id FROM workflow WHERE key = ?", (key,)).fetchone()
            name = workflow_uuid(row[0])
            report.incomplete_workflows.append(name)
            self._tell(key, name, "some of its records are gone", settled=key not in self._suspect)
        for table in ("workflow", "task", "task_log"):
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if count or table in self._rows:
                self._rows[table] = count
        report.rows, report.damaged = dict(self._rows), dict(self._damaged)

    def _tell(self, key: int, workflow_id: str, reason: str, *, settled: bool) -> None:
        damage.note(
            self._connection,
            damage.Damage(
                found_ms=self._now_ms,
                table="workflow",
                record=str(key),
                reason=reason,
                workflow_id=workflow_id,
                settled=settled,
            ),
        )

    def _miss_definitions(self) -> None:
        """Executions whose definition is gone get an empty one: so they can be shown and ended."""
        connection = self._connection
        there = {row[0] for row in connection.execute("SELECT key FROM pinned_definition")}
        for key, body in connection.execute("SELECT key, body FROM workflow").fetchall():
            workflow = decode_workflow(body)
            if workflow.pinned in there:
                continue
            self._suspect.add(key)
            there.add(workflow.pinned)
            self.report.lost_definitions.append(f"{workflow.name} version {workflow.version}")
            empty = WorkflowDefinition(name=workflow.name, version=workflow.version, tasks=[])
            damage.put_empty_definition(connection, workflow.pinned, encode_document(empty))

    def _miss_children(self) -> None:
        """Tasks that wait for an execution that is gone would wait for ever."""
        there = {row[0] for row in self._connection.execute("SELECT id FROM workflow")}
        for key, body in self._connection.execute(_WAITING_FOR_CHILDREN).fetchall():
            task = decode_task(body)
            waits = task.kind == "SUB_WORKFLOW" and task.child and not task.status.terminal
            if waits and task.child not in there:
                self._suspect.add(split_task_key(key)[0])


def _updated_ms(table: Table, row: Row) -> int:
    """When a row was last written, where it tells; of two with one key the later one counts."""
    try:
        if table.name == "workflow":
            return integrity.whole_workflow(row.rowid, row.values).updated_ms
        if table.name == "task":
            return integrity.whole_task(row.rowid, row.values).updated_ms
    except (RowDamaged, IndexError):
        return -1
    return 0
