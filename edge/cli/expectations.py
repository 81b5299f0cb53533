"""What a mock test expects of an execution, and where the execution differs from it.

A part is compared with the whole: what an expectation does not name may be anything. Nothing is run
or asked here.
"""

from __future__ import annotations

import json
from typing import Any

from edge.cli.follow import OPEN

KNOWN = frozenset({"status", "output", "variables", "tasks", "reason"})
KNOWN_OF_TASK = frozenset({"status", "output", "input", "attempts", "reason"})

_SHOWN = 300
"""Characters of a value in a message; the whole of it stands in `--json`."""


def faults_of(expect: Any) -> list[str]:
    """What is wrong with an expectation itself: a misspelt key would expect nothing."""
    if not isinstance(expect, dict) or not expect:
        known = ", ".join(sorted(KNOWN))
        return [f"expect: a test names what it expects; any of {known}"]
    faults = _unknown("expect", expect, KNOWN)
    tasks = expect.get("tasks", {})
    if not isinstance(tasks, dict):
        return [*faults, "expect.tasks: must be a map of reference names"]
    for ref, task in tasks.items():
        if isinstance(task, dict):
            faults += _unknown(f"expect.tasks.{ref}", task, KNOWN_OF_TASK)
        elif task is not None and not isinstance(task, str):
            faults.append(f"expect.tasks.{ref}: must be a status, a map, or null for never run")
    return faults


def differences(execution: dict[str, Any], expect: dict[str, Any]) -> list[str]:
    """Where an execution is not as expected, a line each; none = the test has passed."""
    found: list[str] = []
    if "status" in expect:
        found += _compare("status", expect["status"], execution.get("status"))
    if "reason" in expect:
        found += _within("reason", expect["reason"], execution.get("reasonForIncompletion"))
    for key in ("output", "variables"):
        if key in expect:
            found += _compare(key, expect[key], execution.get(key) or {})
    records: dict[str, list[dict[str, Any]]] = {}
    for task in execution.get("tasks", []):
        records.setdefault(task["referenceTaskName"], []).append(task)
    for ref, wanted in expect.get("tasks", {}).items():
        found += _task(f"tasks.{ref}", wanted, records.get(ref, []))
    if found and execution.get("status") == "RUNNING":
        found += [
            f"it stopped at {task['referenceTaskName']} ({task['taskType']}), "
            "which has no mock output left"
            for task in execution.get("tasks", [])
            if task["status"] in OPEN and task["taskType"] not in ("JOIN", "DO_WHILE")
        ]
    return found


def _task(path: str, wanted: Any, records: list[dict[str, Any]]) -> list[str]:
    """The last attempt is what counts."""
    if wanted is None:
        return [f"{path}: expected never to run, is {records[-1]['status']}"] if records else []
    if not records:
        return [f"{path}: expected to run, never did"]
    last = records[-1]
    if isinstance(wanted, str):
        wanted = {"status": wanted}
    found: list[str] = []
    for key, value in wanted.items():
        match key:
            case "reason":
                found += _within(f"{path}.reason", value, last.get("reasonForIncompletion"))
            case "attempts":
                found += _compare(f"{path}.attempts", value, len(records))
            case "status":
                found += _compare(f"{path}.status", value, last.get("status"))
            case _:
                found += _compare(f"{path}.{key}", value, last.get(f"{key}Data") or {})
    return found


def _compare(path: str, wanted: Any, got: Any) -> list[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [
            line
            for key, value in wanted.items()
            for line in _compare(f"{path}.{key}", value, got.get(key))
        ]
    if isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            return [f"{path}: expected {len(wanted)} items, got {len(got)}: {_short(got)}"]
        pairs = enumerate(zip(wanted, got, strict=True))
        return [line for n, (one, two) in pairs for line in _compare(f"{path}[{n}]", one, two)]
    if wanted == got and isinstance(wanted, bool) == isinstance(got, bool):
        return []
    return [f"{path}: expected {_short(wanted)}, got {_short(got)}"]


def _within(path: str, wanted: Any, got: Any) -> list[str]:
    """A reason is a sentence: some of its words are enough."""
    if isinstance(got, str) and str(wanted) in got:
        return []
    return [f"{path}: expected words {_short(wanted)}, got {_short(got)}"]


def _unknown(path: str, given: dict[str, Any], known: frozenset[str]) -> list[str]:
    names = ", ".join(sorted(known))
    return [f"{path}.{key}: unknown; known are {names}" for key in given if key not in known]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
