"""Tests of the handler contract."""

from __future__ import annotations

from workflows.task import HandlerError, TaskFailed, TaskRejected


def test_the_reason_is_kept_and_only_a_failure_is_retried() -> None:
    """What a handler raises says why, and whether another attempt makes sense."""
    failed, rejected = TaskFailed("the camera is away"), TaskRejected("the clip is gone")

    assert ("the camera is away", "the clip is gone") == (failed.reason, rejected.reason)
    assert "the clip is gone" == str(rejected)
    assert (True, False) == (failed.retryable, rejected.retryable)
    assert isinstance(failed, HandlerError)
    assert isinstance(rejected, HandlerError)
