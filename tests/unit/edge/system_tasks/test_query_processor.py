"""QUERY_PROCESSOR finds what a search finds, and names what it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.engine import Engine
from edge.model.errors import InvalidInput
from edge.model.executions import TaskStatus
from edge.model.requests import Answer
from edge.system_tasks.query_processor import QueryProcessor, query_of
from tests.unit.edge.engine_house import define, run, simple, start
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.system_tasks.test_http import view_of

_NOW_MS = 1_700_000_000_000


def _query(**values: Any) -> str:
    return query_of({"queryType": "CONDUCTOR_API", **values}, _NOW_MS)


@pytest.mark.parametrize(
    ("values", "query"),
    [
        ({}, ""),
        ({"workflowNames": [], "statuses": "", "startTimeFrom": "", "endTimeTo": None}, ""),
        ({"workflowNames": "a b"}, 'workflowType IN ("a b")'),
        ({"workflowNames": ["a", 'b"c']}, 'workflowType IN ("a", \'b"c\')'),
        (
            {"statuses": ["FAILED", " RUNNING "], "correlationIds": "x"},
            'status IN ("FAILED", "RUNNING") AND correlationId IN ("x")',
        ),
        (
            {"startTimeFrom": 15, "startTimeTo": "0"},
            f"startTime >= {_NOW_MS - 900_000} AND startTime <= {_NOW_MS}",
        ),
        ({"endTimeFrom": 1, "endTimeTo": 1e12}, f"endTime >= {_NOW_MS - 60_000} AND endTime <= 0"),
    ],
)
def test_inputs_become_a_query(values: dict[str, Any], query: str) -> None:
    """What is empty asks for nothing; times are minutes before now."""
    assert query == _query(**values)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"queryType": "METRICS"}, "queryType"),
        ({"queryType": "SQL"}, "queryType"),
        ({"queryType": None}, "queryType"),
        ({"startTimeFrom": "soon"}, "startTimeFrom"),
        ({"endTimeTo": -1}, "endTimeTo"),
        ({"statuses": ["RUNNING"] * 1_001}, "statuses"),
        ({"statuses": ["RUNNING", "SLEEPING"]}, "statuses: 'SLEEPING'"),
        ({"workflowNames": ["a\"b'c"]}, "workflowNames"),
    ],
)
def test_what_cannot_be_used_is_named(values: dict[str, Any], field: str) -> None:
    """The message begins with the field."""
    with pytest.raises(InvalidInput, match=f"^{field}"):
        _query(**values)


def test_executions_are_found(tmp_path: Path) -> None:
    """Counted, shown as lines of a search, payloads only while they are short."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await define(engine, "flow", simple("a"))
        await define(engine, "other", simple("a"))
        first = await start(engine, "flow", correlation_id="c", input={"x": 1})
        clock.pass_s(3_600)
        second = await start(engine, "flow", input={"x": "y" * 3_000})
        await start(engine, "other")
        processor = QueryProcessor(engine)

        async def ask(**values: Any) -> Answer:
            posted = {"queryType": "conductor_api", **values}
            return await processor(view_of(posted, "QUERY_PROCESSOR"))

        both = (await ask(workflowNames="flow", statuses="RUNNING")).output["result"]
        late = (await ask(workflowNames=["flow"], startTimeFrom=30)).output["result"]
        one = (await ask(correlationIds=["c"])).output["result"]
        found = (await ask(freeText=first)).output["result"]
        everything = (await ask()).output["result"]

        assert (2, 2) == (both["totalHits"], both["count"])
        assert [second, first] == [line["workflowId"] for line in both["workflows"]]
        assert "/#/workflows?name=flow&status=RUNNING" == both["workflowsUrl"]
        assert [second] == [line["workflowId"] for line in late["workflows"]]
        assert "input" not in late["workflows"][0]
        assert 3_000 < late["workflows"][0]["inputSize"]
        assert ('{"x":1}', "c") == (
            one["workflows"][0]["input"],
            one["workflows"][0]["correlationId"],
        )
        assert [first] == [line["workflowId"] for line in found["workflows"]]
        assert (3, "/#/workflows") == (everything["totalHits"], everything["workflowsUrl"])

    run(tmp_path, body, clock=clock, timers=False)


def test_a_wrong_input_fails_for_good(tmp_path: Path) -> None:
    """To try again would not make it right."""

    async def body(engine: Engine) -> None:
        done = await QueryProcessor(engine)(view_of({}, "QUERY_PROCESSOR"))

        assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is done.status
        assert "queryType" in (done.reason or "")

    run(tmp_path, body)
