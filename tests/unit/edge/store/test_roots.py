"""Where a table begins, whatever the schema says."""

from __future__ import annotations

import pytest

from edge.store.migrations import own_tables
from edge.store.pages import TABLE_LEAF, Page, Row, Value
from edge.store.roots import NOWHERE, root_of

_LEAF = 7
_EMPTY = 8
_OTHERS = 9
_PAGES = {
    5: Page(5, [(_LEAF, 10), (_EMPTY, 20)], [], []),
    _LEAF: Page(TABLE_LEAF, [], [Row(1, [None, b"body"])], []),
    _EMPTY: Page(TABLE_LEAF, [], [], []),
    _OTHERS: Page(TABLE_LEAF, [], [Row(1, ["a name", 3, 4.5])], []),
}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (None, 0),
        (_LEAF, _LEAF),
        (5, 5),
        (_EMPTY, _EMPTY),
        (_OTHERS, NOWHERE),
        (0, NOWHERE),
        (1, NOWHERE),
        ("a text", NOWHERE),
        (404, 404),
    ],
)
def test_a_root_is_believed_where_it_leads_to_rows_that_fit(told: Value, found: int) -> None:
    """Or to none at all; what cannot be read is counted by whoever walks there."""
    assert found == root_of(own_tables()["redo"], told, set(), _PAGES.get)


def test_an_empty_page_that_is_anothers_is_no_root() -> None:
    """It is free, or the root of a second table: what it leads to is not what is missing."""
    assert NOWHERE == root_of(own_tables()["redo"], _EMPTY, {_EMPTY}, _PAGES.get)


def test_of_a_table_without_checksums_the_schema_is_believed() -> None:
    """Nobody could find its rows by themselves."""
    assert _OTHERS == root_of(own_tables()["fact"], _OTHERS, set(), _PAGES.get)
