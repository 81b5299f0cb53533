"""Tests of the catalogue of bundled workflows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from workflows.catalog import catalog


def test_the_bundled_workflows_are_found() -> None:
    """The video analysis is there, whole, under its definition's name."""
    found = {one.name: one for one in catalog()}

    video = found["video_analysis"]
    assert "video_analysis" == video.definition["name"]
    assert {"video_clip", "video_detect"} <= {one["name"] for one in video.task_definitions}
    assert callable(video.handlers["video_clip"])


def test_reading_the_catalogue_imports_no_handlers_and_handlers_no_cv2() -> None:
    """Handlers are imported when asked for, and even then OpenCV and numpy are not."""
    code = (
        "import sys; from workflows.catalog import catalog; found = catalog();"
        "print('workflows.video_analysis.handlers' in sys.modules);"
        "[one.handlers for one in found];"
        "print(sorted({'cv2', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ["False", "[]"] == done.stdout.split("\n")[:2]


def test_a_folder_that_lacks_a_file_is_no_workflow(tmp_path: Path) -> None:
    """A definition without handlers is passed over, for nothing could run it."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "workflow.json").write_text('{"name": "half"}')

    assert [] == catalog(tmp_path)


def _site(folder: Path, name: str, greeting: str) -> Path:
    """A site's own workflow whose handlers need a module beside them."""
    one = folder / name
    one.mkdir(parents=True)
    (one / "workflow.json").write_text(f'{{"name": "{name}", "tasks": []}}')
    (one / "tasks.json").write_text('[{"name": "greet"}]')
    (one / "words.py").write_text(f"GREETING = {greeting!r}\n")
    (one / "handlers.py").write_text(
        "from .words import GREETING\nHANDLERS = {'greet': lambda task: {'said': GREETING}}\n"
    )
    return one


def test_a_site_s_folders_may_be_called_like_any_package(tmp_path: Path) -> None:
    """Two sites use the same names, which are those of installed packages too."""
    _site(tmp_path / "workflows", "json", "one")
    _site(tmp_path / "site", "json", "two")

    said = [
        bundle.handlers["greet"](None)["said"]  # type: ignore[arg-type]
        for folder in ("workflows", "site")
        for bundle in catalog(tmp_path / folder)
    ]

    assert ["one", "two"] == said


def test_a_folder_may_be_a_workflow_itself(tmp_path: Path) -> None:
    """Its name is the definition's."""
    assert ["hello"] == [bundle.name for bundle in catalog(_site(tmp_path, "hello", "x"))]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("workflow.json", '{"name":', "workflow.json is not the JSON that is expected there: "),
        ("workflow.json", "{}", 'workflow.json: a definition needs a "name"'),
        ("tasks.json", "{}", "tasks.json is not the JSON that is expected there: Expected `array`"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    """A folder may hold many workflows: the message says which file it is."""
    (tmp_path / "workflow.json").write_text('{"name": "flow"}')
    (tmp_path / "tasks.json").write_text("[]")
    (tmp_path / "handlers.py").touch()
    (tmp_path / name).write_text(text)

    with pytest.raises(msgspec.DecodeError, match=re.escape(f"{tmp_path}/{words}")):
        catalog(tmp_path)
