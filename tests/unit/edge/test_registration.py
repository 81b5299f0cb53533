"""Registering: versions that count up, times that stay, tags that go with their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.engine import Engine
from edge.model.definitions import TaskDefinition, WorkflowDefinition, WorkflowTask
from edge.model.errors import Conflict, InvalidInput, NotFound
from edge.model.tags import MAX_TAGS, Tag
from edge.registration import (
    Posted,
    add_tags,
    register_task,
    register_tasks,
    register_workflow,
    remove_tags,
    remove_task,
    remove_workflow,
    replace_task,
    set_tags,
)
from edge.store import tags
from edge.store.tags import Tagged
from tests.unit.edge.engine_house import run
from tests.unit.edge.manual_clock import ManualClock


def _workflow(version: int = 1, **fields: Any) -> WorkflowDefinition:
    step = WorkflowTask(name="a", task_reference_name="a")
    return WorkflowDefinition(name="flow", version=version, tasks=[step], **fields)


async def _register(engine: Engine, posted: Posted, **options: Any) -> int:
    wanted = {"overwrite": True, **options}
    return await engine.request(lambda t: register_workflow(t, posted, **wanted))


def test_times_are_kept_and_nothing_is_written_twice(tmp_path: Path) -> None:
    """The first registration is the creation; one that says nothing new changes nothing."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await _register(engine, Posted(_workflow(create_time=1, created_by="me")))
        first = await engine.workflow_definition("flow", 1)
        born_ms = clock.now_ms()
        clock.pass_s(60)
        await _register(engine, Posted(_workflow()))
        again = await engine.workflow_definition("flow", 1)
        await _register(engine, Posted(_workflow(description="other")))
        changed = await engine.workflow_definition("flow", 1)

        assert (born_ms, born_ms, "me") == (first.create_time, first.update_time, first.created_by)
        assert first == again
        assert (born_ms, born_ms + 60_000, "me") == (
            changed.create_time,
            changed.update_time,
            changed.created_by,
        )

    run(tmp_path, body, clock=clock)


def test_a_new_version_counts_on(tmp_path: Path) -> None:
    """After the highest there is, whatever the definition says; the first keeps its own number."""

    async def body(engine: Engine) -> None:
        posted = Posted(_workflow(version=5))

        assert 5 == await _register(engine, posted, overwrite=False, new_version=True)
        assert 6 == await _register(engine, posted, overwrite=False, new_version=True)
        with pytest.raises(Conflict):
            await _register(engine, posted, overwrite=False)
        assert [5, 6] == [one.version for one in await engine.workflow_definitions()]

    run(tmp_path, body)


async def _tags(engine: Engine, kind: Tagged, name: str) -> list[Tag]:
    return await engine.database.read(lambda c: tags.read(c, kind, name))


def test_tags_come_and_go_with_the_definition(tmp_path: Path) -> None:
    """They are added, replaced if that is said, left alone if nothing is, and end with it."""

    async def body(engine: Engine) -> None:
        a, b = Tag("a", "1"), Tag("b", "1")
        for posted in (
            Posted(_workflow(), [a]),
            Posted(_workflow(version=2), [b]),
            Posted(_workflow(), overwrite_tags=True),
        ):
            await _register(engine, posted)
        both = await _tags(engine, Tagged.WORKFLOW, "flow")
        await _register(engine, Posted(_workflow(), [b], overwrite_tags=True))
        one = await _tags(engine, Tagged.WORKFLOW, "flow")
        await engine.request(lambda t: remove_workflow(t, "flow", 1))
        left = await _tags(engine, Tagged.WORKFLOW, "flow")
        await engine.request(lambda t: remove_workflow(t, "flow", 2))

        assert ([a, b], [b], [b]) == (both, one, left)
        assert [] == await _tags(engine, Tagged.WORKFLOW, "flow")

    run(tmp_path, body)


def test_a_refused_registration_leaves_the_tags(tmp_path: Path) -> None:
    """All of it is written or none."""

    async def body(engine: Engine) -> None:
        await _register(engine, Posted(_workflow()))
        with pytest.raises(Conflict):
            await _register(engine, Posted(_workflow(), [Tag("a")]), overwrite=False)

        assert [] == await _tags(engine, Tagged.WORKFLOW, "flow")

    run(tmp_path, body)


def test_too_many_tags_leave_the_definition_as_it_was(tmp_path: Path) -> None:
    """Nothing of a refused registration stays, neither of a workflow nor of a list of tasks."""

    async def body(engine: Engine) -> None:
        many = [Tag(str(number)) for number in range(MAX_TAGS)]
        await _register(engine, Posted(_workflow(), many))
        with pytest.raises(InvalidInput):
            await _register(engine, Posted(_workflow(description="new"), [Tag("one more")]))
        tasks = [
            Posted(TaskDefinition(name="work"), many),
            Posted(TaskDefinition(name="work", retry_count=9), [Tag("one more")]),
        ]
        with pytest.raises(InvalidInput):
            await engine.request(lambda t: register_tasks(t, tasks))

        assert (await engine.workflow_definition("flow", 1)).description is None
        assert [] == await engine.task_definitions()

    run(tmp_path, body)


def test_task_definitions(tmp_path: Path) -> None:
    """They are registered and replaced likewise; replacing needs one to replace."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        posted = Posted(TaskDefinition(name="work"), [Tag("a")])
        with pytest.raises(NotFound, match="No such task by name work"):
            await engine.request(lambda t: replace_task(t, posted))
        await engine.request(lambda t: register_task(t, posted))
        clock.pass_s(1)
        await engine.request(lambda t: replace_task(t, posted))
        same = await engine.task_definition("work")
        newer = Posted(TaskDefinition(name="work", retry_count=9))
        await engine.request(lambda t: replace_task(t, newer))
        changed = await engine.task_definition("work")

        assert same.create_time == same.update_time == changed.create_time
        assert (9, clock.now_ms()) == (changed.retry_count, changed.update_time)
        assert [Tag("a")] == await _tags(engine, Tagged.TASK, "work")
        await engine.request(lambda t: remove_task(t, "work"))
        assert [] == await _tags(engine, Tagged.TASK, "work")

    run(tmp_path, body, clock=clock)


def test_tags_need_a_definition(tmp_path: Path) -> None:
    """What is not there cannot be tagged, and a tag that is not there cannot be taken away."""

    async def body(engine: Engine) -> None:
        for kind in Tagged:
            for change in (add_tags, set_tags, remove_tags):
                with pytest.raises(NotFound):
                    await engine.request(lambda t, k=kind, c=change: c(t, k, "none", [Tag("a")]))  # type: ignore[misc]
        await _register(engine, Posted(_workflow(), [Tag("a", "1"), Tag("n", 3, "RATE_LIMIT")]))
        with pytest.raises(NotFound, match="flow has no tag a:2"):
            await engine.request(
                lambda t: remove_tags(t, Tagged.WORKFLOW, "flow", [Tag("a", "1"), Tag("a", "2")])
            )
        both = await _tags(engine, Tagged.WORKFLOW, "flow")
        await engine.request(
            lambda t: remove_tags(t, Tagged.WORKFLOW, "flow", [Tag("n", "3"), Tag("a", "1")])
        )

        assert 2 == len(both)
        assert [] == await _tags(engine, Tagged.WORKFLOW, "flow")

    run(tmp_path, body)
