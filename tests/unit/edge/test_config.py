"""The configuration: defaults, files, the command line, and what is refused."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import (
    ConfigError,
    ConfigUnreadable,
    UnknownKey,
    WrongValue,
    address_of,
    broker_of,
    load,
    publishes_for_itself,
    secret_key_file,
    shown,
    to_toml,
)


def written(folder: Path, text: str) -> Path:
    """A configuration file."""
    path = folder / "baton.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback, the state home, no history for a control plane that nobody named."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    settings = load(None)

    assert "127.0.0.1:8080" == settings.daemon.listen
    assert str(tmp_path / "baton") == settings.daemon.data_dir
    assert not settings.sync.enabled
    assert ["video_analysis"] == settings.workflows.enable
    assert settings.sync.device


def test_the_state_home_falls_back_to_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``~/.local/state`` where the environment names none."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    settings = load(None, state_name="baton-cloud", default_listen="127.0.0.1:8090")

    assert str(tmp_path / ".local/state/baton-cloud") == settings.daemon.data_dir
    assert "127.0.0.1:8090" == settings.daemon.listen


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    """Paths of the file are relative to it, those of the command line to where one stands."""
    path = written(
        tmp_path,
        '[daemon]\nlisten = "127.0.0.1:1"\ndata_dir = "data"\n[devices]\nfile = "devices.toml"\n'
        '[workflows]\nfolders = ["mine"]\n[sync]\nca_file = "ca.pem"\n',
    )

    plain = load(path, default_listen="127.0.0.1:3")
    given_ = load(path, listen="127.0.0.1:2", data_dir=str(tmp_path / "other"))

    assert ("127.0.0.1:1", str(tmp_path / "data")) == (plain.daemon.listen, plain.daemon.data_dir)
    assert ("127.0.0.1:2", str(tmp_path / "other")) == (
        given_.daemon.listen,
        given_.daemon.data_dir,
    )
    assert str(tmp_path / "devices.toml") == plain.devices.file
    assert [str(tmp_path / "mine")] == plain.workflows.folders
    assert (str(tmp_path / "ca.pem"), "") == (plain.sync.ca_file, plain.sync.key_file)


@pytest.mark.parametrize(
    ("text", "enabled"),
    [("", False), ("[sync]\n", True), ("[sync]\nenabled = false\n", False)],
)
def test_a_sync_section_switches_sync_on(tmp_path: Path, text: str, enabled: bool) -> None:
    """Unless it says no: history that nobody fetches must not fill the disk."""
    assert enabled == load(written(tmp_path, text)).sync.enabled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[deamon]\n", "unknown key deamon; did you mean daemon?"),
        ('[daemon]\nlistn = "x"\n', "unknown key daemon.listn; did you mean daemon.listen?"),
        ("xyz = 1\n", "unknown key xyz"),
        (
            '[[worker]]\nmodule="a"\nmemory=3\n',
            "unknown key worker[0].memory; did you mean worker[0].memory_mb?",
        ),
        (
            '[[trigger]]\ndevice="a"\nworkflow="b"\ncooldown=3\n',
            "unknown key trigger[0].cooldown; did you mean trigger[0].cooldown_s?",
        ),
    ],
)
def test_an_unknown_key_is_named(tmp_path: Path, text: str, words: str) -> None:
    """With the one that was probably meant."""
    with pytest.raises(UnknownKey) as caught:
        load(written(tmp_path, text))

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("daemon = 3\n", "daemon: Expected `object`"),
        ('[engine]\nbody_limit_bytes = "x"\n', "engine.body_limit_bytes: Expected `int`"),
        ("[engine]\nbody_limit_bytes = 1\n", "is not between"),
        ("[engine]\nscript_time_limit_s = nan\n", "is not between"),
        ('[daemon]\nlog_level = "loud"\n', "daemon.log_level: 'loud' is not one of debug, info"),
        ('[daemon]\nlisten = "8080"\n', "is not HOST:PORT"),
        ('[daemon]\nlisten = "0.0.0.0:8080"\n', "can be reached by others"),
        ('[daemon]\nlisten = "example.org:8080"\n', "can be reached by others"),
        ('[sync]\nbroker = "http://x"\n', "is not mqtt://HOST:PORT"),
        ('[sync]\nbroker = "mqtt://x:99999"\n', "is not mqtt://HOST:PORT"),
        ('[sync]\ntenant = "x+y"\n', "sync.tenant: 'x+y' is not 1 to 64 letters"),
        ('[sync]\ndevice = "a/b"\n', "sync.device: 'a/b' is not 1 to 64 letters"),
        ('[sync]\norder_keys = ["zz"]\n', "sync.order_keys: 'zz' is not a key of 64"),
        ('[cloud]\nmail_server = "mail:25"\n', "cloud.mail_server: 'mail:25' is not smtp://"),
        ('[events]\nbroker = "x"\n', "events.broker: 'x' is not mqtt://HOST:PORT"),
        ('[events]\nusername = "me"\n', "events.broker: name the broker"),
        ("[events]\nmessages_per_s = 0\n", "events.messages_per_s"),
        ('[[trigger]]\ndevice = "a"\n', "workflow"),
        (
            '[[trigger]]\ndevice = "a"\nworkflow = "b"\non = "smell"\n',
            "trigger[0].on: 'smell' is not one of motion",
        ),
        ('[[trigger]]\ndevice = "a"\nworkflow = "b"\ncooldown_s = -1\n', "cooldown_s"),
        ('[[worker]]\nmodule = "a"\nprocesses = 0\n', "worker[0].processes"),
        ('[[worker]]\nmodule = "a"\nmemory_mb = 3\n', "worker[0].memory_mb: 3"),
        ('[[worker]]\nmodule = "a"\n[[worker]]\n', "module"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The key stands in the message, and what would be right."""
    with pytest.raises(WrongValue) as caught:
        load(written(tmp_path, text))

    assert words in str(caught.value)


def test_remote_listening_must_be_wanted(tmp_path: Path) -> None:
    """One line says that the network is trusted."""
    path = written(tmp_path, '[daemon]\nlisten = "0.0.0.0:8080"\nallow_remote = true\n')

    assert "0.0.0.0:8080" == load(path).daemon.listen


@pytest.mark.parametrize("content", [b"[", b"\xff", b"#" * 1_000_001])
def test_what_is_no_toml_is_unreadable(tmp_path: Path, content: bytes) -> None:
    """Broken, not UTF-8, or far too large."""
    path = tmp_path / "baton.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigUnreadable):
        load(path)
    with pytest.raises(ConfigUnreadable):
        load(tmp_path / "missing.toml")


def test_the_effective_configuration_reads_back_to_itself(tmp_path: Path) -> None:
    """What ``baton check`` prints is a file that means the same."""
    path = written(
        tmp_path,
        '[[trigger]]\ndevice = "front"\nworkflow = "w"\ninput = { a = [1, 2.5, "\\u007f\\n"], '
        'b = { c = true, d = inf, e = -inf }, f = {} }\n[[trigger]]\ndevice = "b"\n'
        'workflow = "w"\nversion = 3\n[evidence]\nmax_age_days = 1.5\n',
    )
    settings = load(path)

    again = written(tmp_path, to_toml(settings))

    assert settings == load(again)
    assert "nan" in tomllib.loads(again.read_text()).get("x", "nan")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(-9, 9), max_size=4))
def test_any_text_survives_the_printing(values: dict[str, object]) -> None:
    """Keys and texts of a trigger's input may hold anything."""
    from edge.config import Settings, TriggerSettings

    trigger = TriggerSettings(device="d", workflow="w", input=values)

    printed = tomllib.loads(to_toml(Settings(trigger=[trigger])))

    assert values == printed["trigger"][0]["input"]


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("a:1", ("a", 1))],
)
def test_addresses_are_read(listen: str, expected: tuple[str, int]) -> None:
    """IPv6 stands in brackets."""
    assert expected == address_of(listen)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", ("h", 1883, False)),
        ("mqtts://h", ("h", 8883, True)),
        ("mqtt://h:7", ("h", 7, False)),
    ],
)
def test_broker_addresses_are_read(url: str, expected: tuple[str, int, bool]) -> None:
    """With the usual port of each scheme."""
    assert expected == broker_of(url)


@given(st.text(max_size=30))
def test_any_text_as_an_address_is_read_or_refused(text: str) -> None:
    """Nothing but a ConfigError comes out of a mistyped address."""
    for read in (address_of, broker_of):
        with contextlib.suppress(ConfigError):
            assert read(text)


def test_the_key_of_secrets_is_where_the_site_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nowhere, in a file beside the configuration, or among what systemd has handed over."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    none = load(None).secrets
    by_file = load(written(tmp_path, '[secrets]\nkey_file = "site.key"\n')).secrets
    by_name = load(written(tmp_path, '[secrets]\nkey_credential = "site.key"\n')).secrets

    assert secret_key_file(none) is None
    assert tmp_path / "site.key" == secret_key_file(by_file)
    with pytest.raises(WrongValue, match=r"LoadCredential=site\.key"):
        secret_key_file(by_name)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/baton")
    assert Path("/run/credentials/baton/site.key") == secret_key_file(by_name)


@pytest.mark.parametrize(
    "text", ['key_credential = "../x"', 'key_credential = "x"\nkey_file = "y"']
)
def test_a_credential_is_a_bare_name_and_the_only_source(tmp_path: Path, text: str) -> None:
    """Two places for one key would leave it open which one counts."""
    with pytest.raises(WrongValue, match=r"secrets\.key_credential"):
        load(written(tmp_path, f"[secrets]\n{text}\n"))


def test_files_of_workers_are_relative_to_the_configuration(tmp_path: Path) -> None:
    """Names of modules are not; both survive being printed."""
    path = tmp_path / "baton.toml"
    path.write_text(
        '[[worker]]\nmodule = "w/one.py"\nimports = ["pkg.two"]\npython = "venv/bin/python"\n'
        'env = { KEY = "value" }\n[[worker]]\nmodule = "pkg.workers"\n'
    )
    loaded = load(path)
    first, second = loaded.worker

    assert str(tmp_path / "w/one.py") == first.module
    assert str(tmp_path / "venv/bin/python") == first.python
    assert (["pkg.two"], {"KEY": "value"}) == (first.imports, first.env)
    assert ("pkg.workers", "") == (second.module, second.python)
    path.write_text(to_toml(loaded))
    assert loaded == load(path)


def test_events_take_the_broker_of_the_sync(tmp_path: Path) -> None:
    """With all that is said of it, unless they have one of their own; without either, none."""
    secured = '[sync]\nbroker = "mqtts://a"\nusername = "u"\npassword_file = "p"\n'
    shared = load(written(tmp_path, secured))
    own = load(written(tmp_path, secured + '[events]\nbroker = "mqtt://b"\nca_file = "c"\n'))
    alone = load(written(tmp_path, '[events]\nbroker = "mqtt://b"\n'))
    off = load(written(tmp_path, "[sync]\nenabled = false\n"))

    assert ("mqtts://a", "u", str(tmp_path / "p")) == (
        shared.events.broker,
        shared.events.username,
        shared.events.password_file,
    )
    assert ("mqtt://b", "", str(tmp_path / "c")) == (
        own.events.broker,
        own.events.username,
        own.events.ca_file,
    )
    assert ("", False) == (off.events.broker, publishes_for_itself(off))
    assert [False, True, True] == [publishes_for_itself(one) for one in (shared, own, alone)]
    assert shared == load(written(tmp_path, to_toml(shared)))


def test_what_is_in_force_can_be_shown(tmp_path: Path) -> None:
    """As texts, and without what is secret or was written for somebody else."""
    file = tmp_path / "baton.toml"
    file.write_text(
        "[sync]\nbroker = 'mqtt://me:word@host:1883'\nusername = 'me'\npassword_file = 'p'\n"
        "[retention]\nmax_age_days = 30\n"
    )
    found = shown(load(file))

    assert ("30.0", "true") == (found["retention.max_age_days"], found["sync.enabled"])
    assert "mqtt://host:1883" == found["sync.broker"]
    assert "daemon.listen" in found
    assert not {key for key in found if "password" in key or "username" in key}
    assert "word" not in " ".join(found.values())
