"""A stranger can say what is in a file, and what never will be, from its first two sentences."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tidiness.tree import PACKAGES, ROOT, python_files, report, shown, syntax_of

_SENTENCE = re.compile(r"^[`\"'(\w].*[.!?:][`\"')]*$")
_ENDING = re.compile(r"[.!?][`\"')]*(?=\s|$)")

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _first_sentence(node: _Documented) -> str | None:
    """The paragraph that a docstring begins with, on one line."""
    docstring = ast.get_docstring(node)
    return None if docstring is None else " ".join(docstring.split("\n\n", 1)[0].split())


def _judge(place: str, node: _Documented) -> list[str]:
    sentence = _first_sentence(node)
    if sentence is None:
        return [f"{place}: no docstring"]
    if not _SENTENCE.match(sentence):
        return [f"{place}: does not begin with a sentence: {sentence[:60]!r}"]
    return []


def test_every_module_begins_with_a_sentence() -> None:
    """The first sentence of a module says what lives in it."""
    findings = [
        finding for path in python_files() for finding in _judge(shown(path), syntax_of(path))
    ]

    assert [] == findings, report(findings, "Modules say in a sentence what lives in them:")


def test_every_installed_module_says_what_it_may_not_hold() -> None:
    """The second sentence of a module says what never will be in it; packages need not."""
    findings = [
        shown(path)
        for path in python_files(*PACKAGES)
        if path.name not in ("__init__.py", "__main__.py")
        and len(_ENDING.findall(ast.get_docstring(syntax_of(path)) or "")) < 2
    ]

    assert [] == findings, report(findings, "The second sentence of these modules is missing:")


def test_every_class_begins_with_a_sentence() -> None:
    """A class says what it is; a private one need not where its name is enough."""
    findings = [
        finding
        for path in python_files()
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for finding in _judge(f"{shown(path)}:{node.lineno} {node.name}", node)
    ]

    assert [] == findings, report(findings, "Classes say in a sentence what they are:")


def test_every_test_states_its_property() -> None:
    """A test that fails is read by somebody who did not write it."""
    findings = [
        finding
        for path in _test_files()
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for finding in _judge(f"{shown(path)}:{node.lineno} {node.name}", node)
    ]

    assert [] == findings, report(findings, "Tests state the property that they prove:")


def _test_files() -> list[Path]:
    return [path for path in python_files("tests") if path.is_relative_to(ROOT / "tests")]
