"""The configuration: a TOML file into one frozen Settings, every default written out.

Nothing is opened or started here, and no other place reads a setting from anywhere else.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge import addresses, config_texts, toml_text

_MAX_FILE_BYTES = 1_000_000
"""A larger file is no configuration."""


class ConfigError(Exception):
    """The configuration cannot be used. Correct the key that the message names, then start again.

    Tree: ConfigError <- ConfigUnreadable, UnknownKey, WrongValue.
    """


class ConfigUnreadable(ConfigError):
    """The file cannot be read or is no TOML."""


class UnknownKey(ConfigError):
    """The file holds a key that nobody reads; a misspelled one would be without effect."""


class WrongValue(ConfigError):
    """A key has a value that it cannot have."""


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the daemon listens and keeps its data."""

    listen: str = "127.0.0.1:8080"
    """HOST:PORT; port 0 takes any free one."""
    data_dir: str = ""
    """Folder of the database and the evidence; empty = under the user's state home."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    journal_mb: int = 8
    """What the log may take on a device's own disk, for who asks later; 0 = none is kept there."""
    allow_remote: bool = False
    """Whether others may reach ``listen``; without ``[auth]`` nobody is asked who he is."""


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and habits of the engine and its API."""

    owner_email_required: bool = False
    """Whether definitions must name an owner, as Conductor's must."""
    body_limit_bytes: int = 16 * 1024 * 1024
    """The largest request body. What is larger than a payload may be, but fits, fails its task or
    workflow as in Conductor; what does not fit is refused unread."""
    script_time_limit_s: float = 4.0
    """Seconds that one script may take; Conductor's own limit. Nothing else waits for it."""
    handler_threads: int = 2
    """Tasks of one type that handlers of bundled workflows work on at the same time."""
    one_core: bool = True
    """Whether the threads that take turns share a core; handlers and cameras run on any."""


class StorageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept free, so that a full disk can be got over."""

    reserve_mb: int = 32
    """Taken up, and given up when the disk is full: twice what the log may grow to. 0 = none."""


class DeviceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which devices there are."""

    file: str = ""
    """The inventory, ``devices.toml``; relative to the configuration's folder; empty = none."""


class WorkflowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workflows this device brings along."""

    enable: list[str] = msgspec.field(default_factory=lambda: ["video_analysis"])
    """Names of bundled workflows whose definitions are registered and whose handlers run."""
    folders: list[str] = []
    """Folders of the site's own workflows, all of which are enabled; relative to the
    configuration's folder."""


class TriggerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a workflow by itself."""

    device: str
    """A camera of the inventory."""
    workflow: str
    """The definition to start."""
    on: Literal["motion"] = "motion"
    version: int | None = None
    """None = the latest."""
    input: dict[str, Any] = {}
    """Laid under what the event itself says, such as ``camera`` and ``event_id``."""
    cooldown_s: float = 10.0
    """Seconds after a start in which further events are counted but start nothing."""


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module with ``@worker_task`` functions of the Python SDK that the device runs."""

    module: str
    """A file, relative to the configuration's folder, or a name that can be imported."""
    processes: int = 1
    """Of each function."""
    memory_mb: int = 0
    """What a process may write to; 0 = no limit. Python and the SDK take about 60 of it."""
    task_limit_s: float = 0.0
    """Seconds after which a process that works on one task is taken to hang and is killed; 0 =
    never."""
    env: dict[str, str] = {}
    """Laid over the daemon's own environment."""
    domain: str = ""
    """Queue domain that they poll; empty = as their decorators say."""
    together: bool = False
    """Whether all functions of the module run in one process, which saves memory."""
    imports: list[str] = []
    """Modules to import before it."""
    python: str = ""
    """The interpreter that has the SDK and the module; empty = the daemon's own."""
    stop_within_s: float = 10.0
    """Seconds that a task in hand gets when the device stops; then it goes back to its queue."""


class SyncSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How history reaches the control plane."""

    enabled: bool = False
    """Whether history is kept for sending; a file with a ``[sync]`` that does not say means true."""
    broker: str = "mqtt://127.0.0.1:1883"
    """``mqtt://`` or, with TLS, ``mqtts://``; a broker that is down is not an error."""
    tenant: str = "default"
    device: str = ""
    """The device's name in the fleet; empty = the host's name."""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    history_mb: int = 100
    """What history may take until it is acknowledged; beyond it is sealed, then the oldest shed."""
    bytes_per_s: int = 0
    """What may be sent in the long run, but for what is urgent; 0 = no cap."""
    fetch_most_mb: int = 32
    """What a control plane may fetch with one order; 0 = nothing."""
    fetch_budget_mb: int = 128
    """What all answers may take on the disk until they have arrived."""
    order_keys: list[str] = []
    """Public keys of control planes whose orders are obeyed, 64 hexadecimal digits each."""


class CloudSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only a control plane reads."""

    database: str = ""
    """``postgresql://USER@HOST/DATABASE``; empty = ``ledger.db`` in the data directory."""
    ingesters: int = 0
    """Processes that take in what devices send; 0 = the one with the pages does, -1 = others do."""
    mail_server: str = ""
    """``smtp://HOST:PORT`` or ``smtps://``, which mails of alerts are handed to; empty = none."""
    mail_sender: str = "baton@localhost"
    mail_username: str = ""
    mail_password_file: str = ""
    fetched_days: float = 30.0
    """What was fetched from devices is removed after so long."""


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How messages of events travel over MQTT, and how many are taken."""

    broker: str = ""
    """As under ``[sync]``; empty = that one, with its credentials, if ``[sync]`` is enabled."""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    max_message_bytes: int = 100_000
    """A larger message is dropped, and logged."""
    messages_per_s: float = 100.0
    """Messages that are taken in a second; the broker keeps the rest."""


class AuthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether callers are asked who they are."""

    enabled: bool = False
    """Whether the API asks for a token; ``baton auth bootstrap`` makes the first key."""
    token_ttl_s: int = 43_200
    """Seconds that a token is good for; clients renew theirs within the hour by themselves."""


class ListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told when executions and tasks change their status."""

    workflow_sink: str = ""
    """For workflows with ``workflowStatusListenerEnabled`` that name no sink: ``mqtt:TOPIC``,
    ``conductor:NAME`` or a web address; empty = nobody."""
    task_sink: str = ""
    """For tasks, unless ``taskStatusListenerEnabled`` is false; empty = nobody."""


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long executions that have ended are kept; 0 = for ever, or any number."""

    max_age_days: float = 0.0
    """Since the end of the execution."""
    max_count: int = 0
    """Of executions that have ended; the ones that ended first go first."""
    max_total_mb: int = 0
    """Megabytes of the database that hold something; copies of removed executions go first."""
    archive_max_age_days: float = 0.0
    """Since an execution was removed; then its copy goes."""


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much evidence is kept."""

    budget_mb: int = 2_000
    """Megabytes of files; the oldest go first."""
    max_age_days: float = 30.0


class PayloadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large inputs and outputs may be; the defaults are Conductor's."""

    task_file_kb: int = 3_072
    """A task's input or output that is larger lies in a file beside the database."""
    task_most_kb: int = 10_240
    """A task's input or output that is larger fails the task for good."""
    workflow_file_kb: int = 5_120
    workflow_most_kb: int = 10_240
    """The same for workflows; one that is larger fails the workflow."""
    variables_most_kb: int = 256
    """All variables of an execution together."""
    upload_most_mb: int = 32
    """A payload that a client uploads by itself."""
    upload_budget_mb: int = 256
    """All uploads together that no execution refers to yet."""


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files that workers hand each other through ``/api/files``."""

    enabled: bool = False
    most_mb: int = 100
    """One file."""
    budget_mb: int = 1_000
    """All files together."""


class SecretSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How secrets are kept, and what expressions see of the process."""

    key_file: str = ""
    """Holds the key, 64 hexadecimal digits; relative to the configuration's folder. Empty =
    ``secret.key`` in the data directory, made when the first secret is kept."""
    key_credential: str = ""
    """Name of the systemd credential that holds the key, in place of a file."""
    process_environment: bool = True
    """Whether ``${NAME}`` means the process's variable of that name, as in Conductor."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set, defaults and all."""

    daemon: Daemon = Daemon()
    engine: EngineSettings = EngineSettings()
    devices: DeviceSettings = DeviceSettings()
    workflows: WorkflowSettings = WorkflowSettings()
    trigger: list[TriggerSettings] = []
    worker: list[WorkerSettings] = []
    sync: SyncSettings = SyncSettings()
    cloud: CloudSettings = CloudSettings()
    events: EventSettings = EventSettings()
    listener: ListenerSettings = ListenerSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    retention: RetentionSettings = RetentionSettings()
    auth: AuthSettings = AuthSettings()
    secrets: SecretSettings = SecretSettings()
    payloads: PayloadSettings = PayloadSettings()
    files: FileSettings = FileSettings()
    storage: StorageSettings = StorageSettings()


_LISTED: dict[str, type[msgspec.Struct]] = {"trigger": TriggerSettings, "worker": WorkerSettings}
"""Sections that may be written several times."""

LEAST_MEMORY_MB = 64
"""Less than that, and Python cannot even import the SDK."""


def load(
    path: Path | None,
    *,
    listen: str | None = None,
    data_dir: str | None = None,
    default_listen: str | None = None,
    state_name: str | None = None,
) -> Settings:
    """Read the configuration and make every default explicit.

    Args:
        path: the TOML file; None = defaults only.
        listen: of the command line; it wins over the file.
        data_dir: of the command line; it wins over the file.
        default_listen: of the role, where it is not the device's.
        state_name: name of the default data folder.

    Raises:
        ConfigError: the file cannot be read, or a key in it is unknown or has a wrong value.
    """
    document = {} if path is None else _read(path)
    _refuse_unknown(document, Settings, "")
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise WrongValue(f"{path}: {config_texts.spoken(error, Settings)}") from error
    folder = Path.cwd() if path is None else path.resolve().parent
    daemon = document.get("daemon", {})
    daemon = msgspec.structs.replace(
        settings.daemon,
        listen=listen or daemon.get("listen") or default_listen or settings.daemon.listen,
        data_dir=str(_data_dir(data_dir, settings.daemon.data_dir, folder, state_name or "baton")),
    )
    sync = _sync_settings(settings.sync, folder, document.get("sync"))
    settings = msgspec.structs.replace(
        settings,
        daemon=daemon,
        devices=DeviceSettings(_below(folder, settings.devices.file)),
        workflows=msgspec.structs.replace(
            settings.workflows,
            folders=[_below(folder, one) for one in settings.workflows.folders],
        ),
        worker=[_worker_settings(one, folder) for one in settings.worker],
        secrets=msgspec.structs.replace(
            settings.secrets, key_file=_below(folder, settings.secrets.key_file)
        ),
        sync=sync,
        events=_event_settings(settings.events, folder, sync),
        cloud=msgspec.structs.replace(
            settings.cloud, mail_password_file=_below(folder, settings.cloud.mail_password_file)
        ),
    )
    _check(settings)
    return settings


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of a ``HOST:PORT``; the host of an IPv6 address stands in brackets.

    Raises:
        WrongValue: it is something else.
    """
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})", listen)
    if match is None or int(match[3]) > 65_535:
        raise WrongValue(f"daemon.listen: {listen!r} is not HOST:PORT, such as 127.0.0.1:8080")
    return match[1] or match[2], int(match[3])


def broker_of(url: str, key: str = "sync.broker") -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken, of a broker's address.

    Raises:
        WrongValue: it is no such address.
    """
    found = addresses.broker(url)
    if found is None:
        raise WrongValue(f"{key}: {url!r} is not mqtt://HOST:PORT or mqtts://HOST:PORT")
    return found


def secret_key_file(secrets: SecretSettings) -> Path | None:
    """Where the site has put the key of the secrets; None = nowhere, the daemon keeps its own.

    Raises:
        WrongValue: systemd has not handed over the credential.
    """
    if not secrets.key_credential:
        return Path(secrets.key_file) if secrets.key_file else None
    # systemd says by the environment where it has put a unit's credentials.
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise WrongValue(
            f"secrets.key_credential: systemd has handed over no {secrets.key_credential!r}; "
            f"the unit needs LoadCredential={secrets.key_credential}:/path/of/the/key"
        )
    return Path(folder) / secrets.key_credential


def to_toml(settings: Settings) -> str:
    """The settings as a file that ``load`` reads back to the same."""
    return toml_text.document(msgspec.to_builtins(settings))


_SECRETIVE = re.compile(r"password|secret|token|key|username|credential")


def shown(settings: Settings) -> dict[str, str]:
    """What is in force as ``section.key`` and a text, without anything that may be secret."""
    found: dict[str, str] = {}
    for section, value in msgspec.to_builtins(settings).items():
        # Lists of tables hold what people wrote for others: inputs, environments.
        for key, item in value.items() if isinstance(value, dict) else ():
            if isinstance(item, str | int | float) and not _SECRETIVE.search(key):
                text = str(item).lower() if isinstance(item, bool) else str(item)
                # An address may hold a name and a password.
                found[f"{section}.{key}"] = re.sub(r"//[^/@]*@", "//", text)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigUnreadable(f"{path} is larger than {_MAX_FILE_BYTES} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigUnreadable(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigUnreadable(f"{path} is not valid TOML: {error}") from error


def _refuse_unknown(table: Any, kind: type[msgspec.Struct], path: str) -> None:
    """Name the first key that no field of the struct has, and the one that was meant."""
    if not isinstance(table, dict):
        # A wrong type is told by the conversion.
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        here = f"{path}{key}"
        if key not in fields:
            from difflib import get_close_matches

            close = get_close_matches(key, fields, n=1)
            meant = f"; did you mean {path}{close[0]}?" if close else ""
            raise UnknownKey(f"unknown key {here}{meant} Known here: {', '.join(sorted(fields))}.")
        if key in _LISTED and isinstance(value, list):
            for index, one in enumerate(value):
                _refuse_unknown(one, _LISTED[key], f"{here}[{index}].")
        elif isinstance(fields[key], type) and issubclass(fields[key], msgspec.Struct):
            _refuse_unknown(value, fields[key], f"{here}.")


def _data_dir(given: str | None, written: str, folder: Path, state_name: str) -> Path:
    """The command line is relative to the working directory, the file to its own folder."""
    if given:
        return Path(given).expanduser().absolute()
    if written:
        return (folder / Path(written).expanduser()).absolute()
    # The state home is the one thing that is taken from the environment: it is no setting of ours.
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / state_name


def _below(folder: Path, name: str) -> str:
    return str(folder / Path(name).expanduser()) if name else ""


def _worker_settings(worker: WorkerSettings, folder: Path) -> WorkerSettings:
    return msgspec.structs.replace(
        worker,
        module=_module(folder, worker.module),
        imports=[_module(folder, one) for one in worker.imports],
        python=_below(folder, worker.python),
    )


def _module(folder: Path, name: str) -> str:
    """A file by its path; a name that can be imported stays as it is."""
    return _below(folder, name) if name.endswith(".py") or os.sep in name else name


def _worker_limits(
    index: int, worker: WorkerSettings
) -> list[tuple[str, float | int, float | int, float | int]]:
    where = f"worker[{index}]"
    memory_mb = worker.memory_mb or LEAST_MEMORY_MB
    return [
        (f"{where}.processes", worker.processes, 1, 64),
        (f"{where}.memory_mb", memory_mb, LEAST_MEMORY_MB, 1_000_000),
        (f"{where}.task_limit_s", worker.task_limit_s, 0, 604_800),
        (f"{where}.stop_within_s", worker.stop_within_s, 0, 600),
    ]


def _sync_settings(
    sync: SyncSettings, folder: Path, written: dict[str, Any] | None
) -> SyncSettings:
    return msgspec.structs.replace(
        sync,
        enabled=sync.enabled if written is None else written.get("enabled", True),
        device=sync.device or addresses.host_name(),
        password_file=_below(folder, sync.password_file),
        ca_file=_below(folder, sync.ca_file),
        certificate_file=_below(folder, sync.certificate_file),
        key_file=_below(folder, sync.key_file),
    )


_WAY = ("broker", "username", "password_file", "ca_file", "certificate_file", "key_file")


def _event_settings(events: EventSettings, folder: Path, sync: SyncSettings) -> EventSettings:
    """With the way to the broker: its own, or else all of that of the sync."""
    if events.broker:
        files = {name: _below(folder, getattr(events, name)) for name in _WAY[2:]}
        return msgspec.structs.replace(events, **files)
    if any(getattr(events, name) for name in _WAY):
        raise WrongValue("events.broker: name the broker that the other keys of [events] are for")
    if not sync.enabled:
        return events
    return msgspec.structs.replace(events, **{name: getattr(sync, name) for name in _WAY})


def publishes_for_itself(settings: Settings) -> bool:
    """Whether messages of events have a broker that the uplink does not speak to."""
    events, sync = settings.events, settings.sync
    same = all(getattr(events, name) == getattr(sync, name) for name in _WAY)
    return bool(events.broker) and not (sync.enabled and same)


def _check(settings: Settings) -> None:
    host, _ = address_of(settings.daemon.listen)
    if not settings.daemon.allow_remote and not addresses.is_loopback(host):
        raise WrongValue(
            f"daemon.listen: {host} can be reached by others, and the API asks for no password. "
            "Listen on 127.0.0.1, or set daemon.allow_remote = true if the network is trusted."
        )
    broker_of(settings.sync.broker)
    wrong = config_texts.wrong_text(msgspec.to_builtins(settings))
    if wrong is not None:
        raise WrongValue(wrong)
    credential, payloads = settings.secrets.key_credential, settings.payloads
    if credential and (
        settings.secrets.key_file or not re.fullmatch(r"[\w.@-]{1,255}", credential)
    ):
        raise WrongValue(
            "secrets.key_credential: give the bare name of a credential, and no secrets.key_file"
        )
    if settings.events.broker:
        broker_of(settings.events.broker, "events.broker")
    for key, value, least, most in (
        ("engine.body_limit_bytes", settings.engine.body_limit_bytes, 1_024, 2**30),
        ("engine.script_time_limit_s", settings.engine.script_time_limit_s, 0.01, 60),
        ("engine.handler_threads", settings.engine.handler_threads, 1, 64),
        ("cloud.fetched_days", settings.cloud.fetched_days, 0.01, 36_500),
        ("cloud.ingesters", settings.cloud.ingesters, -1, 64),
        ("events.max_message_bytes", settings.events.max_message_bytes, 1, 10_000_000),
        ("events.messages_per_s", settings.events.messages_per_s, 0.01, 100_000),
        ("auth.token_ttl_s", settings.auth.token_ttl_s, 60, 30 * 86_400),
        ("payloads.task_most_kb", payloads.task_most_kb, 1, 1_000_000),
        ("payloads.workflow_most_kb", payloads.workflow_most_kb, 1, 1_000_000),
        ("payloads.task_file_kb", payloads.task_file_kb, 1, payloads.task_most_kb),
        ("payloads.workflow_file_kb", payloads.workflow_file_kb, 1, payloads.workflow_most_kb),
        ("payloads.variables_most_kb", payloads.variables_most_kb, 1, 100_000),
        ("payloads.upload_most_mb", payloads.upload_most_mb, 1, 1_000),
        ("payloads.upload_budget_mb", payloads.upload_budget_mb, 1, 1_000_000),
        ("files.most_mb", settings.files.most_mb, 1, 100_000),
        ("sync.bytes_per_s", settings.sync.bytes_per_s, 0, 10**9),
        ("sync.fetch_most_mb", settings.sync.fetch_most_mb, 0, 1_000),
        ("sync.fetch_budget_mb", settings.sync.fetch_budget_mb, 1, 1_000_000),
        ("daemon.journal_mb", settings.daemon.journal_mb, 0, 10_000),
        ("sync.history_mb", settings.sync.history_mb, 1, 1_000_000),
        ("storage.reserve_mb", settings.storage.reserve_mb, 0, 100_000),
        ("files.budget_mb", settings.files.budget_mb, 1, 10_000_000),
        ("evidence.budget_mb", settings.evidence.budget_mb, 1, 10_000_000),
        ("retention.max_age_days", settings.retention.max_age_days, 0, 36_500),
        ("retention.max_count", settings.retention.max_count, 0, 10**9),
        ("retention.max_total_mb", settings.retention.max_total_mb, 0, 10_000_000),
        ("retention.archive_max_age_days", settings.retention.archive_max_age_days, 0, 36_500),
        ("evidence.max_age_days", settings.evidence.max_age_days, 0.001, 36_500),
        *(
            (f"trigger[{i}].cooldown_s", one.cooldown_s, 0, 86_400)
            for i, one in enumerate(settings.trigger)
        ),
        *(limit for i, one in enumerate(settings.worker) for limit in _worker_limits(i, one)),
    ):
        # Written this way round, a NaN is refused too.
        if not least <= value <= most:
            raise WrongValue(f"{key}: {value} is not between {least} and {most}")
