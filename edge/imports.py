"""Libraries without the parts that a daemon has no use for: they would cost memory and time to start.

Nothing of ours is imported here. What is left out of a library now can be imported later all the
same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Let a library believe that others, which it takes only where there are some, are missing.

    Args:
        names: of modules; one that is loaded already costs nothing more and is not hidden.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def bare(name: str) -> Iterator[ModuleType]:
    """A package whose modules can be imported one by one, while its own ``__init__`` is not run.

    The package has what is put into it here, and no more; one that is loaded already stays as it is.

    Args:
        name: of a package at the top.
    """
    known = sys.modules.get(name)
    if known is not None:
        yield known
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield package
    except BaseException:
        del sys.modules[name]
        raise


class _Late(ModuleType):
    """A module that is run when something of it is asked for that is not there yet."""

    def __getattr__(self, name: str) -> Any:
        """Run the module, once; any thread may be the first."""
        # The machinery of imports asks for some of these itself.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _LOADING:
            if _waits_to_run.pop(self.__name__, None) is not None:
                spec = self.__spec__
                assert spec is not None
                assert spec.loader is not None
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    _waits_to_run[self.__name__] = self
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]
        return ModuleType.__getattribute__(self, name)


_LOADING = threading.RLock()
_waits_to_run: dict[str, ModuleType] = {}


def lazily(*names: str) -> None:
    """Have modules run when something of them is first used, and not when they are imported.

    For those that libraries import at their heads for the sake of a seldom line.

    Args:
        names: of modules; what is loaded already stays as it is.
    """
    for name in names:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            continue
        module = _waits_to_run[name] = importlib.util.module_from_spec(spec)
        module.__class__ = _Late
        sys.modules[name] = module
        package, _, last = name.rpartition(".")
        if package:
            setattr(sys.modules[package], last, module)


def installed(name: str) -> str:
    """The version of a distribution, as its folder is called; ``0+unknown`` if there is none.

    The standard library's way reads all that is told of it, with a parser of mail.

    Args:
        name: of letters and digits only.
    """
    for folder in map(Path, sys.path):
        for found in folder.glob(f"{name}-*.dist-info"):
            return found.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return "0+unknown"
