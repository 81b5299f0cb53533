"""Nothing grows beyond what one person can hold in mind: files, functions."""

from __future__ import annotations

import ast

from tests.tidiness.tree import files, python_files, report, shown, syntax_of, text_of

_FILE_LINES = 600
_FUNCTION_LINES = 70

_WRITTEN_BY_HAND = frozenset({".py", ".js", ".css", ".html", ".sql", ".sh"})
"""Kinds of files that people read; pins and models are made by machines."""

_NOT_OURS = ("/vendor/",)
"""Code of others, kept as they made it."""


def test_no_file_is_longer_than_600_lines() -> None:
    """A longer file holds more than one thing; 300 is the aim."""
    findings = [
        f"{shown(path)}: {lines} lines"
        for path in files()
        if path.suffix in _WRITTEN_BY_HAND
        and not any(part in str(path) for part in _NOT_OURS)
        and (lines := (text_of(path) or "").count("\n")) > _FILE_LINES
    ]

    assert [] == findings, report(findings, f"Files may have {_FILE_LINES} lines; split these:")


def test_no_function_is_longer_than_70_lines() -> None:
    """A longer function does more than one thing; its docstring counts, its decorators do not."""
    findings = [
        f"{shown(path)}:{node.lineno} {node.name}: {lines} lines"
        for path in python_files()
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (lines := node.end_lineno - node.lineno + 1) > _FUNCTION_LINES
    ]

    assert [] == findings, report(
        findings, f"Functions may have {_FUNCTION_LINES} lines; take leaves out of these:"
    )
