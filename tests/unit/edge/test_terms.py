"""What a task's settings say to whoever hands it out."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import terms
from edge.engine import Engine
from edge.model.definitions import TaskDefinition
from edge.store.slots import Limit
from edge.terms import KnownTerms, Terms, limit_of
from tests.unit.edge.engine_house import claim, define, define_task, run, simple, start


def test_the_settings_of_a_step(tmp_path: Path) -> None:
    """Times in milliseconds; a policy that only alerts ends no attempt; who has none gets an hour."""

    async def body(engine: Engine) -> None:
        await define_task(
            engine,
            "full",
            responseTimeoutSeconds=5,
            timeoutSeconds=9,
            timeoutPolicy="RETRY",
            concurrentExecLimit=3,
            runtimeMetadata=["key"],
        )
        await define_task(
            engine, "alert", responseTimeoutSeconds=5, timeoutSeconds=9, timeoutPolicy="ALERT_ONLY"
        )
        await define(engine, "w", simple("full"))
        await define(engine, "v", simple("alert"))
        await define(engine, "u", simple("bare"))
        found, known = {}, KnownTerms()
        for workflow, task in (("w", "full"), ("v", "alert"), ("u", "bare")):
            await start(engine, workflow)
            view = await claim(engine, task)
            found[task] = known.of(view.pinned, view.task)
            assert known.of(view.pinned, view.task) is found[task]

        assert Terms(Limit("full", 3), 5_000, 9_000, ("key",)) == found["full"]
        assert Terms(Limit("alert"), 5_000, 0) == found["alert"]
        assert Terms(Limit("bare"), 3_600_000) == found["bare"]

    run(tmp_path, body)


def test_the_terms_of_many_steps_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are worked out again, and are the same."""
    monkeypatch.setattr(terms, "_STEPS", 1)

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await define(engine, "v", simple("b"))
        await start(engine, "w")
        await start(engine, "v")
        one, other = await claim(engine, "a"), await claim(engine, "b")
        known = KnownTerms()
        first = known.of(one.pinned, one.task)
        known.of(other.pinned, other.task)

        again = known.of(one.pinned, one.task)
        assert first == again
        assert first is not again

    run(tmp_path, body)


def test_a_rate_has_a_window() -> None:
    """One second where none is given; negative numbers limit nothing."""
    rate = TaskDefinition(name="a", rate_limit_per_frequency=2)
    negative = TaskDefinition(name="a", rate_limit_per_frequency=-2, concurrent_exec_limit=-1)

    assert Limit("a", 0, 2, 1_000) == limit_of("a", rate)
    assert Limit("a") == limit_of("a", negative)
