"""jq: everything that a program emits, and what goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.script_child import jq_script
from edge.script_child.frames import Job, Kind, Reply, Verdict
from edge.script_child.jq_script import Jq

_DOCUMENT = {
    "queryExpression": ".",
    "n": 3.0,
    "half": 2.5,
    "items": [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}],
    "text": "a\nb",
}


def _run(program: str, document: Any = None) -> Reply:
    scope = json.dumps(_DOCUMENT if document is None else document).encode()
    return Jq().run(Job(Kind.VALUE, program.encode(), scope, 4_000))


@pytest.mark.parametrize(
    ("program", "emitted"),
    [
        (".n", [3]),
        (".n, .half", [3, 2.5]),
        (".items[].id", [1, 2]),
        (".items | map(select(.tags | length > 0)) | length", [1]),
        ("empty", []),
        (".nothing", [None]),
        (".text", ["a\nb"]),
        ("{ids: [.items[].id], total: (.items | length)}", [{"ids": [1, 2], "total": 2}]),
        ("[.items[] | {(.id | tostring): .tags}] | add", [{"1": ["a", "b"], "2": []}]),
        (".items as [$first] | $first.id", [1]),
        ('try error("x") catch .', ["x"]),
        ("[limit(3; repeat(1))]", [[1, 1, 1]]),
        ("reduce .items[] as $i (0; . + $i.id)", [3]),
        ('"\\(.n)" | test("3")', [True]),
        ("9007199254740992, 1e18, 1e19", [2**53, 10**18, 1e19]),
        ("infinite, nan", [1.7976931348623157e308, None]),
        ('"2015-03-05T23:51:47Z" | fromdate', [1425599507]),
        ("keys", [["half", "items", "n", "queryExpression", "text"]]),
    ],
)
def test_everything_that_is_emitted(program: str, emitted: list[Any]) -> None:
    """In its order; whole numbers are integers."""
    reply = _run(program)

    assert Verdict.VALUE == reply.verdict, reply
    result = json.loads(reply.body)
    assert emitted == result
    assert [type(value) for value in emitted] == [type(value) for value in result]


@pytest.mark.parametrize(
    ("program", "emitted"),
    [
        ("env", [{}]),
        ("$ENV", [{}]),
        ("$ENV.TZ, env.TZ", [None, None]),
        ('def zone: env.TZ; "\\(zone)"', ["null"]),
        ("# env\n.n", [3]),
        (".env, {env: 1}.env", [None, 1]),
    ],
)
def test_the_environment_is_empty(
    program: str, emitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time zone stands there, because local times need it, and is not shown either."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    reply = _run(program)

    assert Verdict.VALUE == reply.verdict, reply
    assert emitted == json.loads(reply.body)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (".[", "syntax error"),
        (".items | keys | .[0].x", "Cannot index number with"),
        ('error("mine")', "mine"),
        (".text / 0", "cannot be divided"),
        ("input", "break"),
        ('import "x" as x; 1', "module not found"),
        ("nope(1)", "not defined"),
    ],
)
def test_what_goes_wrong_is_told(program: str, message: str) -> None:
    """In the words of jq."""
    reply = _run(program)

    assert Verdict.FAILED == reply.verdict
    assert message in reply.body.decode()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (".text.array", 'Cannot index string with string "array"'),
        (".items[0].id.n", 'Cannot index number with string "n"'),
        (".text[0]", "Cannot index string with number"),
    ],
)
def test_a_key_that_fits_nothing(program: str, message: str) -> None:
    """In the words of Conductor's jq: clients look for them."""
    assert message == _run(program).body.decode()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('"x" * 11000000', "larger than 10 megabytes"),
        ("reduce range(3000) as $i (0; [.])", "nested"),
    ],
)
def test_results_that_cannot_be_stored(program: str, message: str) -> None:
    """They fail the program, and the message says why."""
    reply = _run(program)

    assert Verdict.FAILED == reply.verdict
    assert message in reply.body.decode()


def test_compiled_programs_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones that were used last; every one of them still works on every document."""
    monkeypatch.setattr(jq_script, "_PROGRAMS", 2)
    engine = Jq()

    for number in (1, 2, 3, 1, 2):
        for value in (10, 20):
            job = Job(Kind.VALUE, f". + {number}".encode(), str(value).encode(), 1_000)
            assert json.dumps([value + number]).encode() == engine.run(job).body

    assert 2 == len(engine._programs)
