"""Executions with those inside them."""

from __future__ import annotations

from pathlib import Path

from edge.engine import Engine
from edge.model.executions import parse_uuid
from edge.store.trees import read_tree
from tests.unit.edge.engine_house import define, run, simple, start


def test_a_tree_is_read_depth_first(tmp_path: Path) -> None:
    """The execution itself, then what runs inside it; an unknown id has none."""

    async def body(engine: Engine) -> None:
        await define(engine, "leaf", simple("a"))
        inner = {
            "name": "c", "taskReferenceName": "c", "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": "leaf"},
        }  # fmt: skip
        await define(engine, "middle", inner)
        await define(engine, "top", {**inner, "subWorkflowParam": {"name": "middle"}})
        parsed = parse_uuid(await start(engine, "top"))
        assert parsed is not None
        found = await engine.database.look(lambda r: read_tree(r, parsed[0]))

        assert ["top", "middle", "leaf"] == [view.workflow.name for view in found]
        assert [] == await engine.database.look(lambda r: read_tree(r, bytes(16)))

    run(tmp_path, body)
