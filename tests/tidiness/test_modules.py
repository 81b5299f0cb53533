"""Every installed module is used by somebody and tested by somebody."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tidiness.tree import (
    PACKAGES,
    ROOT,
    imports_of,
    module_name,
    modules,
    python_files,
    report,
    shown,
    syntax_of,
)

_TARGET = re.compile(r"^([a-z_][\w.]*):[A-Za-z_]\w*$")
"""``module:Class``, the way drivers are named in a table."""

_CATALOGUED = re.compile(r"^workflows\.\w+\.handlers$")
"""The catalogue of bundled workflows imports these by the name of their folder."""

_CHANCE = re.compile(
    r"^(time\.(time|time_ns|sleep)|datetime\.(now|utcnow|today)|uuid\.uuid[14]"
    r"|random\.(random|randint|randrange|uniform|choice|choices|sample|shuffle|seed))$"
)
"""Calls whose answer nobody chose."""

_TESTED_AS_A_WHOLE = {
    "edge.cli": "a verb is what is tested: typed, as a person would",
    "edge.demo": "the demonstration is a play: it is run from beginning to end",
    "edge.simulated_fleet": "what speaks is run over real brokers; what is computed has unit tests",
    "devices.scenes": "a film is what is tested: its truth against its pictures",
    "edge.decider.operators": "an operator is driven through decide, as the engine drives it",
}
"""Packages whose test_<package>.py mirrors all their modules, each with the reason."""

_WITHOUT_TEST: dict[str, str] = {}
"""Modules that no test mirrors or imports, each with the reason."""


def _names_in_tables(path: Path) -> set[str]:
    """Modules that a file names in strings, to import them later."""
    names: set[str] = set()
    for node in ast.walk(syntax_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _TARGET.match(node.value)
            names.add(match[1] if match else node.value)
    return names


def _entry_points() -> set[str]:
    """Modules that something outside starts: console scripts."""
    project = (ROOT / "pyproject.toml").read_text()
    return {match[1] for match in re.finditer(r'= "([a-z_.]+):\w+"', project)}


def test_no_module_is_dead() -> None:
    """A module is imported by another, named in a table, or started from outside."""
    used = _entry_points()
    for path in python_files(*PACKAGES):
        used |= (imports_of(path) | _names_in_tables(path)) - {module_name(path)}
    findings = [
        shown(path)
        for name, path in modules().items()
        if path.name not in ("__init__.py", "__main__.py")
        and name not in used
        and not _CATALOGUED.match(name)
    ]

    assert [] == findings, report(findings, "Nobody imports these modules; use or remove them:")


def test_every_module_has_a_test() -> None:
    """A module has a test of its name under tests/, or a test that imports it."""
    tests = python_files("tests")
    mirrors = {path.stem for path in tests}
    imported = set().union(*(imports_of(path) for path in tests))
    findings = []
    for name, path in modules().items():
        if path.name in ("__init__.py", "__main__.py") or name in _WITHOUT_TEST:
            continue
        words = name.split(".")
        whole = name.rpartition(".")[0]
        if whole in _TESTED_AS_A_WHOLE and f"test_{words[-2]}" in mirrors:
            continue
        # test_outbox.py and test_store_outbox.py both mirror edge/store/outbox.py.
        mirrored = {f"test_{'_'.join(words[start:])}" for start in range(len(words))} & mirrors
        if not mirrored and name not in imported:
            findings.append(f"{shown(path)}: expected tests/unit/{words[0]}/test_{words[-1]}.py")

    assert [] == findings, report(findings, "These modules have no test:")


def test_exceptions_are_of_modules_that_exist() -> None:
    """An exception goes when its module does."""
    assert set() == (set(_WITHOUT_TEST) | set(_TESTED_AS_A_WHOLE)) - set(modules())


def test_unit_tests_leave_time_and_chance_alone() -> None:
    """What reads a clock, sleeps or throws dice fails on some days; unit tests are handed both."""
    findings = [
        f"{shown(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path in python_files("tests")
        if path.is_relative_to(ROOT / "tests" / "unit")
        or path.is_relative_to(ROOT / "tests" / "property")
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.Call)
        and (match := _CHANCE.match(ast.unparse(node.func)))
        # A generator that a test has seeded may well be called "random".
        and match[1].split(".")[0] in imports_of(path) | {"datetime"}
    ]

    assert [] == findings, report(findings, "These calls stand in unit tests:")


def test_nothing_is_patched() -> None:
    """A double implements the Protocol; what is patched is not tested."""
    findings = [
        shown(path)
        for path in python_files()
        if any(name.startswith("unittest.mock") for name in imports_of(path))
    ]

    assert [] == findings, report(findings, "unittest.mock is imported by:")
