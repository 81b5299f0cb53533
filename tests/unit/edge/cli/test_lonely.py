"""Who waits for a task that nobody works on is told why nothing happens."""

from __future__ import annotations

from typing import Any

from edge.cli.client import Client, Refused
from edge.cli.lonely import Lonely
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import Type


class _Daemon(Client):
    """Answers what the test says."""

    def __init__(self, polls: Any) -> None:
        super().__init__("http://nowhere")
        self.polls = polls
        self.asked = 0

    def call(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        if isinstance(self.polls, Exception):
            raise self.polls
        return self.polls


def _execution(status: str = "SCHEDULED") -> dict[str, Any]:
    return {"tasks": [{"taskType": "scan", "referenceTaskName": "s", "status": status}]}


def test_each_type_is_told_once() -> None:
    """However often the execution changes, and the daemon is asked once."""
    daemon = _Daemon([])
    lonely = Lonely(daemon)

    (line,) = lonely.told(_execution())
    assert "s waits for a worker: nobody has ever asked for tasks of the type scan." in line
    assert [] == lonely.told(_execution())
    assert 1 == daemon.asked


def test_what_somebody_asks_for_is_not_lonely() -> None:
    """Nor is what is being worked on, or what the daemon says nothing about."""
    assert [] == Lonely(_Daemon([{"lastPollTime": 7}])).told(_execution())
    assert [] == Lonely(_Daemon([])).told(_execution("IN_PROGRESS"))
    assert [] == Lonely(_Daemon(Refused("no", 403))).told(_execution())
    assert [] == Lonely(_Daemon([])).told({})


def test_it_is_shown_on_standard_error(type_: Type, daemon: Daemon) -> None:
    """So that what a script reads stays as it was; an execution that runs has taken no time."""
    # A type of its own: other tests ask for the tasks of theirs.
    steps = [{"name": "unasked", "taskReferenceName": "lonely", "type": "SIMPLE"}]
    definition = {"name": "unasked", "tasks": steps}
    Client(daemon.url).call("POST", "metadata", "workflow", body=definition)
    workflow_id = type_("start", "unasked").output.strip()

    shown = type_("show", workflow_id)

    assert "lonely waits for a worker" in shown.stderr
    assert "lonely waits for a worker" not in shown.stdout
    assert f"{workflow_id} RUNNING\n" in shown.stdout
