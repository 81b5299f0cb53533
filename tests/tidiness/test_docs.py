"""The documentation tells everything that can be typed or set, and its links lead somewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import click
import msgspec
import pytest

from devices.errors import DeviceError
from devices.inventory import DRIVERS
from edge.api import app as _app
from edge.cli import main
from edge.config import Settings
from edge.decider.operators import OPERATORS
from edge.model.errors import BatonError
from tests.tidiness.tree import ROOT, files, report, shown, syntax_of

DOCS = ROOT / "docs"

_ROOMS_WITH_ERRORS = (_app,)
"""Imported for the errors they declare, which are found as subclasses."""

_COUNTING = ("engine.py", "group_commit.py", "moments.py")
"""Where the engine counts."""

_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_OUTSIDE = re.compile(r"^[a-z][a-z+.-]*:")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/.*]+)(?:::(\w+))?`")


def _pages() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


def _anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked by."""
    text = _FENCE.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def _broken(page: Path, target: str) -> bool:
    """Whether a link from a page leads nowhere; addresses outside are not followed."""
    if _OUTSIDE.match(target):
        return False
    name, _, anchor = unquote(target).partition("#")
    there = (page.parent / name).resolve() if name else page
    if not there.exists():
        return True
    return bool(anchor) and there.suffix == ".md" and anchor not in _anchors(there)


def test_there_is_a_page_for_a_newcomer() -> None:
    """README and the index of the documentation exist."""
    assert (ROOT / "README.md").is_file()
    assert (DOCS / "index.md").is_file()


def test_links_lead_somewhere() -> None:
    """Every relative link of every page names a file, and a heading of it, that exist."""
    findings = [
        f"{shown(page)}: {target}"
        for page in _pages()
        for target in _LINK.findall(_FENCE.sub("", page.read_text()))
        if _broken(page, target)
    ]

    assert [] == findings, report(findings, "Links lead nowhere:")


def test_every_page_can_be_reached_from_the_index() -> None:
    """A page that nothing links to is read by nobody."""
    reached: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        waiting += [
            (page.parent / unquote(target).partition("#")[0]).resolve()
            for target in _LINK.findall(page.read_text())
            if not _OUTSIDE.match(target)
        ]
    findings = [
        shown(page) for page in _pages() if page.is_relative_to(DOCS) and page not in reached
    ]

    assert [] == findings, report(findings, "Nothing links to these pages from docs/index.md:")


def _commands(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group, which may not have been imported yet."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _verbs(group: click.Group, prefix: str) -> list[str]:
    """Every command as it is typed."""
    verbs: list[str] = []
    for name, command in _commands(group).items():
        if isinstance(command, click.Group):
            verbs += _verbs(command, f"{prefix} {name}")
        else:
            verbs.append(f"{prefix} {name}")
    return verbs


def _options(group: click.Group) -> dict[str, set[str]]:
    """The long options of every command."""
    found: dict[str, set[str]] = {}
    for name, command in _commands(group).items():
        if isinstance(command, click.Group):
            for verb, options in _options(command).items():
                found[f"{name} {verb}"] = options
        else:
            found[name] = {
                option
                for parameter in command.params
                if isinstance(parameter, click.Option)
                for option in parameter.opts
                if option.startswith("--")
            }
    return found


@pytest.mark.parametrize("verb", _verbs(main, "baton"))
def test_every_verb_has_a_heading(verb: str) -> None:
    """What can be typed is explained under a heading of its own."""
    page = DOCS / "command-line.md"
    headings = _HEADING.findall(page.read_text())

    assert any(heading.startswith(f"`{verb}") for heading in headings), (
        f"{shown(page)} has no heading that begins with `{verb}`"
    )


def test_every_option_is_told() -> None:
    """Each option of a verb stands on the page of the command line."""
    text = (DOCS / "command-line.md").read_text()
    findings = [
        f"baton {verb} {option}"
        for verb, options in _options(main).items()
        for option in sorted(options)
        if f"`{option}" not in text
    ]

    assert [] == findings, report(findings, "docs/command-line.md does not tell of:")


def _sections() -> dict[str, list[str]]:
    """The sections of the configuration and their keys."""
    sections: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(Settings):
        kind = field.type
        # A list of tables is written with its element's keys.
        for inner in getattr(kind, "__args__", (kind,)):
            sections[field.name] = [one.name for one in msgspec.structs.fields(inner)]
    return sections


@pytest.mark.parametrize(("section", "keys"), sorted(_sections().items()))
def test_every_setting_is_told(section: str, keys: list[str]) -> None:
    """Each section of the configuration has a heading, each key a place under it."""
    text = (DOCS / "configuration.md").read_text()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    own = [part for part in parts if re.match(rf"`\[+{section}\]+`", part)]

    assert own, f"docs/configuration.md has no heading for [{section}]"
    findings = [f"{section}.{key}" for key in keys if f"`{key}`" not in own[0]]
    assert [] == findings, report(findings, "docs/configuration.md does not tell of:")


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_every_driver_is_told(driver: str) -> None:
    """Each driver that comes along stands on the page of the devices."""
    assert f'driver = "{driver}"' in (DOCS / "devices.md").read_text()


@pytest.mark.parametrize("driver", ["camera", "onnx-detector"])
def test_every_setting_of_a_driver_is_told_with_its_default(driver: str) -> None:
    """What the table says of a key is what the driver does without it."""
    page = (DOCS / "devices.md").read_text()
    begin = page.index(f'\n`driver = "{driver}"`')
    table: dict[str, str] = {}
    for row in re.findall(
        r"^\| (`.*?) \| (.*?) \|", page[begin : page.index("\n##", begin)], re.MULTILINE
    ):
        keys, defaults = (re.findall(r"`([^`]*)`", cell) for cell in row)
        for place, key in enumerate(keys):
            # One value stands for all keys of a row; one in words says how it comes about.
            table[key] = defaults[min(place, len(defaults) - 1)] if defaults else ""
    module, _, name = DRIVERS[driver].partition(":")
    fields = msgspec.structs.fields(getattr(import_module(module), name).settings_type)

    assert {field.name for field in fields} == set(table)
    for field in fields:
        if table[field.name]:
            told = tomllib.loads(f"x = {table[field.name]}")["x"]
            meant = field.default if field.default is not msgspec.NODEFAULT else {}
            assert told == meant, field.name


def test_every_metric_is_told() -> None:
    """Whoever draws a graph knows what he sees; counters of the engine are named by their keys."""
    source = "".join(path.read_text() for path in sorted((ROOT / "edge" / "api").glob("*.py")))
    counting = "".join((ROOT / "edge" / name).read_text() for name in _COUNTING)
    names = set(re.findall(r'"(baton_[a-z_]+)",', source))
    names |= {f"baton_{key}_total" for key in re.findall(r'_counters\["(\w+)"\]', counting)}
    text = (DOCS / "metrics.md").read_text()

    findings = sorted(name for name in names if f"`{name}`" not in text)
    assert len(names) > 20
    assert [] == findings, report(findings, "docs/metrics.md does not tell of:")


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_every_task_type_is_told(operator: str) -> None:
    """Each task type that a definition may use is explained to those who write one."""
    assert f"`{operator}`" in (DOCS / "workflows.md").read_text()


def _codes(kind: type[Exception]) -> set[str]:
    """The codes of an error and of all errors below it; heads of a tree are never raised."""
    below = kind.__subclasses__()
    own = {
        code for code in (vars(kind).get("code"),) if code and not kind.__name__.endswith("Error")
    }
    return own.union(*(_codes(one) for one in below))


def test_every_error_code_has_a_heading() -> None:
    """Whoever meets a code finds out what to do."""
    headings = set(_HEADING.findall((DOCS / "errors.md").read_text()))
    codes = _codes(BatonError) | _codes(DeviceError)
    findings = sorted(code for code in codes if f"`{code}`" not in headings)

    assert {"not_found", "forbidden", "device_refused"} <= codes
    assert [] == findings, report(findings, "docs/errors.md has no heading for:")


def _tests_in(path: Path) -> set[str]:
    """The names of the tests of a file."""
    return {node.name for node in ast.walk(syntax_of(path)) if isinstance(node, ast.FunctionDef)}


def test_what_shows_a_feature_exists() -> None:
    """Each test, and each file of tests, that the page of compatibility names is there."""
    named = _TEST.findall((DOCS / "compatibility.md").read_text())
    findings = [
        f"{path}::{name}" if name else path
        for path, name in named
        if not any(ROOT.glob(path)) or (name and name not in _tests_in(ROOT / path))
    ]

    assert any(name for _, name in named)
    assert [] == findings, report(findings, "docs/compatibility.md names tests that are not there:")
