"""Whoever decides anything is handed its time and its chance: what is not can never be replayed."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.tidiness.tree import imports_of, module_name, python_files, report, shown, syntax_of

_OF_THE_SYSTEM = {
    "edge.clock": "makes ids",
    "edge.links": "draws the jitter between attempts to connect",
    "edge.tokens": "makes keys, and the salt of their hashes",
    "edge.key_file": "makes keys",
    "sync.control_plane.access": "makes API tokens",
    "sync.identity": "makes the device's key at its first start",
    "edge.vault": "seals each secret with a nonce of its own",
    "edge.api.tickets": "makes keys",
}
"""Modules that may ask the operating system for random bytes, and what for."""

_DICE = frozenset({"random", "secrets", "time", "uuid"})
_MAY_IMPORT = {
    "edge.clock": {"time", "uuid"},
    "edge.model.executions": {"uuid"},
}
"""What reads a clock or makes an id; executions only write ids down that exist."""


def test_nobody_imports_chance_or_time() -> None:
    """The engine and the sync are replayed from a seed; the command line and the demo need not be."""
    findings = [
        f"{shown(path)}: {', '.join(sorted(found))}"
        for path in python_files("edge", "sync")
        if not module_name(path).startswith(("edge.cli", "edge.demo", "edge.script_child"))
        and (found := _imported(path) - _MAY_IMPORT.get(module_name(path), set()))
    ]

    assert [] == findings, report(findings, "These take time or chance for themselves:")


def _imported(path: Path) -> set[str]:
    names = {name.split(".")[0] for name in imports_of(path)}
    return names & _DICE


def test_random_bytes_are_asked_for_where_that_is_the_point() -> None:
    """``os.urandom`` is for keys; everything else is handed a source of its own."""
    findings = [
        shown(path)
        for path in python_files("edge", "sync")
        if module_name(path) not in _OF_THE_SYSTEM
        and any(
            isinstance(node, ast.Attribute) and node.attr == "urandom"
            for node in ast.walk(syntax_of(path))
        )
    ]

    assert [] == findings, report(findings, "These ask the operating system for random bytes:")
