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
    expected = Publication(play.id("e"), "mqtt:site/roof", msgspec.json.encode(payload))
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
    ("sink", "queue"),
    [
        ("conductor", "conductor:play:e"),
        ("conductor:door", "conductor:play:door"),
        ("conductor:conductor:door", "conductor:play:door"),
        ("${workflow.input.sink}", "conductor:play:from_input"),
    ],
)
def test_an_internal_queue_belongs_to_its_workflow(sink: str, queue: str) -> None:
    """Its name is that of the workflow and of the task, or of what the sink says."""
    play = Playbook(step("e", "EVENT", sink=sink))

    decision = play.start({"sink": "conductor:from_input"})

    assert [queue] == [publication.sink for publication in decision.publications]
    assert queue == play.output("e")["event_produced"]
    assert WorkflowStatus.COMPLETED == play.status


@pytest.mark.parametrize(
    "topic",
    ["", "a/+", "a/#", "$SYS/x", "a\0b", "x" * 1_001, "baton/1/default/roof/ack", "baton"],
)
def test_a_topic_that_takes_no_message_fails(topic: str) -> None:
    """Nothing is published, and the reason says what a sink looks like."""
    play = Playbook(step("e", "EVENT", sink=f"mqtt:{topic}", optional=True), step("z"))

    decision = play.start()

    assert () == decision.publications
    assert ["1 e 0 COMPLETED_WITH_ERRORS", "2 z 0 SCHEDULED"] == play.rows()
    assert str(play.task("e").reason).startswith(
        f"Invalid / Unsupported sink specified: mqtt:{topic}. Give a topic"
    )


@pytest.mark.parametrize(
    ("sink", "queue", "fault"),
    [
        ("kafka:topic", "kafka:topic", "Unknown queue type kafka"),
        ("nowhere", "nowhere", "Illegal event nowhere"),
        ("${workflow.input.none}", "null", "Illegal event null"),
    ],
)
def test_a_queue_that_nobody_provides_fails(sink: str, queue: str, fault: str) -> None:
    """The reason is Conductor's, with the queue and the task."""
    play = Playbook(step("e", "EVENT", sink=sink))

    decision = play.start()

    assert () == decision.publications
    reason = f"Error loading queue:{queue}, for task:{play.id('e')}, error: {fault}"
    assert (TaskStatus.FAILED, reason) == (play.task("e").status, play.task("e").reason)
    assert queue == play.output("e")["event_produced"]


def test_a_sink_that_is_almost_conductors_fails() -> None:
    """As in Conductor, and without a queue in the output."""
    play = Playbook(step("e", "EVENT", sink="conductorX"))

    play.start()

    assert play.task("e").reason == "Invalid / Unsupported sink specified: conductorX"
    assert "event_produced" not in play.output("e")
    assert WorkflowStatus.FAILED == play.status


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
