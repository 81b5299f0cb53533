"""Whoever is handed a task sees the secrets it refers to; nobody else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.lookups import Lookups
from edge.model.executions import TaskStatus
from edge.store import variables
from edge.vault import Vault
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
    id_of,
    run,
    simple,
    start,
)

INPUT = {"auth": "Bearer ${workflow.secrets.TOKEN}", "region": "${workflow.env.REGION}"}


def _lookups(folder: Path) -> Lookups:
    return Lookups(Vault(folder / "key"), {"CONDUCTOR_ENV_REGION": "north"})


async def _keep(engine: Engine, name: str, value: str) -> None:
    await engine.request(lambda t: engine.lookups.keep(t.connection, name, value, 1))


def test_a_worker_gets_the_secret_and_the_record_does_not(tmp_path: Path) -> None:
    """The stored input keeps the reference, before, while and after a worker has the task."""

    async def body(engine: Engine) -> None:
        await _keep(engine, "TOKEN", "s3cr3t")
        await define(engine, "w", simple("a", inputParameters=INPUT))
        await start(engine, "w")
        view = await claim(engine, "a")
        stored = (await engine.task(id_of(view))).task.input

        assert {"auth": "Bearer s3cr3t", "region": "north"} == msgspec.json.decode(view.task.input)
        assert {**INPUT, "region": "north"} == msgspec.json.decode(stored)

    run(tmp_path, body, lookups=_lookups(tmp_path))


def test_what_a_definition_wants_travels_beside_the_input(tmp_path: Path) -> None:
    """Secrets first, then variables; a name that neither has is left out."""

    async def body(engine: Engine) -> None:
        await _keep(engine, "API_KEY", "key-123")
        wanted = ["API_KEY", "REGION", "MISSING"]
        await define_task(engine, "a", runtimeMetadata=wanted)
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")

        assert {"API_KEY": "key-123", "REGION": "north"} == view.runtime_metadata
        assert {} == (await engine.task(id_of(view))).runtime_metadata

    run(tmp_path, body, lookups=_lookups(tmp_path))


def test_a_secret_that_cannot_be_opened_fails_its_task_alone(tmp_path: Path) -> None:
    """The reason says what to do; others are handed out, and the poll goes on."""

    async def body(engine: Engine) -> None:
        await _keep(engine, "TOKEN", "s3cr3t")
        await define_task(engine, "a", retryCount=0)
        await define(engine, "w", simple("a", inputParameters={"x": "${workflow.input.x}"}))
        broken = await start(engine, "w", input={"x": "${workflow.secrets.TOKEN}"})
        await start(engine, "w", input={"x": 1})
        (tmp_path / "key").unlink()
        views = await engine.poll("a", worker="w", count=2, timeout_ms=0)
        (task,) = (await engine.execution(broken)).tasks

        assert [b'{"x":1}'] == [view.task.input for view in views]
        assert TaskStatus.FAILED is task.status
        assert task.reason is not None and "put it back" in task.reason

    run(tmp_path, body, lookups=_lookups(tmp_path))


def test_tasks_without_secrets_cost_no_read(tmp_path: Path) -> None:
    """The views pass through as they are."""

    async def body(engine: Engine) -> None:
        async def refuse(_: Any) -> None:
            raise AssertionError("nothing has to be read")

        await define(engine, "w", simple("a", inputParameters={"x": 1}))
        await start(engine, "w")
        engine.hand_over._disclosure._database = type("Closed", (), {"read": refuse})()

        assert b'{"x":1}' == (await claim(engine, "a")).task.input

    run(tmp_path, body)


def test_variables_of_ours_are_written(tmp_path: Path) -> None:
    """They are no secrets: what a task was given can be seen afterwards."""

    async def body(engine: Engine) -> None:
        await engine.request(
            lambda t: variables.put_variable(t.connection, "DB", '{"host": "h", "port": 5}', 1)
        )
        parameters = {
            "host": "${workflow.env.DB.host}",
            "url": "x://${workflow.env.DB.host}:${workflow.env.DB.port}",
            "all": "${workflow.env.DB}",
            "gone": "${workflow.env.GONE}",
            "text": "a${workflow.env.GONE}",
        }
        await define(engine, "w", simple("a", inputParameters=parameters))
        await start(engine, "w")

        assert {
            "host": "h",
            "url": "x://h:5",
            "all": '{"host": "h", "port": 5}',
            "gone": None,
            "text": "anull",
        } == msgspec.json.decode((await claim(engine, "a")).task.input)

    run(tmp_path, body)


def test_a_whole_expression_may_name_a_variable_of_the_process(tmp_path: Path) -> None:
    """Conductor's own two stay as they stand where they are not set."""

    async def body(engine: Engine) -> None:
        parameters = {"a": "${SITE}", "b": "${NETFLIX_ENV}", "c": "${NETFLIX_STACK}", "d": "${NO}"}
        await define(engine, "w", simple("a", inputParameters=parameters))
        await start(engine, "w")

        assert {"a": "roof", "b": "test", "c": "${NETFLIX_STACK}", "d": None} == (
            msgspec.json.decode((await claim(engine, "a")).task.input)
        )

    run(tmp_path, body, lookups=Lookups(None, {"SITE": "roof", "NETFLIX_ENV": "test"}))


def test_a_loop_changes_nothing_of_what_is_wanted(tmp_path: Path) -> None:
    """The definition is found whatever the step is called, in every iteration."""

    async def body(engine: Engine) -> None:
        await _keep(engine, "API_KEY", "key-123")
        await define_task(engine, "a", runtimeMetadata=["API_KEY"])
        loop = {
            "name": "loop", "taskReferenceName": "loop", "type": "DO_WHILE",
            "loopCondition": "$.loop['iteration'] < 2",
            "loopOver": [simple("read__sensor", name="a")],
        }  # fmt: skip
        await define(engine, "w", loop)
        await start(engine, "w")
        for iteration in (1, 2):
            view = await claim(engine, "a")

            assert f"read__sensor__{iteration}" == view.task.ref
            assert {"API_KEY": "key-123"} == view.runtime_metadata
            await answer(engine, view)

    run(tmp_path, body, lookups=_lookups(tmp_path))
