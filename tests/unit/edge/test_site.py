"""What the files of a site name is held against each other before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.errors import Refused
from edge import site
from edge.config import Settings, WrongValue, load

_RIGHT = """
[devices]
file = "devices.toml"
[workflows]
folders = ["flows"]
[[trigger]]
device = "front"
workflow = "flow"
"""


def _settings(folder: Path, text: str = _RIGHT) -> Settings:
    flow = folder / "flows" / "flow"
    flow.mkdir(parents=True)
    (folder / "devices.toml").write_text('[front]\ndriver = "simulated-camera"\n')
    (flow / "workflow.json").write_text(
        '{"name": "flow", "tasks": [{"name": "a", "taskReferenceName": "a"}]}'
    )
    (flow / "tasks.json").write_text('[{"name": "a"}]')
    (flow / "handlers.py").write_text("raise RuntimeError('nobody imports this')\n")
    (folder / "baton.toml").write_text(text)
    return load(folder / "baton.toml", data_dir=str(folder))


def test_a_site_that_is_right(tmp_path: Path) -> None:
    """It has its devices and its workflows beside those that come along."""
    settings = _settings(tmp_path)

    site.check(settings)

    assert ["front"] == list(site.inventory_of(settings, lambda: 0, lambda: 0.0))
    assert ["video_analysis", "flow"] == [one.name for one in site.bundles_of(settings)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("devices.toml", '[front]\ndriver = "kamera"\n', "'kamera', which is not known"),
        ("devices.toml", '[front]\ndriver = "simulated-camera"\nsede = 1\n', "did you mean seed"),
        ("devices.toml", '[back]\ndriver = "camera"\nsource = 0\n', "has no 'front'; it has: back"),
        ("devices.toml", '[front]\ndriver = "simulated-detector"\n', "reports nothing that happ"),
        ("flows/flow/workflow.json", '{"name":', "flow/workflow.json is not the JSON"),
        ("flows/flow/workflow.json", '{"name": "f", "tasks": [{"name": "a"}]}', "workflow 'f': "),
        ("flows/flow/tasks.json", '[{"name": "a", "retryCount": -1}]', "workflow 'flow': "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    """With the device or the workflow that it is about."""
    settings = _settings(tmp_path)
    (tmp_path / name).write_text(text)

    with pytest.raises((Refused, WrongValue), match=words):
        site.check(settings)


def test_slips_in_handlers_are_noted(tmp_path: Path) -> None:
    """The module is never run; a device starts with them, so they are no error."""
    settings = _settings(tmp_path)
    handlers = tmp_path / "flows" / "flow" / "handlers.py"
    assert [f"{handlers}: there is no HANDLERS"] == site.notes(settings)

    handlers.write_text("HANDLERS = {'aa': print}\nraise RuntimeError('nobody runs this')\n")
    (said,) = site.notes(settings)
    assert said.endswith("no task is called 'aa', for which there is a handler; did you mean 'a'?")

    handlers.write_text("HANDLERS = {")
    (said,) = site.notes(settings)
    assert "it cannot be read: '{' was never closed" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[workflows]\nenable = ["nothing"]\n', "there is no workflow 'nothing'"),
        ('[workflows]\nfolders = ["nowhere"]\n', "there is no folder .*nowhere"),
        ('[workflows]\nfolders = ["."]\n', "holds no workflow; one is a folder with"),
        ('[devices]\nfile = "missing.toml"\n', "missing.toml cannot be read"),
        ('[sync]\nca_file = "ca.pem"\n', r"^sync\.ca_file: .*/ca\.pem cannot be read: No such"),
        ('[events]\nbroker = "mqtt://b"\npassword_file = "."\n', r"^events\.password_file: .*Is a"),
        ('[secrets]\nkey_file = "key"\n', r"^secrets\.key_file: .*/key cannot be read"),
        ('[[worker]]\nmodule = "greet.py"\n', r"^worker\[0\]\.module: .*/greet\.py cannot be read"),
        ('[[worker]]\nmodule = "m"\npython = "python9"\n', r"^worker\[0\]\.python: .*/python9 can"),
        ('[listener]\ntask_sink = "ftp://x"\n', r"^listener\.task_sink: 'ftp://x' is not mqtt:"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, text: str, words: str) -> None:
    """With the key that names it, or its path."""
    with pytest.raises((Refused, WrongValue), match=words):
        site.check(_settings(tmp_path, text))
