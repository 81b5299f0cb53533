"""A device registers what it brings along, once; see test_daemon for it as a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.config import Settings, WrongValue, load
from edge.data_dir import DataDir
from edge.device_role import Device, open_role
from edge.model.errors import NotFound
from edge.model.requests import StartRequest


def settings(folder: Path, text: str = "") -> Settings:
    """A configuration with this text."""
    (folder / "baton.toml").write_text(text)
    return load(folder / "baton.toml", data_dir=str(folder))


def test_bundled_workflows_are_written_when_they_changed(tmp_path: Path) -> None:
    """A second start of the same release writes nothing: flash wears out."""

    async def once() -> int:
        role = await open_role(settings(tmp_path), DataDir(tmp_path))
        assert isinstance(role, Device)
        async with asyncio.TaskGroup() as group:
            group.create_task(role.keep())
            await role.prepare()
            await role.alive()
            requests = role._engine.counters()["requests"]
            with pytest.raises(NotFound):
                await role._engine.start(StartRequest("nothing"))
            await role.close()
            await role.close()
        return requests

    # The one request of a start that changes nothing is that of ``alive``.
    assert 1 < asyncio.run(once())
    assert 1 == asyncio.run(once())


def test_handlers_of_the_site_may_fail_to_load(tmp_path: Path) -> None:
    """Their tasks wait; everything else of the device runs."""
    flow = tmp_path / "site" / "flow"
    flow.mkdir(parents=True)
    (flow / "workflow.json").write_text(
        '{"name": "flow", "tasks": [{"name": "a", "taskReferenceName": "a"}]}'
    )
    (flow / "tasks.json").write_text("[]")
    (flow / "handlers.py").write_text("raise RuntimeError('no such thing')\n")
    text = '[workflows]\nenable = []\nfolders = ["site"]\n'

    async def main() -> None:
        role = await open_role(settings(tmp_path, text), DataDir(tmp_path))
        async with asyncio.TaskGroup() as group:
            group.create_task(role.keep())
            await role.prepare()
            await role.close()

    asyncio.run(main())


@pytest.mark.parametrize("table", ["['a']", "{7: print}"])
def test_handlers_that_are_no_table_are_told(tmp_path: Path, table: str) -> None:
    """As a module that cannot be loaded: everything else of the device runs."""
    lines = _lines_of_a_start(tmp_path, f"HANDLERS = {table}\n")

    (told,) = (one for one in lines if one["event"] == "handlers_not_loaded")
    assert "maps the name of each task to a function" in told["reason"]


def test_a_slip_in_handlers_is_told_at_the_start(tmp_path: Path) -> None:
    """A name that no task has, and what is no function; the others work."""
    lines = _lines_of_a_start(tmp_path, "HANDLERS = {'aa': print, 'b': 'b', 'a': print}\n")

    told = {one["handler"]: one["event"] for one in lines if "handler" in one}
    assert {"b": "handler_unusable", "aa": "handler_without_task"} == told


def _lines_of_a_start(folder: Path, handlers: str) -> Sequence[Mapping[str, Any]]:
    """What a device logs that has a workflow with these handlers."""
    flow = folder / "site" / "flow"
    flow.mkdir(parents=True)
    (flow / "workflow.json").write_text(
        '{"name": "flow", "tasks": [{"name": "a", "taskReferenceName": "a"}]}'
    )
    (flow / "tasks.json").write_text('[{"name": "b"}]')
    (flow / "handlers.py").write_text(handlers)
    text = '[workflows]\nenable = []\nfolders = ["site"]\n'

    async def main() -> Sequence[Mapping[str, Any]]:
        with structlog.testing.capture_logs() as lines:
            role = await open_role(settings(folder, text), DataDir(folder))
            async with asyncio.TaskGroup() as group:
                group.create_task(role.keep())
                await role.prepare()
                await role.close()
        return lines

    return asyncio.run(main())


def test_a_trigger_without_a_workflow_is_told_at_the_start(tmp_path: Path) -> None:
    """Not only when something moves, a day later; the device runs, for it may be pushed yet."""
    (tmp_path / "devices.toml").write_text('[front]\ndriver = "simulated-camera"\n')
    trigger = '[[trigger]]\ndevice = "front"\nworkflow = '
    text = f'{trigger}"video_analysis"\n{trigger}"vidoe"\n[devices]\nfile = "devices.toml"\n'

    async def main() -> list[str]:
        role = await open_role(settings(tmp_path, text), DataDir(tmp_path))
        with structlog.testing.capture_logs() as lines:
            async with asyncio.TaskGroup() as group:
                group.create_task(role.keep())
                await role.prepare()
                await role.close()
        return [one["workflow"] for one in lines if one["event"] == "trigger_without_workflow"]

    assert ["vidoe"] == asyncio.run(main())


def test_a_sink_that_does_not_exist_keeps_the_device_from_starting(tmp_path: Path) -> None:
    """The message names the key: nobody would ever be told there."""
    text = '[listener]\ntask_sink = "kafka:x"\n'

    async def main() -> None:
        with pytest.raises(WrongValue, match="listener.task_sink: 'kafka:x' is not mqtt:TOPIC"):
            await open_role(settings(tmp_path, text), DataDir(tmp_path))

    asyncio.run(main())
