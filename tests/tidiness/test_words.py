"""Words that do not belong in the tree: debts, machines, addresses, and names that say nothing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.tidiness.tree import files, python_files, report, shown, syntax_of, text_of

# The words are put together here, or this file would be its own first finding.
_DEBTS = ["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]
_MACHINES = ["/wo" + "rk/", "/fa" + "rm", "/ro" + "ot/", "/opt/py" + "pi", "/opt/whe" + "els"]
_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted",
    "npmjs" + ".org",
    "unpkg" + ".com",
    "jsdelivr" + ".net",
    "docker" + ".io",
    "ghcr" + ".io",
    "deb.debian" + ".org",
]

_BANNED = frozenset({"manager", "service", "helper", "util", "common", "base", "impl"})
"""They say nothing: whatever is called so could hold anything."""

_LICENCES = ("/vendor/", "LICENSE")
"""Texts of others, kept as they made them."""


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{shown(path)}:{number} {line.strip()[:80]}"
        for path in files()
        if not any(part in str(path) for part in _LICENCES) and pattern.search(text_of(path) or "")
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("word", _DEBTS)
def test_no_debt_is_left_in_the_tree(word: str) -> None:
    """Work is done, or it is an issue; a note in the code is neither."""
    findings = _lines_with(re.compile(rf"\b{word}\b"))

    assert [] == findings, report(findings, f"{word} stands in:")


@pytest.mark.parametrize("path", _MACHINES)
def test_no_path_of_one_machine_is_in_the_tree(path: str) -> None:
    """What holds on one machine only is wrong on every other."""
    findings = _lines_with(re.compile(rf"(?<![\w.]){re.escape(path)}"))

    assert [] == findings, report(findings, f"The path {path} stands in:")


@pytest.mark.parametrize("host", _HOSTS)
def test_no_registry_is_named(host: str) -> None:
    """Where packages come from is the affair of who installs them."""
    findings = _lines_with(re.compile(re.escape(host)))

    assert [] == findings, report(findings, f"The host {host} stands in:")


def _words(name: str) -> set[str]:
    """The words of a name in snake or camel case, plurals in the singular too."""
    found = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return found | {word.removesuffix("s") for word in found}


def _named(path: Path) -> list[tuple[int, str]]:
    """Names that a Python file gives: its own, its classes', its functions'."""
    inside = [
        (node.lineno, node.name)
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [(1, path.stem), *inside]


def test_no_name_says_nothing() -> None:
    """Modules, classes and functions are named by one of the nouns, or by what they do."""
    findings = [
        f"{shown(path)}:{line} {name}"
        for path in python_files()
        for line, name in _named(path)
        if not name.startswith("test_") and _words(name) & _BANNED
    ]

    assert [] == findings, report(findings, f"Not used in names ({', '.join(sorted(_BANNED))}):")
