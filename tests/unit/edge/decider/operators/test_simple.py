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


@pytest.mark.parametrize(
    ("choice", "served", "queue"),
    [
        ("roof,lab", {"roof:a"}, "roof:a"),
        ("roof,lab", {"roof:a", "lab:a"}, "roof:a"),
        ("roof,lab", {"lab:a"}, "lab:a"),
        ("roof,lab", set(), "lab:a"),
        # What others serve under the same name, or this domain for another task, does not count.
        ("roof,lab", {"a", "roof:b"}, "lab:a"),
        (" roof , lab ", {"roof:a"}, "roof:a"),
        ("roof,NO_DOMAIN", set(), "a"),
        ("roof,no_domain", {"a"}, "a"),
        ("roof,No_Domain", {"roof:a"}, "roof:a"),
        # In front of others it is passed over, as in Conductor.
        ("NO_DOMAIN,lab", {"a"}, "lab:a"),
        ("roof,", set(), "a"),
        ("", {"a"}, "a"),
        (",", {"a", ":a"}, "a"),
        ("roof", set(), "roof:a"),
    ],
)
def test_the_first_domain_that_is_served_wins(choice: str, served: set[str], queue: str) -> None:
    """Without any, the last entry; whichever key of the map the list stands under."""
    for key in ("a", "*"):
        play = Playbook(step("a", settings={"retryCount": 1}))
        play.pollers.queues = served

        play.start(task_to_domain={key: choice})
        assert queue == play.task("a").queue

        # Who serves what when the task is tried again makes no difference.
        play.pollers.queues = {"roof:a"}
        play.fail("a")
        assert queue == play.task("a").queue


def test_a_name_space_belongs_to_the_queue_that_is_asked_for() -> None:
    """Workers of a domain that serve the plain name would never find the task."""
    play = Playbook(step("a", settings={"executionNameSpace": "ns"}))
    play.pollers.queues = {"roof:a", "lab:a@ns"}

    play.start(task_to_domain={"a": "roof,lab,shed"})

    assert "lab:a@ns" == play.task("a").queue


def test_the_star_means_workers_only() -> None:
    """Tasks of the engine's own have no domain."""
    call = step("c", "HTTP", inputParameters={"uri": "http://x", "method": "GET"})
    play = Playbook(call)

    play.start(task_to_domain={"*": "lab", "c": "lab", "HTTP": "lab"})

    assert ("HTTP", None) == (play.task("c").queue, play.task("c").domain)


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
