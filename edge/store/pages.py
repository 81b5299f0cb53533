"""SQLite's file format, as far as rows have to be found in a file that SQLite gives up on.

No table of ours is named here, and nothing is written. After https://sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

Value = int | float | str | bytes | None
"""What a column can hold."""

_HEADER = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_LOOKED_AT = 2_000
"""Places of a file that are looked at to see how large its pages are."""

_WAL_HEADER, _FRAME_HEADER = 32, 24
_WAL_MAGIC = 0x377F0682
"""With one more, its checksums are of big-endian words."""

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
_INTERIOR = (INDEX_INTERIOR, TABLE_INTERIOR)
_SHOWN_KINDS = (*_INTERIOR, INDEX_LEAF, TABLE_LEAF)

_MOST_OVERFLOW = 300_000
"""Pages of one record; its chain cannot be longer than SQLite's largest record."""

_SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
"""Bytes of a value by its serial type; from 12 on they follow from the number."""


class Unreadable(Exception):
    """Bytes that are no page, cell or record. What lies beside them may be readable still."""


class Frames(msgspec.Struct, frozen=True):
    """What a write-ahead log holds of its present generation."""

    salts: tuple[int, int] = (0, 0)
    """The first counts generations."""
    good: int = 0
    """Frames up to the last commit that SQLite itself will find."""
    whole: int = 0
    """Frames that are as they were written, beyond damaged ones, too."""
    last_commit: int = 0
    """Number of the last whole frame that ends a transaction."""
    pages: dict[int, int] = {}
    """Where in the log the newest content of a page begins."""


class Row(NamedTuple):
    """One row of a table as it stands in a page."""

    rowid: int
    """0 in a table that has none."""
    values: list[Value]


class Page(NamedTuple):
    """What is known of one b-tree page."""

    kind: int
    children: list[tuple[int, int]]
    """Of an interior page of a table: number of a page, and the largest row id in it."""
    rows: list[Row]
    damaged: list[tuple[int | None, int | None]]
    """For each cell that cannot be read: the row ids before and behind it; None = not known."""


class Image:
    """The pages of a database file with its log laid over them.

    Args:
        path: of the file; the log is looked for beside it.
    """

    def __init__(self, path: Path) -> None:
        self._file = _mapped(path)
        self._log = _mapped(path.with_name(path.name + "-wal"))
        self.frames = read_frames(self._log)
        self.page_bytes = self._page_bytes()
        self.overflow: set[int] = set()
        """Pages that hold the rest of a record that was read."""
        self.reserved = self._file[20] if self._has_header() else 0
        self.count = -(-len(self._file) // self.page_bytes)
        if self.frames.pages:
            self.count = max(self.count, *self.frames.pages)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in (self._file, self._log):
            if isinstance(one, mmap.mmap):
                one.close()

    def _has_header(self) -> bool:
        return self._file[:16] == _HEADER

    def _page_bytes(self) -> int:
        """The file says it, or else its log; otherwise it is seen from where pages begin."""
        told = int.from_bytes(self._file[16:18], "big") if self._has_header() else 0
        told = 65_536 if told == 1 else told
        if not _is_page_size(told):
            told = int.from_bytes(self._log[8:12], "big")
        return told if _is_page_size(told) else _seen_page_size(self._file)

    def raw(self, number: int) -> bytes:
        """A page as it was last committed, counted from 1; b"" = there is none."""
        at = self.frames.pages.get(number)
        if at is not None:
            return bytes(self._log[at : at + self.page_bytes])
        start = (number - 1) * self.page_bytes
        return bytes(self._file[start : start + self.page_bytes]) if number > 0 else b""

    def page(self, number: int, *, with_rows: bool = True) -> Page:
        """A b-tree page.

        Args:
            number: of it, from 1.
            with_rows: whether its rows are read; they cost most of the time.

        Raises:
            Unreadable: it is none.
        """
        raw = self.raw(number)
        start = _HEADER_BYTES if number == 1 else 0
        if len(raw) < self.page_bytes:
            raise Unreadable(f"page {number} is cut off")
        kind = raw[start]
        if kind not in (*_INTERIOR, INDEX_LEAF, TABLE_LEAF):
            raise Unreadable(f"page {number} is no page of a tree")
        return self._cells(raw, start, kind, with_rows=with_rows)

    def _cells(self, raw: bytes, start: int, kind: int, *, with_rows: bool) -> Page:
        count = int.from_bytes(raw[start + 3 : start + 5], "big")
        first = start + (12 if kind in _INTERIOR else 8)
        page = Page(kind, [], [], [])
        if first + 2 * count > len(raw):
            raise Unreadable("more cells than fit")
        before: int | None = None
        waiting = 0
        for index in range(count if with_rows or kind in _INTERIOR else 0):
            at = int.from_bytes(raw[first + 2 * index : first + 2 * index + 2], "big")
            try:
                row = self._cell(raw, at, kind, page.children, with_rows=with_rows)
            except (Unreadable, IndexError, struct.error, UnicodeDecodeError):
                waiting += 1
                continue
            if row is None:
                continue
            page.rows.append(row)
            page.damaged.extend([(before, row.rowid)] * waiting)
            before, waiting = row.rowid, 0
        page.damaged.extend([(before, None)] * waiting)
        if kind in _INTERIOR:
            right = int.from_bytes(raw[start + 8 : start + 12], "big")
            page.children.append((right, (1 << 63) - 1))
        return page

    def _cell(
        self,
        raw: bytes,
        at: int,
        kind: int,
        children: list[tuple[int, int]],
        *,
        with_rows: bool,
    ) -> Row | None:
        """One cell: a row, or with None only a child of the page."""
        if kind in _INTERIOR:
            child = int.from_bytes(raw[at : at + 4], "big")
            at += 4
            if kind == TABLE_INTERIOR:
                children.append((child, _signed(varint(raw, at)[0])))
                return None
            children.append((child, 0))
            if not with_rows:
                return None
        size, at = varint(raw, at)
        rowid = 0
        if kind == TABLE_LEAF:
            unsigned, at = varint(raw, at)
            rowid = _signed(unsigned)
        return Row(rowid, record(self._payload(raw, at, size, kind)))

    def _payload(self, raw: bytes, at: int, size: int, kind: int) -> bytes:
        """A record's bytes, from its overflow pages, too."""
        usable = self.page_bytes - self.reserved
        most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        least = (usable - 12) * 32 // 255 - 23
        if size > self.count * usable:
            raise Unreadable("a record larger than the file")
        if size <= most:
            found = raw[at : at + size]
            if len(found) < size:
                raise Unreadable("a record beyond its page")
            return found
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
        parts, left = [raw[at : at + local]], size - local
        following = int.from_bytes(raw[at + local : at + local + 4], "big")
        for _ in range(_MOST_OVERFLOW):
            if left <= 0:
                return b"".join(parts)
            page = self.raw(following)
            if len(page) < self.page_bytes:
                raise Unreadable("a record whose rest is missing")
            self.overflow.add(following)
            part = page[4 : 4 + min(left, usable - 4)]
            parts.append(part)
            left -= len(part)
            following = int.from_bytes(page[:4], "big")
        raise Unreadable("a record without an end")

    def leaves(self, without: set[int], holding: bytes = b"") -> Iterator[tuple[int, Page]]:
        """Every leaf of any table that can be read, but for some pages.

        Args:
            without: numbers of pages that are left out.
            holding: leaves without these bytes are left out.
        """
        for number in range(1, self.count + 1):
            if number in without or holding not in self.raw(number):
                continue
            with contextlib.suppress(Unreadable):
                if self.page(number, with_rows=False).kind == TABLE_LEAF:
                    yield number, self.page(number)

    def free(self) -> set[int]:
        """Pages that hold nothing any more, as far as the list of them can be followed."""
        first = self.raw(1)
        if first[:16] != _HEADER:
            return set()
        found: set[int] = set()
        trunk = int.from_bytes(first[32:36], "big")
        while trunk and trunk not in found and trunk <= self.count:
            found.add(trunk)
            raw = self.raw(trunk)
            count = int.from_bytes(raw[4:8], "big")
            if count <= self.page_bytes // 4 - 2:
                found.update(struct.unpack_from(f">{count}I", raw, 8))
            trunk = int.from_bytes(raw[:4], "big")
        return found


def _mapped(path: Path) -> mmap.mmap | bytes:
    """A file's bytes; b"" when there is none or it is empty."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        return b""


def _is_page_size(size: int) -> bool:
    return size in _PAGE_SIZES


def _seen_page_size(file: mmap.mmap | bytes) -> int:
    """The size by which about as many pages begin as by any, and end, too.

    By half of it every other place is none. By twice as much each is one, and nothing stands in the
    upper half of it, where a page is filled from.
    """
    begun, filled = {}, {}
    for size in _PAGE_SIZES:
        begun[size], filled[size] = _shares_of_pages(file, size)
    likely = [size for size, share in begun.items() if share >= 0.6 * max(begun.values())]
    return max(likely, key=lambda size: (filled[size], -size))


def _shares_of_pages(file: mmap.mmap | bytes, size: int) -> tuple[float, float]:
    """Of the places where pages of a size would begin: where one seems to, and is filled so far."""
    places = range(0, len(file) - size + 1, size)
    # An odd step: with an even one, half of the places would be passed over, and always the same.
    places = places[:: (len(places) // _LOOKED_AT + 1) | 1]
    ends = [end for at in places if (end := _last_cell(file, at, size)) is not None]
    filled = sum(end >= size // 2 for end in ends)
    return len(ends) / max(len(places), 1), filled / max(len(places), 1)


def _last_cell(file: mmap.mmap | bytes, at: int, size: int) -> int | None:
    """Where the last cell of a page begins, and an empty page ends; None = no page seems to begin."""
    kind, cells = file[at], int.from_bytes(file[at + 3 : at + 5], "big")
    content = int.from_bytes(file[at + 5 : at + 7], "big") or 65_536
    head = 12 if kind in _INTERIOR else 8
    # The first cell lies behind the list of all of them, and inside of the page.
    if kind not in _SHOWN_KINDS or not head + 2 * cells <= content <= size:
        return None
    if not cells:
        return content
    starts: tuple[int, ...] = struct.unpack_from(f">{cells}H", file, at + head)
    return max(starts) if content <= min(starts) and max(starts) < size else None


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where the next begins."""
    value = raw[at]
    if value < 0x80:
        return value, at + 1
    value = 0
    for index in range(8):
        byte = raw[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | raw[at + 8], at + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def record(payload: bytes) -> list[Value]:
    """The columns of a record.

    Raises:
        Unreadable, IndexError, UnicodeDecodeError: it is none.
    """
    end, at = varint(payload, 0)
    if not at <= end <= len(payload):
        raise Unreadable("no head of a record")
    values: list[Value] = []
    body = end
    while at < end:
        serial = payload[at]
        at += 1
        if serial >= 0x80:
            serial, at = varint(payload, at - 1)
        if serial in (10, 11):
            raise Unreadable("a type that no file holds")
        size = _SIZES[serial] if serial < 12 else (serial - 12) // 2
        part = payload[body : body + size]
        body += size
        if body > len(payload):
            raise Unreadable("a value beyond its record")
        values.append(_value(serial, part))
    if body != len(payload):
        raise Unreadable("more than its values")
    return values


def _value(serial: int, part: bytes) -> Value:
    if serial >= 12:
        # A text that is none any more cannot be written again; what it stands beside may be whole.
        return part if serial % 2 == 0 else part.decode(errors="surrogateescape")
    if serial == 0:
        return None
    if serial == 7:
        number: float = struct.unpack(">d", part)[0]
        return number
    return serial - 8 if serial > 7 else int.from_bytes(part, "big", signed=True)


def read_frames(log: mmap.mmap | bytes) -> Frames:
    """What a write-ahead log holds.

    Each frame is held against the checksum of the one before it, as that one tells it: so whole
    frames are found behind a damaged one, where SQLite stops reading.
    """
    if len(log) < _WAL_HEADER:
        return Frames()
    magic, _, page_bytes, _, salt1, salt2, *told = struct.unpack_from(">8I", log, 0)
    if magic & ~1 != _WAL_MAGIC or not _is_page_size(page_bytes):
        return Frames()
    order = ">" if magic & 1 else "<"
    head_whole = list(_sum(order, log[:24], (0, 0))) == told
    before: tuple[int, int] = (told[0], told[1])
    good = whole = last_commit = good_commit = number = 0
    found: list[tuple[int, int, int]] = []
    for at in range(
        _WAL_HEADER, len(log) - _FRAME_HEADER - page_bytes + 1, _FRAME_HEADER + page_bytes
    ):
        page, size, one, other, *sums = struct.unpack_from(">6I", log, at)
        number += 1
        if (one, other) != (salt1, salt2):
            # A frame of an older generation; behind a damaged head there may be newer ones.
            before = (sums[0], sums[1])
            continue
        content = at + _FRAME_HEADER
        start = _sum(order, log[at : at + 8], before)
        if _sum(order, log[content : content + page_bytes], start) == tuple(sums) and page:
            whole += 1
            found.append((number, page, content))
            if head_whole and good == number - 1:
                good = number
            if size:
                last_commit = number
                good_commit = number if good == number else good_commit
        before = (sums[0], sums[1])
    pages = {page: at for number, page, at in found if number <= last_commit}
    return Frames((salt1, salt2), good_commit, whole, last_commit, pages)


def _sum(order: str, part: bytes, start: tuple[int, int]) -> tuple[int, int]:
    """The checksum of a log, going on from an earlier one; the part is of whole pairs of words."""
    first, second = start
    words = struct.unpack(f"{order}{len(part) // 4}I", part)
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = first + one + second & 0xFFFFFFFF
        second = second + other + first & 0xFFFFFFFF
    return first, second
