"""Names of handlers are read from a file that is never run, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflows.handler_names import faults, meant, texts_of

KNOWN = {"look", "tell"}


def _faults(folder: Path, text: str) -> list[str]:
    path = folder / "handlers.py"
    path.write_text(text)
    return faults(path, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "def look(task): ...\nHANDLERS = {'look': look}\n",
        "async def look(task): ...\nHANDLERS: dict = {'look': look, 'tell': lambda task: {}}\n",
        "from .cameras import look as see\nimport a.b\nHANDLERS = {'look': see, 'tell': a.b.tell}\n",
        "from .cameras import *\nHANDLERS = {'look': look}\n",
        "from .cameras import *\n",
        "from .cameras import HANDLERS\n",
        "class Look: ...\nlook = Look()\nHANDLERS = {'look': look, 'tell': print}\n",
        "HANDLERS = {name: print for name in ('whatever',)}\n",
        "HANDLERS = {'look': print}\nHANDLERS[f'te{1}'] = print\nraise RuntimeError('never run')\n",
    ],
)
def test_what_may_well_be_meant_is_no_fault(tmp_path: Path, text: str) -> None:
    """A table that is put together, and names that come from elsewhere, are taken as they are."""
    assert [] == _faults(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("look = print\n", ["there is no HANDLERS"]),
        (
            "HANDLERS = {'lok': print}\n",
            ["no task is called 'lok', for which there is a handler; did you mean 'look'?"],
        ),
        (
            "HANDLERS = {'look': print, 'lookk': print}\n",
            ["no task is called 'lookk', for which there is a handler"],
        ),
        (
            "def look(task): ...\nHANDLERS = {'look': lok}\n",
            ["the handler 'look' is lok, which is defined nowhere"],
        ),
        (
            "HANDLERS = {'look': 'look', 'tell': None}\n",
            ["the handler 'look' is no function", "the handler 'tell' is no function"],
        ),
    ],
)
def test_what_keeps_tasks_waiting_is_named(tmp_path: Path, text: str, said: list[str]) -> None:
    """With what was probably meant; a task that has its handler is not what was meant."""
    assert said == _faults(tmp_path, text)


def test_a_file_that_is_no_python_says_where(tmp_path: Path) -> None:
    """The line is in the message."""
    with pytest.raises(SyntaxError, match="line 2"):
        _faults(tmp_path, "\nHANDLERS = {\n")


def test_all_texts_of_a_definition_count() -> None:
    """A dynamic task is named by an input; what is nested without end is left."""
    deep: list[object] = []
    deep.append(deep)
    found = texts_of(
        {"tasks": [{"name": "a", "inputParameters": {"which": "b"}}], "n": 1, "d": deep}
    )

    assert ["a", "b"] == list(found)
    assert "" == meant("zebra", KNOWN, ())
