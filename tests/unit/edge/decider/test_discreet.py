"""Scripts see secrets, and what they return or complain of holds none."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.discreet import DiscreetScripts
from edge.decider.outside import NOWHERE
from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.model.errors import SecretUnreadable
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import ScriptDouble

LITERAL = "${workflow.secrets.TOKEN}"


class _Outside:
    """Has one secret, and one that cannot be opened."""

    limits = NOWHERE.limits

    def environment(self, name: str) -> str | None:
        return NOWHERE.environment(name)

    def process(self, name: str) -> str | None:
        return NOWHERE.process(name)

    faults = staticmethod(NOWHERE.faults)

    def secret(self, name: str) -> str | None:
        if name == "SEALED":
            raise SecretUnreadable("the key is lost")
        return "s3cr3t" if name == "TOKEN" else NOWHERE.secret(name)


def _evaluate(expression: str, scope: dict[str, Any]) -> Any:
    return DiscreetScripts(EVALUATORS, _Outside()).evaluate(expression, scope)


def test_a_script_computes_with_the_secret() -> None:
    """It sees the value, in its input and in its own text."""
    assert 6 == _evaluate("$.t.length", {"t": LITERAL})
    assert 6 == _evaluate(f"'{LITERAL}'.length", {})
    assert _evaluate("$.t === null", {"t": "${workflow.secrets.GONE}"})


def test_what_it_returns_holds_the_reference() -> None:
    """A header put together by a script works for the task that sends it, and is not written."""
    result = _evaluate("({h: 'Bearer ' + $.t, n: $.t.length})", {"t": LITERAL})

    assert {"h": f"Bearer {LITERAL}", "n": 6} == result


def test_what_it_complains_of_holds_the_reference() -> None:
    """An error that quotes the secret is stored with the task; so is none of its causes."""
    with pytest.raises(ScriptFailed) as failed:
        _evaluate("throw new Error('bad ' + $.t)", {"t": LITERAL})

    assert LITERAL in str(failed.value)
    assert "s3cr3t" not in str(failed.value)
    assert failed.value.__suppress_context__


def test_a_timeout_stays_one() -> None:
    """The kind of a failure says whether it is tried again."""
    with pytest.raises(ScriptTimedOut):
        DiscreetScripts(ScriptDouble(), _Outside()).evaluate("slow", {"t": LITERAL})


def test_a_secret_that_cannot_be_opened_fails_the_script() -> None:
    """The task fails with the reason; the decision goes on."""
    with pytest.raises(ScriptFailed, match="the key is lost"):
        _evaluate("1", {"t": "${workflow.secrets.SEALED}"})


def test_what_it_writes_to_its_console_holds_the_reference() -> None:
    """The lines are kept with the task, also when the script fails."""

    class Chatty(ScriptDouble):
        """Writes down what it sees, then does as it is told."""

        def evaluate(
            self,
            expression: str,
            scope: dict[str, Any],
            evaluator: str = "javascript",
            log: list[str] | None = None,
        ) -> Any:
            assert log is not None
            log.append(f"{evaluator} saw {scope['t']}")
            return super().evaluate(expression, scope)

    lines: list[str] = ["before"]
    scripts = DiscreetScripts(Chatty(), _Outside())
    scripts.evaluate("$.t", {"t": LITERAL}, "graaljs", lines)
    with pytest.raises(ScriptFailed):
        scripts.evaluate("fail", {"t": LITERAL}, "python", lines)

    assert ["before", f"graaljs saw {LITERAL}", f"python saw {LITERAL}"] == lines


def test_scripts_without_secrets_pass_through() -> None:
    """What they return may look like anything."""
    assert "s3cr3t" == _evaluate("$.t", {"t": "s3cr3t"})
