"""Where the tree of a table begins, in a file whose schema may say something else.

One bit more or less in the number of a page, and it is the root of another table.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from edge.store import integrity
from edge.store.pages import Page, Value
from edge.store.relations import Table, fits

NOWHERE = -1
"""In place of a root that is lost."""

MOST_DEEP = 40
"""Floors of a tree; a file with more of them goes round in a circle."""


def root_of(
    table: Table, told: Value, doubtful: Container[int], page_of: Callable[[int], Page | None]
) -> int:
    """The page with which a table begins; 0 = it has none, ``NOWHERE`` = not where it is said to be.

    Args:
        table: what its rows look like.
        told: what the schema says; None = it does not know the table.
        doubtful: pages that are free, or said to be the root of several: an empty one is nobody's.
        page_of: reads a page; None = it cannot be read.
    """
    if told is None:
        return 0
    if not isinstance(told, int) or told <= 1:
        return NOWHERE
    # Rows of the others carry nothing by which they could be found without their tree.
    if not table.rowid or table.name not in integrity.TABLES:
        return told
    page = page_of(told)
    for _ in range(MOST_DEEP):
        if page is None or not page.children:
            break
        page = page_of(page.children[0][0])
    if page is None:
        return told
    is_own = any(fits(table, row) for row in page.rows) if page.rows else told not in doubtful
    return told if is_own else NOWHERE
