"""A device: the rooms that run on it, put together.

No rule of any room stands here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec
import structlog
from starlette.types import ASGIApp

from devices.inventory import Inventory
from edge import device_links, idle_handlers, site
from edge.api.app import build_app
from edge.api.guard import Guard
from edge.api.house import House
from edge.config import (
    ListenerSettings,
    Settings,
    secret_key_file,
    shown,
)
from edge.console import CONSOLE_FOLDER
from edge.cores import HOME
from edge.data_dir import DataDir
from edge.device_links import Fetches, Uplink
from edge.effects import Effects
from edge.engine import Engine
from edge.equipment import Equipment
from edge.event_queue import EventQueue
from edge.history_budget import HistoryBudget
from edge.imports import installed
from edge.journal import forget, keep_with
from edge.journal_file import JournalFile
from edge.listeners import Listeners
from edge.lookups import Lookups
from edge.model.errors import (
    InvalidInput,
    NotFound,
    Overloaded,
    StorageUnavailable,
)
from edge.model.payload_limits import KB, PayloadLimits
from edge.model.validation import parse_task_definition, parse_workflow_definition
from edge.payload_sweep import PayloadSweep
from edge.recovery import is_checked_at_once, open_whole, was_left_open
from edge.rehearsal import Rehearsals
from edge.retention import Retention
from edge.scripts import Evaluators
from edge.storage import Mode
from edge.storage_watch import StorageWatch
from edge.store.quarantine import last_report
from edge.store.reserve import Reserve
from edge.system_tasks import HttpCalls, HttpPolls, OtherExecutions, QueryProcessor, UpdateSecret
from edge.system_tasks.notices import Notices
from edge.timekeeper import Timekeeper
from edge.tokens import Tokens
from edge.transactions import Transaction
from edge.triggers import Trigger, Triggers
from edge.uploads import Uploads
from edge.vault import Vault
from edge.workers import Workers
from sync.web.pages import Pages
from workflows.catalog import BundledWorkflow
from workflows.evidence import EvidenceStore

_log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 300.0
"""Between two looks at the evidence's budget; a device films a few clips in that time."""

_IDLE_EVERY_S = 15.0
"""Between two looks for processes of scripts that have nothing to do."""

_DISK_ANSWER_S = 2.0
"""A disk that takes longer to answer is shown as down."""


class _Hosted(Protocol):
    async def run(self) -> None: ...
    async def stop(self) -> None: ...
    def answers_at(self, url: str) -> None: ...
    def statuses(self) -> list[dict[str, Any]]: ...


async def open_role(settings: Settings, data: DataDir) -> Device:
    """Open the database and put the rooms around it.

    Raises:
        ConfigError, DatabaseError, MigrationError, QuarantineError, DeviceError, IdentityError: it
            cannot start.
    """
    scripts = Evaluators(settings.engine.script_time_limit_s)
    lookups, listeners = _lookups(settings, data), _listeners(settings.listener)
    unclean = was_left_open(data.database)
    engine = await open_whole(
        data.database,
        lambda read_only: Engine.open(
            data.database,
            read_only=read_only,
            scripts=scripts,
            syncing=settings.sync.enabled,
            lookups=lookups,
            listeners=listeners,
        ),
        damaged=data.damaged,
    )
    data.damaged = ""
    try:
        if settings.sync.enabled and engine.storage.closed() is None:
            from edge.lineage import settle_lineage

            await settle_lineage(engine, data.identity)
        return Device(settings, data, engine, scripts, unclean=unclean)
    except BaseException:
        await engine.close()
        raise


class Device:
    """Everything that runs on a device. Make it with ``open_role``."""

    name = "baton"

    def __init__(
        self,
        settings: Settings,
        data: DataDir,
        engine: Engine,
        scripts: Evaluators,
        *,
        unclean: bool,
    ) -> None:
        self._settings = settings
        reserve = Reserve(data.reserve, settings.storage.reserve_mb * KB * KB)
        self._storage_watch = StorageWatch(
            engine,
            reserve,
            unclean=unclean,
            unchecked=unclean and not is_checked_at_once(data.database),
        )
        self._storage_watch.on_healed.append(self.prepare)
        self._engine = engine
        self._scripts = scripts
        self._closed = False
        inventory = _inventory(settings, engine)
        self._wanted = _triggers(settings, inventory)
        self._bundles = site.bundles_of(settings)
        self._evidence = EvidenceStore(
            data.evidence,
            budget_bytes=settings.evidence.budget_mb * 1_000_000,
            max_age_s=settings.evidence.max_age_days * 86_400,
        )
        self._timekeeper = Timekeeper(engine)
        self._retention = Retention(engine, settings.retention)
        self._triggers = Triggers(engine)
        self._event_queue = EventQueue(engine)
        self._notices = Notices(engine)
        self._equipment = Equipment(inventory, self._attach)
        self._http_calls = HttpCalls()
        self._workers = Workers(engine, self._evidence, inventory.open)
        self._workers.add_system_task("HTTP", self._http_calls)
        polls = HttpPolls(self._http_calls, scripts, engine)
        self._workers.add_system_task("HTTP_POLL", polls, at_once=4)
        self._workers.add_system_task("UPDATE_SECRET", UpdateSecret(self._keep_secret), at_once=1)
        add_other_executions(self._workers, engine)
        self._handled: dict[str, list[str]] = {}
        """Names of the tasks that the handlers of each bundle do."""
        for bundle in self._bundles:
            self._add_handlers(bundle)
        self._journal = _journal(settings, data)
        if self._journal is not None:
            keep_with(self._journal.take)
        self._fetches: Fetches | None = None
        self._uplink: Uplink | None = None
        self._retelling = device_links.retelling(engine) if settings.sync.enabled else None
        if settings.sync.enabled:
            self._fetches = device_links.fetches(
                settings, data, engine, self._journal, lambda: self._house
            )
            self._uplink = device_links.uplink(settings, data, engine, scripts, self._fetches)
        self._guard = _guard(settings, data, engine) if settings.auth.enabled else None
        self._hosted = _hosted(settings, engine, self._guard) if settings.worker else None
        self._event_link = (
            device_links.event_link(settings, engine) if settings.events.broker else None
        )
        self._history_budget = (
            HistoryBudget(engine, settings.sync.history_mb * KB * KB)
            if settings.sync.enabled
            else None
        )
        engine.on_effects(self._see)
        self._house = self._furnish(data)
        self._app = build_app(self._house)

    @property
    def app(self) -> ASGIApp:
        """Answers HTTP."""
        return self._app

    async def keep(self) -> None:
        """Commit what arrives, until ``close``."""
        await self._engine.run()

    async def prepare(self) -> None:
        """Register the workflows that come along, where they have changed."""
        for bundle in self._bundles:
            try:
                await self._register(bundle)
            except StorageUnavailable as error:
                # It is done when the disk is well again.
                _log.error("workflow_not_registered", workflow=bundle.name, reason=error.message)
                return
            except InvalidInput as error:
                raise site.wrong_bundle(bundle, error) from error
        for trigger in self._wanted:
            await self._tell_of_nothing_to_start(trigger)
        for workflow, handlers in self._handled.items():
            await idle_handlers.tell(self._engine, handlers, workflow=workflow)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled."""
        loops = [
            self._timekeeper.run(),
            self._house.schedules.run(),
            self._workers.run(),
            self._triggers.run(),
            self._event_queue.run(),
            self._notices.run(),
            self._equipment.run(),
            self._sweep(),
            PayloadSweep(self._engine, self._house.uploads, self._house.files).run(),
            self._retention.run(),
            self._storage_watch.run(),
            self._end_idle_scripts(),
        ]
        if self._settings.engine.one_core:
            loops.append(HOME.keep(self._engine.database.on_writer))
        if self._history_budget is not None:
            loops.append(self._history_budget.run())
        if self._journal is not None:
            loops.append(self._journal.run())
        others = [
            self._hosted, self._uplink, self._event_link, self._fetches, self._retelling,
        ]  # fmt: skip
        return [*loops, *(one.run() for one in others if one is not None)]

    async def alive(self) -> None:
        """Return when the disk has answered; one that takes no writes is asked to read."""
        if self._engine.storage.closed() is not None:
            await self._engine.status_counts()
            return
        await self._engine.request(_nothing)

    def answers_at(self, url: str) -> None:
        """Let hosted workers begin: from now on they are answered."""
        if self._hosted is not None:
            self._hosted.answers_at(url)

    async def wind_down(self) -> None:
        """Let hosted workers finish what they have in hand."""
        if self._hosted is not None:
            await self._hosted.stop()

    def end_streams(self) -> None:
        """Let consoles go, which come back by themselves, and whoever waits for work or for an end."""
        self._house.streams.close()
        self._house.steering.end_waits()
        self._engine.end_polls()

    async def close(self) -> None:
        """Let devices go, finish what was taken on, close the database."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._http_calls.close()
            await self._equipment.close()
        finally:
            await self._engine.close()
            self._storage_watch.close()
            await asyncio.to_thread(self._scripts.close)
            if self._journal is not None:
                forget(self._journal.take)
                await asyncio.to_thread(self._journal.flush)

    def _furnish(self, data: DataDir) -> House:
        settings = self._settings
        house = House(self._engine)
        house.instance = settings.sync.device
        house.version = installed("baton")
        house.settings = shown(settings)
        house.body_limit_bytes = settings.engine.body_limit_bytes
        house.upload_limit_bytes = settings.payloads.upload_most_mb * KB * KB
        house.uploads.budget_bytes = settings.payloads.upload_budget_mb * KB * KB
        if settings.files.enabled:
            budget = settings.files.budget_mb * KB * KB
            house.files = Uploads(self._engine.payloads.files.root / "files", budget)
            house.file_limit_bytes = settings.files.most_mb * KB * KB
        house.owner_required = settings.engine.owner_email_required
        house.check_script = self._scripts.syntax_error
        house.rehearsals = Rehearsals(self._engine, self._scripts, self._engine.lookups)
        house.devices = self._equipment.statuses
        house.snapshot = self._equipment.snapshot
        house.uplink = self._sync_status
        if self._hosted is not None:
            house.workers = self._hosted.statuses
        house.events = self._event_status
        if self._event_link is not None:
            house.handlers_changed = self._event_link.filters_changed
        house.healthy = self._healthy
        house.storage = lambda: self._storage_status(data)
        house.evidence_root = data.evidence
        house.pages = Pages(CONSOLE_FOLDER)
        house.guard = self._guard
        return house

    def _attach(self, name: str, device: Any) -> None:
        for trigger in self._wanted:
            if trigger.device == name:
                self._triggers.attach(trigger, device)

    def _see(self, effects: Effects) -> None:
        if effects.outbox:
            if self._history_budget is not None:
                self._history_budget.wake()
            for link in (self._uplink, self._event_link):
                if link is not None:
                    link.wake()

    def _add_handlers(self, bundle: BundledWorkflow) -> None:
        """A bundle that cannot be loaded leaves its tasks waiting; everything else runs."""
        try:
            handlers = bundle.handlers
        except Exception as error:  # noqa: BLE001 - a rim: a site's module may be anything
            _log.error(
                "handlers_not_loaded",
                workflow=bundle.name,
                reason=f"{type(error).__name__}: {error}",
                advice="if a package is missing, install the extra that brings it: baton[vision]",
            )
            return
        given: dict[str, object] = {**handlers}
        for name in [name for name, handler in given.items() if not callable(handler)]:
            kind = type(handlers.pop(name)).__name__
            reason = f"HANDLERS gives it a {kind}, which is no function: its tasks wait"
            _log.error("handler_unusable", workflow=bundle.name, handler=name, reason=reason)
        self._handled[bundle.name] = list(handlers)
        self._workers.add_handlers(handlers, threads=self._settings.engine.handler_threads)

    async def _register(self, bundle: BundledWorkflow) -> None:
        engine = self._engine
        tasks = [
            parse_task_definition(one, owner_required=False) for one in bundle.task_definitions
        ]
        known = {one.name: one for one in await engine.task_definitions()}
        changed = [one for one in tasks if _differs(one, known.get(one.name))]
        if changed:
            await engine.put_task_definitions(changed)
        definition = parse_workflow_definition(
            bundle.definition,
            owner_required=False,
            check_script=self._scripts.syntax_error,
        )
        try:
            old = await engine.workflow_definition(definition.name, definition.version)
        except NotFound:
            old = None
        if _differs(definition, old):
            await engine.put_workflow_definition(definition, overwrite=True)
            _log.info("workflow_registered", workflow=definition.name, version=definition.version)

    async def _tell_of_nothing_to_start(self, trigger: Trigger) -> None:
        """A workflow may be registered later, so a trigger without one is no error; it is told."""
        try:
            await self._engine.workflow_definition(trigger.workflow, trigger.version)
        except NotFound as error:
            _log.warning(
                "trigger_without_workflow",
                device=trigger.device,
                workflow=trigger.workflow,
                reason=error.message,
                advice="motion starts nothing until it is registered: baton workflow push DIR",
            )

    async def _healthy(self) -> bool:
        if self._engine.storage.mode is not Mode.WHOLE:
            return False
        try:
            async with asyncio.timeout(_DISK_ANSWER_S):
                await self.alive()
        except (TimeoutError, StorageUnavailable, Overloaded):
            return False
        return True

    def _storage_status(self, data: DataDir) -> dict[str, Any]:
        storage = self._engine.storage
        return {
            "mode": storage.mode.value,
            "reason": storage.reason,
            "errors": storage.errors,
            "recovery": last_report(data.database),
        }

    async def _keep_secret(self, name: str, value: str) -> None:
        lookups, now_ms = self._engine.lookups, self._engine.clock.now_ms()
        await self._engine.request(lambda t: lookups.keep(t.connection, name, value, now_ms))

    def _sync_status(self) -> dict[str, Any]:
        if self._uplink is None:
            return {"enabled": False}
        status = self._uplink.status()
        return {
            "enabled": True,
            "broker": status.broker,
            "device": self._settings.sync.device,
            "state": status.state,
            "reason": status.reason,
            "backlog": sum(status.backlog.values()),
            "lastAckMs": status.last_ack_ms,
            # The lanes in the order of their urgency, by number.
            "syncedTo": {str(lane): seq for lane, seq in enumerate(status.synced_to.values())},
            "recordsSent": status.records_sent,
            "bytesSent": status.bytes_sent,
        }

    async def _end_idle_scripts(self) -> None:
        """Give back the memory of processes that no script has needed for a while."""
        while True:
            await asyncio.sleep(_IDLE_EVERY_S)
            await asyncio.to_thread(self._scripts.end_idle)

    def _event_status(self) -> dict[str, Any]:
        queue = {"handled": self._event_queue.handled, "rejected": self._event_queue.rejected}
        if self._event_link is None:
            advice = "no broker is configured: set [events] broker"
            return {"queue": queue, "mqtt": {"enabled": False, "reason": advice}}
        status = msgspec.to_builtins(self._event_link.status())
        return {"queue": queue, "mqtt": {"enabled": True, **status}}

    async def _sweep(self) -> None:
        """Keep the evidence within its budget."""
        while True:
            now_ms = self._engine.clock.now_ms()
            try:
                removed = await asyncio.to_thread(self._evidence.sweep, now_ms)
            except OSError as error:
                # A disk that fails here fails the engine's next commit too, which tells clients.
                _log.error("evidence_not_swept", reason=str(error))
            else:
                if removed:
                    _log.info("evidence_removed", files=len(removed))
            await asyncio.sleep(_SWEEP_EVERY_S)


def add_other_executions(workers: Workers, engine: Engine) -> None:
    """Let the system tasks run that concern other executions."""
    others = OtherExecutions(engine)
    for kind in ("SUB_WORKFLOW", "START_WORKFLOW"):
        workers.add_system_task(kind, others.launch, at_once=2)
    workers.add_system_task("TERMINATE_WORKFLOW", others.terminate, at_once=2)
    workers.add_system_task("UPDATE_TASK", others.update_task, at_once=2)
    workers.add_system_task("GET_WORKFLOW", others.get_workflow, at_once=2)
    workers.add_system_task("QUERY_PROCESSOR", QueryProcessor(engine), at_once=1)


def _lookups(settings: Settings, data: DataDir) -> Lookups:
    """What decisions ask of this device."""
    given = secret_key_file(settings.secrets)
    vault = Vault(given or data.secret_key, ours=given is None)
    sizes = settings.payloads
    limits = PayloadLimits(
        task_file=sizes.task_file_kb * KB,
        task_most=sizes.task_most_kb * KB,
        workflow_file=sizes.workflow_file_kb * KB,
        workflow_most=sizes.workflow_most_kb * KB,
        variables_most=sizes.variables_most_kb * KB,
    )
    shown = settings.secrets.process_environment
    return Lookups(vault, os.environ, show_process=shown, limits=limits)


def _nothing(_: Transaction) -> None:
    """Shows that a transaction has gone through."""


def _differs(new: msgspec.Struct, old: msgspec.Struct | None) -> bool:
    """Whether a definition has to be written; when it was last written does not count."""
    if old is None:
        return True
    audit = dict.fromkeys(("create_time", "update_time", "created_by", "updated_by"))
    return msgspec.structs.replace(old, **audit) != msgspec.structs.replace(new, **audit)


def _inventory(settings: Settings, engine: Engine) -> Inventory:
    clock = engine.clock
    return site.inventory_of(settings, clock.now_ms, lambda: clock.monotonic_ms() / 1000)


def _triggers(settings: Settings, inventory: Inventory) -> list[Trigger]:
    site.check_triggers(settings, inventory)
    return [
        Trigger(one.device, one.workflow, one.version, one.input, one.cooldown_s)
        for one in settings.trigger
    ]


def _guard(settings: Settings, data: DataDir, engine: Engine) -> Guard:
    return Guard(engine, Tokens(data.token_key), ttl_s=settings.auth.token_ttl_s)


def _hosted(settings: Settings, engine: Engine, guard: Guard | None) -> _Hosted:
    """Imported here: a device without workers of its site has no use for it in memory."""
    from edge.hosted_workers import HostedWorkers

    if guard is None:
        return HostedWorkers(settings.worker, engine)
    key = guard.inner_key("hosted-workers", ["WORKER", "METADATA_API"])
    env = {"CONDUCTOR_AUTH_KEY": key.key_id, "CONDUCTOR_AUTH_SECRET": key.key_secret}
    return HostedWorkers(settings.worker, engine, env)


def _journal(settings: Settings, data: DataDir) -> JournalFile | None:
    megabytes = settings.daemon.journal_mb
    return JournalFile(data.journal, megabytes * KB * KB) if megabytes else None


def _listeners(settings: ListenerSettings) -> Listeners:
    site.check_sinks(settings)
    return Listeners(settings.workflow_sink, settings.task_sink)
