"""``baton workflow test``: run workflows with mock outputs and hold them against expectations.

The daemon runs them; what is expected stands in ``expectations``.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import click
import msgspec

from edge.cli import expectations, output
from edge.cli import folder as folders
from edge.cli.client import Client, Refused, client_options
from edge.cli.exchange import Documents, folder_argument, steps_of
from edge.cli.folder import Key
from edge.clock import SystemClock

_REQUEST = frozenset(
    {
        "name",
        "version",
        "correlationId",
        "input",
        "taskToDomain",
        "workflowDef",
        "priority",
        "createdBy",
        "idempotencyKey",
        "idempotencyStrategy",
        "taskRefToMockOutput",
        "subWorkflowTestRequest",
    }
)
"""What a test hands to the daemon; ``test`` is its title, ``expect`` stays here."""


_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MockTest(msgspec.Struct, frozen=True):
    """One test of a file."""

    file: Path
    title: str
    request: dict[str, Any]
    expect: dict[str, Any]


class Verdict(msgspec.Struct, frozen=True):
    """What has become of a test."""

    test: MockTest
    differences: list[str]
    """Where the execution was not as expected; empty = passed."""
    refused: str | None
    """Why the daemon would not run it."""
    took_ms: int

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences and self.refused is None


@click.command(
    epilog=output.examples(
        "baton workflow test workflows/order",
        "baton workflow test . --junit report.xml",
    )
)
@folder_argument
@click.option("--only", metavar="TEXT", help="Only tests whose title or file holds this.")
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a report in JUnit's XML, for CI.",
)
@client_options
def test(*, folder: Path, only: str | None, junit: Path | None, url: str, as_json: bool) -> None:
    """Run a folder's mock tests; the exit status is 1 when one fails.

    Tests are files named `*.test.json` and the files of folders named `tests`. The definitions of
    the folder are tested as they stand there, registered or not; nothing is kept on the daemon.
    """
    found = [
        one for one in read(folder) if only is None or only in one.title or only in one.file.name
    ]
    if not found:
        raise click.ClickException(
            f"{folder} holds no test; expected files such as order.test.json or tests/order.json"
        )
    known = {key: entry.document for key, entry in folders.read(folder).items()}
    daemon, clock = Client(url), SystemClock()
    verdicts: list[Verdict] = []
    for one in found:
        verdict = _run(daemon, clock, one, known)
        verdicts.append(verdict)
        if not as_json:
            _tell(verdict, folder)
    failed = sum(not one.passed for one in verdicts)
    if junit is not None:
        try:
            junit.write_bytes(report(verdicts, folder))
        except OSError as error:
            raise click.ClickException(f"{junit} cannot be written: {error.strerror}") from error
    if as_json:
        output.as_json([_line(one) for one in verdicts])
    else:
        click.echo(f"{len(verdicts) - failed} passed, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def read(folder: Path) -> list[MockTest]:
    """Every test of a folder.

    Raises:
        click.ClickException: a file holds no tests; the key that is wrong is named.
    """
    found: list[MockTest] = []
    for file in folders.tests_of(folder):
        document = folders.decoded(file)
        items = document if isinstance(document, list) else [document]
        for number, one in enumerate(items, 1):
            where = f"{file} [{number}]" if len(items) > 1 else str(file)
            if not isinstance(one, dict):
                raise click.ClickException(f"{where}: expected a test, or a list of them")
            faults = [
                f"{key}: unknown; known are {', '.join(sorted(_REQUEST | {'test', 'expect'}))}"
                for key in sorted(one.keys() - _REQUEST - {"test", "expect"})
            ]
            if not isinstance(one.get("name"), str):
                faults.append("name: a test names the workflow that it runs")
            faults += expectations.faults_of(one.get("expect"))
            if faults:
                raise click.ClickException(f"{where}: " + "; ".join(faults))
            title = one.get("test") or f"{one['name']} {number}"
            request = {key: value for key, value in one.items() if key in _REQUEST}
            found.append(MockTest(file, str(title), request, one["expect"]))
    return found


def request_of(request: dict[str, Any], known: Documents) -> dict[str, Any]:
    """A test's request in the form of Conductor's, with the folder's own definitions in it.

    Args:
        request: as its author wrote it: a mock may be one output instead of a list of them, and its
            status is COMPLETED unless it says otherwise.
        known: the definitions of the folder.
    """
    made = _with_mocks(request)
    if "workflowDef" not in made:
        definition = _find(known, made["name"], made.get("version"))
        if definition is not None:
            made["workflowDef"] = _whole(definition, known, frozenset())
    return made


def report(verdicts: list[Verdict], folder: Path) -> bytes:
    """The verdicts as JUnit's XML."""
    # Imported here: only who asks for a report needs it.
    from xml.etree import ElementTree as ET

    failed = [one for one in verdicts if not one.passed]
    refused = [one for one in failed if one.refused is not None]
    suite = ET.Element(
        "testsuite",
        name=str(folder),
        tests=str(len(verdicts)),
        failures=str(len(failed) - len(refused)),
        errors=str(len(refused)),
        time=f"{sum(one.took_ms for one in verdicts) / 1000:.3f}",
    )
    for one in verdicts:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=str(one.test.file.relative_to(folder)),
            name=one.test.title,
            time=f"{one.took_ms / 1000:.3f}",
        )
        if one.refused is not None:
            ET.SubElement(case, "error", message=_xml(one.refused)).text = _xml(one.refused)
        elif one.differences:
            lines = _xml("\n".join(one.differences))
            ET.SubElement(case, "failure", message=_xml(one.differences[0])).text = lines
    ET.indent(suite)
    body: bytes = ET.tostring(suite, encoding="utf-8")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body


def _xml(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_IN_XML.sub("?", text)


def _run(daemon: Client, clock: SystemClock, test: MockTest, known: Documents) -> Verdict:
    began_ms = clock.monotonic_ms()
    refused: str | None = None
    found: list[str] = []
    try:
        body = request_of(test.request, known)
        execution = daemon.call("POST", "workflow", "test", body=body)
        found = expectations.differences(execution, test.expect)
    except Refused as refusal:
        refused = refusal.message
    return Verdict(test, found, refused, clock.monotonic_ms() - began_ms)


def _with_mocks(request: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(request)
    mocks = made.get("taskRefToMockOutput")
    if isinstance(mocks, dict):
        made["taskRefToMockOutput"] = {ref: _mocks(given) for ref, given in mocks.items()}
    inner = made.get("subWorkflowTestRequest")
    if isinstance(inner, dict):
        made["subWorkflowTestRequest"] = {
            ref: _with_mocks(one) if isinstance(one, dict) else one for ref, one in inner.items()
        }
    return made


def _mocks(given: Any) -> Any:
    items = given if isinstance(given, list) else [given]
    return [{"status": "COMPLETED", **one} if isinstance(one, dict) else one for one in items]


def _find(known: Documents, name: Any, version: Any) -> dict[str, Any] | None:
    """A workflow of the folder; the latest one without a version."""
    versions = {
        key.version: document
        for key, document in known.items()
        if key.kind == "workflow" and key.name == name
    }
    return versions.get(version or max(versions, default=0))


def _whole(definition: dict[str, Any], known: Documents, inside: frozenset[str]) -> dict[str, Any]:
    """A definition with the folder's task definitions and sub-workflows written into it.

    Args:
        definition: is not changed.
        known: the definitions of the folder.
        inside: names of the workflows around it; one that starts itself is left to the daemon.
    """
    made = copy.deepcopy(definition)
    inside |= {str(definition.get("name"))}
    for step in steps_of(made):
        task = known.get(Key("task", str(step.get("name"))))
        if task is not None:
            step.setdefault("taskDefinition", copy.deepcopy(task))
        started = step.get("subWorkflowParam")
        if not isinstance(started, dict) or started.get("workflowDefinition") is not None:
            continue
        child = _find(known, started.get("name"), started.get("version"))
        if child is not None and started.get("name") not in inside:
            started["workflowDefinition"] = _whole(child, known, inside)
    return made


def _tell(verdict: Verdict, folder: Path) -> None:
    test = verdict.test
    word, colour = ("PASS", "green") if verdict.passed else ("FAIL", "red")
    place = test.file.relative_to(folder)
    click.echo(f"{click.style(word, fg=colour)} {place}: {test.title} ({verdict.took_ms} ms)")
    lines = verdict.differences if verdict.refused is None else verdict.refused.splitlines()
    for line in lines:
        click.echo(f"     {line}")


def _line(verdict: Verdict) -> dict[str, Any]:
    line = {
        "file": str(verdict.test.file),
        "test": verdict.test.title,
        "passed": verdict.passed,
        "differences": verdict.differences,
        "tookMs": verdict.took_ms,
    }
    return line if verdict.refused is None else {**line, "error": verdict.refused}
