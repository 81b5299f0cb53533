"""A folder of definitions: which files of it hold which, and where a new one goes.

No daemon is asked here, and no definition is judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import click
import msgspec

from edge.cli.canonical import canonical, text_of
from edge.model.definitions import TaskDefinition, WorkflowDefinition

_MAX_FILES = 1_000

_OTHERS = frozenset({"tests", "schedules"})
"""Folders whose JSON files are something else."""

Kind = Literal["task", "workflow"]


class Key(msgspec.Struct, frozen=True, order=True):
    """Which definition: task definitions have no version."""

    kind: Kind
    name: str
    version: int = 0

    def __str__(self) -> str:
        """As people say it."""
        return f"{self.kind} {self.name}" + (f" {self.version}" if self.version else "")


class Entry(msgspec.Struct, frozen=True):
    """One definition in a folder."""

    key: Key
    document: dict[str, Any]
    """As its author wrote it."""
    file: Path
    index: int | None
    """Its place in a file that holds a list; None = the file holds nothing else."""


def key_of(document: dict[str, Any], *, where: str) -> Key:
    """Which definition this is: one with tasks is a workflow, any other a task definition.

    Raises:
        click.ClickException: it names none; ``where`` is in the message.
    """
    name = document.get("name")
    if not isinstance(name, str):
        raise click.ClickException(f'{where}: a definition needs a "name"')
    if "tasks" not in document:
        return Key("task", name)
    version = document.get("version") or 1
    if isinstance(version, bool) or not isinstance(version, int):
        raise click.ClickException(f'{where}: the "version" of {name} is not a whole number')
    return Key("workflow", name, version)


def compared(key: Key, document: dict[str, Any]) -> dict[str, Any]:
    """A definition in the form in which it is compared."""
    return canonical(document, WorkflowDefinition if key.kind == "workflow" else TaskDefinition)


def kept(key: Key, document: dict[str, Any]) -> dict[str, Any]:
    """A daemon's definition in the form in which a folder keeps it."""
    kind = WorkflowDefinition if key.kind == "workflow" else TaskDefinition
    return canonical(document, kind, keep_unknown=True)


def read(folder: Path) -> dict[Key, Entry]:
    """Every definition of a folder.

    Raises:
        click.ClickException: a file cannot be read, or two hold the same definition.
    """
    found: dict[Key, Entry] = {}
    for file in _files(folder):
        document = decoded(file)
        whole = not isinstance(document, list)
        for index, one in enumerate([document] if whole else document):
            if not isinstance(one, dict):
                raise click.ClickException(f"{file}: expected a definition, or a list of them")
            key = key_of(one, where=str(file))
            if key in found:
                raise click.ClickException(
                    f"{file} and {found[key].file} both hold {key}; remove one of them"
                )
            found[key] = Entry(key, one, file, None if whole else index)
    return found


def tests_of(folder: Path) -> list[Path]:
    """The files that hold mock tests: ``*.test.json``, and what stands in a folder ``tests``."""
    return [
        file
        for file in sorted(folder.rglob("*.json"))
        if _is_test(file) or "tests" in file.relative_to(folder).parts[:-1]
    ]


def write(folder: Path, known: dict[Key, Entry], new: dict[Key, dict[str, Any]]) -> list[Path]:
    """Put definitions where they stand already, and those that are new in files of their own.

    Args:
        folder: made if it is not there.
        known: what ``read`` found.
        new: definitions as ``kept`` makes them, of which the folder has others or none.

    Returns:
        The files that were written.
    """
    written: dict[Path, None] = {}
    lists: dict[Path, dict[int, dict[str, Any]]] = {}
    for key, document in new.items():
        entry = known.get(key)
        if entry is not None and entry.index is not None:
            lists.setdefault(entry.file, {})[entry.index] = document
            continue
        file = entry.file if entry is not None else folder / _place(key)
        if entry is None and file.exists():
            raise click.ClickException(f"{file} holds something else than {key}; move it away")
        _write(file, text_of(document))
        written[file] = None
    for file, changes in lists.items():
        items = decoded(file)
        for index, document in changes.items():
            items[index] = document
        _write(file, text_of(items))
        written[file] = None
    return list(written)


def _files(folder: Path) -> Iterator[Path]:
    files = [
        file
        for file in sorted(folder.rglob("*.json"))
        if not _is_test(file) and not _OTHERS.intersection(file.relative_to(folder).parts[:-1])
    ]
    if len(files) > _MAX_FILES:
        raise click.ClickException(f"{folder} holds {len(files)} JSON files, {_MAX_FILES} at most")
    return iter(files)


def _is_test(file: Path) -> bool:
    return file.name.endswith(".test.json")


def decoded(file: Path) -> Any:
    """The JSON of a file. Raises click.ClickException when it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} is no JSON: {error}") from error


def _place(key: Key) -> Path:
    """A file's name for any name that a definition may have."""
    name = quote(key.name, safe=" -_.~()+,=@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if key.kind == "workflow":
        return Path("workflows", f"{name}.{key.version}.json")
    if name.endswith(".test"):
        # It would be taken for a mock test.
        name = name.removesuffix(".test") + "%2Etest"
    return Path("tasks", f"{name}.json")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
