"""The guarantees name tests that exist: a promise without a test behind it is none."""

from __future__ import annotations

import ast
import re

from tests.tidiness.tree import ROOT, report, syntax_of

_PAGE = ROOT / "docs" / "guarantees.md"
_PROTOCOL = ROOT / "docs" / "sync-protocol.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINE = re.compile(r"^\|(?! *-| *Boundary)(.*)\|$", re.MULTILINE)


def _tests_of(file: str) -> set[str]:
    path = ROOT / file
    if not path.is_file():
        return set()
    return {node.name for node in ast.walk(syntax_of(path)) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    """A test that was renamed takes its line along."""
    named = _TEST.findall(_PAGE.read_text() + _PROTOCOL.read_text())
    findings = sorted({f"{file}::{name}" for file, name in named if name not in _tests_of(file)})

    assert [] == findings, report(findings, "The pages name tests that there are not:")


def test_every_promise_has_a_test() -> None:
    """G1 to G11 are there, and each line of each names at least one test."""
    text = _PAGE.read_text()
    lines = _LINE.findall(text)
    bare = [line.strip()[:60] for line in lines if not _TEST.search(line)]

    assert [f"G{n}" for n in range(1, 12)] == re.findall(r"^## (G\d+):", text, re.MULTILINE)
    assert len(lines) > 40
    assert [] == bare, report(bare, "These promises of docs/guarantees.md name no test:")


def test_every_invariant_of_the_protocol_has_a_test() -> None:
    """I-1 to I-20 are there, each with at least one."""
    lines = re.findall(r"^\| (I-\d+) \|(.*)\|$", _PROTOCOL.read_text(), re.MULTILINE)

    assert [f"I-{n}" for n in range(1, 21)] == [name for name, _ in lines]
    assert [] == [name for name, line in lines if not _TEST.search(line)]
