"""References to secrets: literal in what is written, filled in for whoever does the work."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.secrets import reveal
from edge.model.revealed import Revealed
from tests.unit.edge.playbook import Playbook, step

KEPT = {
    "TOKEN": "s3cr3t-token",
    "db-credentials": '{"user": "admin", "ports": [5432], "deep": {"p.q": "quoted"}, "t": true}',
    "dotted.name": "dotted-value",
    "list": '[{"k": "first"}]',
}


def _revealed(value: Any) -> Any:
    return reveal(value, KEPT.get, Revealed())


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${workflow.secrets.TOKEN}", "s3cr3t-token"),
        ("Bearer ${workflow.secrets.TOKEN}!", "Bearer s3cr3t-token!"),
        ("${workflow.secrets.db-credentials.user}", "admin"),
        ("${workflow.secrets.db-credentials.ports}", [5432]),
        ("${workflow.secrets.db-credentials.ports[0]}", 5432),
        ("${workflow.secrets.db-credentials.$.user}", "admin"),
        ("${workflow.secrets.db-credentials.deep['p.q']}", "quoted"),
        ("p=${workflow.secrets.db-credentials.ports}", "p=[5432]"),
        ("t=${workflow.secrets.db-credentials.t}", "t=true"),
        ("${workflow.secrets.list.[0].k}", "first"),
        ("${workflow.secrets.dotted.name}", "dotted-value"),
        # Missing: null as a whole value, empty inside a text.
        ("${workflow.secrets.GONE}", None),
        ("x${workflow.secrets.GONE}y", "xy"),
        ("${workflow.secrets.GONE.path}", None),
        ("${workflow.secrets.db-credentials.gone}", None),
        ("${workflow.secrets.TOKEN.path}", None),
        # No references.
        ("${workflow.secrets.}", "${workflow.secrets.}"),
        ("${workflow.input.x}", "${workflow.input.x}"),
        ("workflow.secrets.TOKEN", "workflow.secrets.TOKEN"),
        (5, 5),
        (None, None),
    ],
)
def test_references_become_values(template: Any, expected: Any) -> None:
    """Whole, inside a text, with a path, and missing ones."""
    assert expected == _revealed(template)
    assert {"a": [expected]} == _revealed({"a": [template]})


def test_what_is_given_stays_as_it_is() -> None:
    """The stored input is not touched; what was filled in is remembered."""
    given = {"h": {"Authorization": "Bearer ${workflow.secrets.TOKEN}"}}
    revealed = Revealed()
    filled = reveal(given, KEPT.get, revealed)

    assert {"h": {"Authorization": "Bearer ${workflow.secrets.TOKEN}"}} == given
    assert given == revealed.conceal(filled)


def test_depth_is_bounded() -> None:
    """A payload that somebody made to be deep keeps its references."""
    deep: Any = "${workflow.secrets.TOKEN}"
    for _ in range(300):
        deep = [deep]

    assert deep == _revealed(deep)


def test_the_record_of_a_task_holds_the_reference() -> None:
    """What is scheduled and what a workflow answers never has the value, wherever it is used."""
    play = Playbook(
        step(
            "a",
            inputParameters={
                "whole": "${workflow.secrets.TOKEN}",
                "text": "Bearer ${workflow.secrets.TOKEN}",
                "nested": "${workflow.secrets.${workflow.input.which}}",
                "escaped": "$${workflow.secrets.TOKEN}",
            },
        ),
        outputParameters={"out": "${workflow.secrets.TOKEN}"},
    )
    play.start({"which": "db"})

    assert {
        "whole": "${workflow.secrets.TOKEN}",
        "text": "Bearer ${workflow.secrets.TOKEN}",
        "nested": "${workflow.secrets.db}",
        "escaped": "${workflow.secrets.TOKEN}",
    } == play.input("a")
    play.complete("a")
    assert {"out": "${workflow.secrets.TOKEN}"} == play.result
