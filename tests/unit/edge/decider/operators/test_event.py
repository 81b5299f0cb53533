"""EVENT: hands a message over to be published."""

from __future__ import annotations

import msgspec
import pytest

from edge.model.decision import Publication
from edge.model.executions import TaskStatus, WorkflowStatus, workflow_uuid
from tests.unit.edge.playbook import WORKFLOW_ID, Playbook, step


def test_the_message_is_part_of_the_decision() -> None:
    """Input and facts of the workflow are payload and output; the task's id names the message."""
    play = Playbook(
        step("e", "EVENT", sink="mqtt:site/${workflow.input.s}", inputParameters={"n": 1})
    )

    decision = play.start({"s": "roof"}, correlation_id="c", task_to_domain={"x": "d"})

    payload = {
        "n": 1,
        "sink": "mqtt:site/roof",
        "asyncComplete": False,
        "workflowInstanceId": workflow_uuid(WORKFLOW_ID),
        "workflowType": "play",
        "workflowVersion": 1,
        "correlationId": "c",
        "taskToDomain": {"x": "d"},
        "event_produced": "mqtt:site/roof",
    }
    expected = Publication(play.id("e"), "site/roof", msgspec.json.encode(payload))
    assert (expected,) == decision.publications
    assert payload == play.output("e")
    assert {"n": 1, "sink": "mqtt:site/roof", "asyncComplete": False} == play.input("e")
    assert WorkflowStatus.COMPLETED == play.status


def test_async_complete_waits_for_an_answer() -> None:
    """The message goes out, the task stays in progress."""
    play = Playbook(step("e", "EVENT", sink="mqtt:a", asyncComplete=True))

    decision = play.start()

    assert 1 == len(decision.publications)
    assert TaskStatus.IN_PROGRESS == play.task("e").status
    play.complete("e")
    assert WorkflowStatus.COMPLETED == play.status


@pytest.mark.parametrize(
    "sink",
    [
        "conductor",
        "kafka:topic",
        "mqtt:",
        "mqtt:a/+",
        "mqtt:a/#",
        "mqtt:$SYS/x",
        "mqtt:a\0b",
        "mqtt:" + "x" * 1_001,
        "mqtt:baton/1/default/roof/ack",
        "mqtt:baton",
        "${workflow.input.none}",
    ],
)
def test_an_unsupported_sink_fails(sink: str) -> None:
    """Nothing is published, and the reason says what a sink looks like."""
    play = Playbook(step("e", "EVENT", sink=sink, optional=True), step("z"))

    decision = play.start()

    shown = "null" if sink.startswith("$") else sink
    assert () == decision.publications
    assert ["1 e 0 COMPLETED_WITH_ERRORS", "2 z 0 SCHEDULED"] == play.rows()
    assert str(play.task("e").reason).startswith(
        f"Invalid / Unsupported sink specified: {shown}. Give a topic"
    )


def test_the_longest_topic() -> None:
    """A thousand bytes are allowed."""
    play = Playbook(step("e", "EVENT", sink="mqtt:" + "x" * 1_000))

    assert 1 == len(play.start().publications)


def test_a_missing_sink_fails() -> None:
    """A step without a sink, which registration refuses, publishes nothing."""
    play = Playbook(step("e", "EVENT"))

    assert () == play.start().publications
    assert WorkflowStatus.FAILED == play.status


def test_a_retry_is_a_message_of_its_own() -> None:
    """A message's identity is that of the attempt that sent it."""
    play = Playbook(
        step("e", "EVENT", sink="mqtt:a", asyncComplete=True, settings={"retryCount": 1})
    )
    first = play.start().publications[0]

    second = play.fail("e").publications[0]

    assert first.message_id != second.message_id
    assert play.id("e") == second.message_id


def test_a_message_that_is_too_large_fails_for_good() -> None:
    """It is told here, and not set aside later where nobody looks."""
    play = Playbook(step("e", "EVENT", sink="mqtt:a", inputParameters={"x": "y" * 100_000}))
    decision = play.start()

    assert ["1 e 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert () == decision.publications
