"""What a reply, or the end of a process, means for the script that was asked about."""

from __future__ import annotations

import signal

import pytest

from edge.decider.scripts import ScriptTimedOut
from edge.script_answers import Answer, Question, answer_of, no_process, post_mortem
from edge.script_child.frames import Job, Kind, Reply, Verdict
from edge.script_process import ProcessEnded
from edge.script_processes import CannotStart

_QUESTION = Question("javascript", Job(Kind.VALUE, b"1", b"{}", 1_500))


def _said(answer: Answer) -> str:
    assert answer.error is not None
    return str(answer.error)


def test_the_same_question_has_the_same_key() -> None:
    """And no other has: nor one whose parts run into each other in another place."""
    job = _QUESTION.job
    others = [
        _QUESTION._replace(language="jq"),
        _QUESTION._replace(job=job._replace(expression=b"1{", scope=b"}")),
        _QUESTION._replace(job=job._replace(scope=b"[]")),
        _QUESTION._replace(job=job._replace(console=True)),
    ]

    assert _QUESTION.key == _QUESTION._replace(job=job._replace(limit_ms=1)).key
    assert 5 == len({_QUESTION.key, *(other.key for other in others)})
    assert _QUESTION.script == others[2].script != others[1].script


def test_values_failures_and_the_end_of_time() -> None:
    """Each with the lines that were logged."""
    logs = b'["[Log] \\"a\\""]'

    assert Answer([1, {"a": None}], None, ('[Log] "a"',)) == answer_of(
        Reply(Verdict.VALUE, b'[1,{"a":null}]', logs), _QUESTION
    )
    assert "boo" == _said(answer_of(Reply(Verdict.FAILED, b"boo", logs), _QUESTION))
    timed_out = answer_of(Reply(Verdict.TIMED_OUT, logs=logs), _QUESTION)
    assert "Script not evaluated within 1.5 seconds, interrupted." == _said(timed_out)
    assert isinstance(timed_out.error, ScriptTimedOut)
    assert ('[Log] "a"',) == timed_out.logs


@pytest.mark.parametrize(
    "reply",
    [
        Reply(Verdict.VALUE, b"{"),
        Reply(Verdict.VALUE, b""),
        Reply(Verdict.VALUE, b'"\xff"'),
        Reply(Verdict.VALUE, b"1", b'{"not": "a list"}'),
        Reply(Verdict.VALUE, b"1", b"[5]"),
        Reply(Verdict.VALUE, b"[" * 100_000),
    ],
)
def test_a_reply_is_not_trusted(reply: Reply) -> None:
    """Its process has run somebody's script: what it says may be anything."""
    assert "cannot be read" in _said(answer_of(reply, _QUESTION))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (-signal.SIGABRT, "its process ended (SIGABRT)"),
        (-signal.SIGKILL, "its process ended (SIGKILL)"),
        (3, "its process ended (status 3)"),
    ],
)
def test_the_end_of_a_process_is_a_failure(status: int, said: str) -> None:
    """With the reason as far as it is known."""
    assert said in _said(post_mortem(ProcessEnded(status), _QUESTION))


def test_the_alarm_of_a_process_is_the_end_of_time() -> None:
    """Which may be tried again."""
    assert isinstance(post_mortem(ProcessEnded(-signal.SIGALRM), _QUESTION).error, ScriptTimedOut)


def test_without_a_process_there_is_a_reason() -> None:
    """For whoever looks after the machine."""
    assert "no process can be started for scripts: why" == _said(no_process(CannotStart("why")))
