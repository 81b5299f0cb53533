"""What an endpoint takes and answers is found in its source, through the functions it calls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.api import bulk, executions, lookups, metadata, sources, tasks
from edge.api.sources import Parameter, read
from tests.unit.edge.api.odd_endpoint import Documented, endpoint


def test_every_reader_is_found() -> None:
    """Names, types, defaults and what must be there; a name that is no constant is left out."""
    reading = read(endpoint)

    assert [
        Parameter("a", "string", default="x"),
        Parameter("b", "string", required=True),
        Parameter("c", "array"),
        Parameter("d", "integer"),
        Parameter("e", "integer", default=7),
        Parameter("f", "integer", default=3),
        Parameter("g", "boolean", default=False),
    ] == sorted(reading.query.values(), key=lambda one: one.name)
    assert "object" == reading.body
    assert {202: {"text/csv; header=present"}, 204: {"nothing"}} == reading.answers


@pytest.mark.parametrize(
    ("real", "names", "body", "statuses"),
    [
        (lookups.search, {"start", "size", "query", "freeText"}, None, {200}),
        (executions.get_tasks, {"start", "count", "status"}, None, {200}),
        (bulk.pause, set(), "array", {200}),
        (tasks.poll, {"domain", "workerid"}, None, {200, 204}),
        (tasks.add_log, set(), "bytes", {200}),
        (metadata.put_tasks, set(), "any", {200}),
    ],
)
def test_real_endpoints(real: Any, names: set[str], body: str | None, statuses: set[int]) -> None:
    """Also where a page's parameters are read by a function that several share."""
    reading = read(real)

    assert names <= set(reading.query)
    assert body == reading.body
    assert statuses == set(reading.answers)


def test_what_has_no_source_tells_nothing() -> None:
    """A built-in, or a module that was never a file."""
    assert {} == read(print).query
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("async def endpoint(call): call.text('a')", namespace)
    assert {} == read(namespace["endpoint"]).query
    assert {} == sources.field_texts(msgspec.defstruct("Made", ["a"]))


def test_words_under_fields() -> None:
    """In one line, by the name of the field."""
    assert {"first": "What the first one is.", "third": "The third."} == sources.field_texts(
        Documented
    )


def test_trees_leave_memory() -> None:
    """Once the document is built nobody needs them."""
    read(lookups.search)
    assert 0 < sources._definitions.cache_info().currsize
    sources.forget()
    assert 0 == sources._definitions.cache_info().currsize
