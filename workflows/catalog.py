"""The workflows of a folder: where they are, what they define, who handles their tasks.

Nothing is registered or run here, and no handler's module is imported before it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from workflows.task import Handler

_T = TypeVar("_T")

_HERE = Path(__file__).parent
_FILES = ("workflow.json", "tasks.json", "handlers.py")


class BundledWorkflow(msgspec.Struct, frozen=True):
    """One folder: a definition, its task definitions and their handlers."""

    name: str
    """Name of the definition."""

    definition: dict[str, Any]
    """As in ``workflow.json``: Conductor's WorkflowDef."""

    task_definitions: list[dict[str, Any]]
    """As in ``tasks.json``: Conductor's TaskDefs."""

    folder: Path
    """Where it stands."""

    @property
    def handlers(self) -> dict[str, Handler]:
        """Handler of each task name; asking for it imports the module and what it needs.

        Raises:
            ImportError: The module, or a package that it needs, cannot be imported.
            AttributeError: The module has no ``HANDLERS``.
            TypeError: They are no mapping of names.
        """
        handlers = _handlers_module(self.folder).HANDLERS
        if not isinstance(handlers, Mapping) or not all(isinstance(one, str) for one in handlers):
            raise TypeError("HANDLERS maps the name of each task to a function")
        return dict(handlers)


def catalog(folder: Path = _HERE) -> list[BundledWorkflow]:
    """Find all workflows in a folder, in the order of their folders' names.

    Args:
        folder: Where to look; a workflow is a folder with workflow.json, tasks.json, handlers.py.
            The folder may be one itself.

    Raises:
        OSError: A file cannot be read.
        msgspec.DecodeError: One is not what it should be; the message names it.
    """
    found = sorted(path.parent for path in (*folder.glob("workflow.json"), *_inside(folder)))
    return [_read(one) for one in found if all((one / name).is_file() for name in _FILES)]


def _inside(folder: Path) -> list[Path]:
    return list(folder.glob("*/workflow.json"))


def _read(folder: Path) -> BundledWorkflow:
    """Read one folder."""
    definition = _decoded(folder / "workflow.json", dict[str, Any])
    if not isinstance(definition.get("name"), str):
        message = f'{folder / "workflow.json"}: a definition needs a "name"'
        raise msgspec.ValidationError(message)
    return BundledWorkflow(
        name=definition["name"],
        definition=definition,
        task_definitions=_decoded(folder / "tasks.json", list[dict[str, Any]]),
        folder=folder.resolve(),
    )


def _decoded(path: Path, kind: type[_T]) -> _T:
    """Read a JSON file, or say which one is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        message = f"{path} is not the JSON that is expected there: {error}"
        raise msgspec.DecodeError(message) from error


def _handlers_module(folder: Path) -> ModuleType:
    """The module of a folder's handlers.

    A site's folder becomes a package of a name of its own: it may be called like any package that
    is installed, and two sites may use the same names.
    """
    if folder.parent == _HERE:
        return import_module(f"workflows.{folder.name}.handlers")
    digest = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
    package = f"baton_site_{digest}"
    if package not in sys.modules:
        spec = importlib.util.spec_from_loader(package, loader=None, is_package=True)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"{folder} cannot be made a package")
        spec.submodule_search_locations.append(str(folder))
        sys.modules[package] = importlib.util.module_from_spec(spec)
    return import_module(f"{package}.handlers")
