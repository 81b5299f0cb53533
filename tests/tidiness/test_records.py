"""Decision records are complete and listed; pins are complete and name no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.tidiness.tree import ROOT, report, shown

RECORDS = ROOT / "docs" / "adr"
REQUIREMENTS = ROOT / "packaging" / "requirements"

_NAME = re.compile(r"^(\d{4})-[a-z0-9-]+\.md$")
_PARTS = ["Context", "Options", "Decision", "Consequences"]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def _records() -> list[Path]:
    return sorted(path for path in RECORDS.glob("*.md") if path.name != "README.md")


def test_records_are_numbered_without_gaps() -> None:
    """Records are named 0001-words.md, 0002-words.md, and none is taken away."""
    numbers = [int(match[1]) if (match := _NAME.match(p.name)) else 0 for p in _records()]

    assert list(range(1, len(numbers) + 1)) == numbers
    assert numbers


@pytest.mark.parametrize("record", _records(), ids=lambda path: path.stem)
def test_a_record_has_its_parts(record: Path) -> None:
    """Each record tells context, options, decision and consequences, in that order."""
    headings = re.findall(r"^## (\w+)", record.read_text(), re.MULTILINE)

    assert _PARTS == [heading for heading in headings if heading in _PARTS]


def test_the_index_lists_every_record_once() -> None:
    """The index links to each record by its title."""
    index = (RECORDS / "README.md").read_text()
    findings = []
    for record in _records():
        title = record.read_text().splitlines()[0].removeprefix("# ")
        if index.count(f"[{title}]({record.name})") != 1:
            findings.append(f"[{title}]({record.name})")

    assert [] == findings, report(findings, "docs/adr/README.md lacks these lines:")


def _pins(name: str) -> dict[str, set[str]]:
    """Versions of each package in a file of pins; the markers may tell several apart."""
    found: dict[str, set[str]] = {}
    for package, version in _PIN.findall((REQUIREMENTS / name).read_text()):
        found.setdefault(_canonical(package), set()).add(version)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted(dependencies: list[str]) -> set[str]:
    names = {re.split(r"[\s<>=!~;\[]", dependency, maxsplit=1)[0] for dependency in dependencies}
    return {_canonical(name) for name in names} - {"baton"}


def test_every_dependency_is_pinned() -> None:
    """The pins hold whatever pyproject.toml asks for; after a change run `make pin`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = [one for name in extras if name != "test" for one in extras[name]]

    assert set() == _wanted(project["dependencies"]) - set(_pins("device.txt"))
    assert set() == _wanted(optional) - set(_pins("all.txt"))
    assert set() == _wanted(extras["test"]) - set(_pins("test.txt"))


def test_files_of_pins_agree() -> None:
    """One release of a package for all: what is tested is what is installed."""
    widest = _pins("test.txt")
    findings = [
        f"{name}: {package} {versions}"
        for name in ("all.txt", "build.txt", "device.txt")
        for package, versions in _pins(name).items()
        if not versions <= widest.get(package, set())
    ]

    assert [] == findings, report(findings, "Not the releases of packaging/requirements/test.txt:")


def test_opencv_without_windows_is_the_same_release() -> None:
    """What stands in for opencv-python on a bare machine is the same code."""
    assert _pins("all.txt")["opencv-python"] == _pins("headless.txt")["opencv-python-headless"]


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_address(path: Path) -> None:
    """A file is known by its hash; where it was fetched from is nobody's business."""
    text = path.read_text()
    without = [
        pin[0] for pin in _PIN.finditer(text) if "--hash=sha256:" not in text[pin.end() :][:200]
    ]

    assert [] == without, f"{shown(path)}: no hash beside {without}"
    assert "://" not in text
