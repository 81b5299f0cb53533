"""``baton search``: what is asked for, and how it is printed."""

from __future__ import annotations

import json

from tests.unit.edge.cli.conftest import Type


def test_search(type_: Type) -> None:
    """By name, status and text, as a table and as JSON."""
    done = type_("start", "hello", "--input", "name=needle", "--wait", "--json")
    workflow_id = json.loads(done.output)["workflowId"]
    found = json.loads(type_("search", "--text", "needle", "--json").output)
    table = type_("search", "--name", "hello", "--status", "completed", "--size", "1")

    assert [workflow_id] == [one["workflowId"] for one in found["results"]]
    assert "hello" in table.output
    assert 1 == type_("search", "no such grammar").exit_code
    assert 2 == type_("search", "--status", "ODD").exit_code


def test_time_and_correlation(type_: Type) -> None:
    """What was started in a span of time, and what belongs together; nothing but ids on demand."""
    words = ("search", "--correlation-id", "batch 7", "--ids")
    ids = [
        type_("start", "waiting", "--correlation-id", "batch 7").stdout.strip() for _ in range(2)
    ]

    assert sorted(ids) == sorted(type_(*words, "--since", "1h").stdout.split())
    assert "" == type_(*words, "--until", "1h").stdout
    assert "" == type_(*words, "--status", "FAILED", "--status", "COMPLETED").stdout
    assert 1 == len(type_(*words, "--size", "1", "--sort", "startTime:ASC").stdout.split())
    refused = type_(*words, "--since", "yesterday")
    assert 2 == refused.exit_code
    assert "--since" in refused.stderr


def test_filters_narrow_the_whole_query(type_: Type) -> None:
    """An OR in the query does not reach around them, and a value is never read as grammar."""
    waiting = type_("start", "waiting", "--correlation-id", 'a"b,c').stdout.strip()
    either = ("search", "status = RUNNING OR status = COMPLETED", "--ids", "--size", "5000")
    named = type_(*either, "--name", "waiting", "--json")

    assert {"waiting"} == {one["workflowType"] for one in json.loads(named.stdout)["results"]}
    assert [waiting] == type_("search", "--correlation-id", 'a"b,c', "--ids").stdout.split()
    assert "" == type_("search", "--name", "waiting,hello", "--ids").stdout


def test_a_query_that_ends_in_an_operator_is_refused(type_: Type) -> None:
    """As it was typed, with the place; also where other options narrow it."""
    alone = type_("search", "status = FAILED AND")
    narrowed = type_("search", "status = FAILED AND", "--name", "hello")

    assert (1, 1) == (alone.exit_code, narrowed.exit_code)
    assert "status = FAILED AND (expected the name of a field, at character 20)" in alone.stderr
    assert "expected the name of a field" in narrowed.stderr


def test_a_wrong_sort_is_refused(type_: Type) -> None:
    """With all that there are; the daemon would leave it out, and the order be another one."""
    unknown = type_("search", "--sort", "foo")
    odd = type_("search", "--sort", "startTime:UP")
    several = type_("search", "--sort", "workflowType|startTime:desc", "--ids")

    assert 2 == unknown.exit_code
    assert "'foo' is none of workflowId, workflowType" in unknown.stderr
    assert 2 == odd.exit_code
    assert "'UP' is neither ASC nor DESC" in odd.stderr
    assert 0 == several.exit_code
