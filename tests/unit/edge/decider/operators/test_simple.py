"""SIMPLE and the types of the user's own: what a worker polls."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, step


def test_a_simple_task_waits_under_its_name() -> None:
    """taskType and taskDefName are the name; the queue is the type."""
    play = Playbook(step("r", name="grab", inputParameters={"n": 1}))

    play.start()

    task = play.task("r")
    assert ("SIMPLE", "grab", "grab", "grab") == (task.kind, task.type, task.name, task.queue)
    assert TaskStatus.SCHEDULED == task.status
    assert {"n": 1} == play.input("r")
    assert 0 == task.started_ms == task.deliver_ms


def test_a_type_of_the_users_own_waits_under_its_type() -> None:
    """taskType is the type, taskDefName the name, and a worker polls the type."""
    play = Playbook(step("r", "MY_TYPE", name="grab"))

    play.start()

    task = play.task("r")
    assert ("MY_TYPE", "MY_TYPE", "grab", "MY_TYPE") == (
        task.kind,
        task.type,
        task.name,
        task.queue,
    )


@pytest.mark.parametrize("kind", ["SIMPLE", "MY_TYPE"])
def test_a_start_delay_hides_the_task(kind: str) -> None:
    """It shows in both fields, and nobody gets the task before."""
    play = Playbook(step("r", kind, startDelay=7))

    play.start()

    task = play.task("r")
    assert NOW_MS + 7_000 == task.deliver_ms
    assert 7 == task.start_delay_s == task.callback_after_s


@pytest.mark.parametrize(
    ("domains", "queue", "domain"),
    [
        ({}, "a", None),
        ({"a": "lab"}, "lab:a", "lab"),
        ({"*": "lab"}, "lab:a", "lab"),
        ({"*": "lab", "a": "roof"}, "roof:a", "roof"),
        ({"a": "roof, lab"}, "lab:a", "lab"),
        ({"*": "lab", "a": "no_domain"}, "a", None),
        ({"other": "lab"}, "a", None),
    ],
)
def test_domains(domains: dict[str, str], queue: str, domain: str | None) -> None:
    """A name wins over the star, the last of a list counts, NO_DOMAIN is none."""
    play = Playbook(step("a", settings={"retryCount": 1}))

    play.start(task_to_domain=domains)
    assert (queue, domain) == (play.task("a").queue, play.task("a").domain)

    play.fail("a")
    assert (queue, domain) == (play.task("a").queue, play.task("a").domain)


def test_a_retry_keeps_the_domain_of_its_predecessor() -> None:
    """Domains are resolved once, when the first attempt is scheduled."""
    import msgspec

    play = Playbook(step("a", settings={"retryCount": 1}))
    play.start(task_to_domain={"a": "lab"})
    play.snapshot.workflow = msgspec.structs.replace(play.workflow, task_to_domain={})

    play.fail("a")

    assert "lab:a" == play.task("a").queue


@pytest.mark.parametrize(
    ("settings", "queue"),
    [
        ({"executionNameSpace": "ns"}, "a@ns"),
        ({"isolationGroupId": "iso"}, "a-iso"),
        ({"executionNameSpace": "ns", "isolationGroupId": "iso"}, "a@ns-iso"),
    ],
)
def test_queue_names(settings: dict[str, Any], queue: str) -> None:
    """A name space and an isolation group are part of the queue's name."""
    play = Playbook(step("a", settings=settings))

    play.start(task_to_domain={"*": "lab"})

    assert f"lab:{queue}" == play.task("a").queue
