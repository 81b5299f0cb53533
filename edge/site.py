"""What the files of a site name, held against each other: devices, triggers, workflows, workers.

Nothing is opened or registered here. The daemon begins with it, and ``baton check`` ends with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from devices.capabilities import Surroundings
from devices.inventory import Inventory
from edge.config import ListenerSettings, Settings, WrongValue
from edge.model.errors import InvalidInput, ValidationFailed
from edge.model.events import is_sink
from edge.model.validation import parse_task_definition, parse_workflow_definition
from workflows.catalog import BundledWorkflow, catalog
from workflows.handler_names import faults, texts_of


def check(settings: Settings) -> None:
    """Say what the daemon would find wrong with the site's own files, drivers' settings included.

    Drivers are imported for it, but no device is opened; handlers of workflows are not imported.

    Raises:
        WrongValue: a trigger, a folder of workflows, a definition or a sink is wrong, or a file
            cannot be read.
        DeviceError: the inventory or the settings of a device are.
    """
    _check_files(settings)
    check_sinks(settings.listener)
    inventory = inventory_of(settings, lambda: 0, lambda: 0.0)
    check_triggers(settings, inventory)
    for bundle in bundles_of(settings):
        try:
            for one in bundle.task_definitions:
                parse_task_definition(one, owner_required=False)
            parse_workflow_definition(
                bundle.definition, owner_required=False, check_script=_unread_script
            )
        except InvalidInput as error:
            raise wrong_bundle(bundle, error) from error
    drivers = {name: inventory.check(name) for name in inventory}
    for index, trigger in enumerate(settings.trigger):
        if not hasattr(drivers[trigger.device], "watch"):
            driver = inventory.entry(trigger.device).driver
            raise WrongValue(
                f"trigger[{index}].device: {trigger.device!r} reports nothing that happens "
                f"(driver {driver!r}); name a camera"
            )


def notes(settings: Settings) -> list[str]:
    """What in the handlers of the site's workflows is probably a slip, though the device starts.

    No handler is imported for it.
    """
    bundles = bundles_of(settings)
    known = {text for one in bundles for text in texts_of([one.definition, one.task_definitions])}
    found = []
    for bundle in bundles:
        path = bundle.folder / "handlers.py"
        try:
            said = faults(path, known)
        except (OSError, SyntaxError, ValueError) as error:
            said = [f"it cannot be read: {error}"]
        found += [f"{path}: {one}" for one in said]
    return found


def _check_files(settings: Settings) -> None:
    """Look whether the files that the configuration names by itself can be read."""
    named = {
        f"{section}.{key}": getattr(settings_of, key)
        for section, settings_of in (("sync", settings.sync), ("events", settings.events))
        for key in ("password_file", "ca_file", "certificate_file", "key_file")
    }
    named["secrets.key_file"] = settings.secrets.key_file
    named["cloud.mail_password_file"] = settings.cloud.mail_password_file
    for index, worker in enumerate(settings.worker):
        named[f"worker[{index}].python"] = worker.python
        if worker.module.endswith(".py"):
            named[f"worker[{index}].module"] = worker.module
    for key, path in named.items():
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            raise WrongValue(f"{key}: {path} cannot be read: {error.strerror}") from error


def check_sinks(settings: ListenerSettings) -> None:
    """Look whether listeners can be told where the configuration says.

    Raises:
        WrongValue: they cannot.
    """
    for name in ("workflow_sink", "task_sink"):
        sink = getattr(settings, name)
        if sink and not is_sink(sink):
            raise WrongValue(
                f"listener.{name}: {sink!r} is not mqtt:TOPIC, conductor:NAME or http(s)://HOST/..."
            )


def _unread_script(_: str) -> None:
    """Scripts are read by processes that the daemon has; it says what is wrong with one."""


def inventory_of(
    settings: Settings, clock_ms: Callable[[], int], monotonic_s: Callable[[], float]
) -> Inventory:
    """The devices of the inventory file; none without one.

    Args:
        settings: name the file.
        clock_ms: wall clock in milliseconds since 1970, for drivers.
        monotonic_s: monotonic clock in seconds, for drivers.

    Raises:
        DeviceError: the file is missing or wrong.
    """
    if not settings.devices.file:
        return Inventory({}, Surroundings(clock_ms, monotonic_s, Path()))
    path = Path(settings.devices.file)
    return Inventory.load(path, clock_ms=clock_ms, monotonic_s=monotonic_s)


def check_triggers(settings: Settings, inventory: Inventory) -> None:
    """Hold the devices of the triggers against the inventory.

    Raises:
        WrongValue: there is no such device.
    """
    for index, one in enumerate(settings.trigger):
        if one.device not in inventory:
            known = ", ".join(inventory) or "none"
            raise WrongValue(
                f"trigger[{index}].device: the inventory has no {one.device!r}; it has: {known}"
            )


def bundles_of(settings: Settings) -> list[BundledWorkflow]:
    """The bundled workflows that are enabled, and all of the site's own folders.

    Raises:
        WrongValue: a name or a folder is wrong.
    """
    known = {bundle.name: bundle for bundle in catalog()}
    for name in settings.workflows.enable:
        if name not in known:
            raise WrongValue(
                f"workflows.enable: there is no workflow {name!r}; there is: {', '.join(known)}"
            )
    wanted = {name: known[name] for name in settings.workflows.enable}
    for folder in map(Path, settings.workflows.folders):
        if not folder.is_dir():
            raise WrongValue(f"workflows.folders: there is no folder {folder}")
        try:
            found = catalog(folder)
        except (OSError, msgspec.DecodeError) as error:
            raise WrongValue(f"workflows.folders: {error}") from error
        if not found:
            raise WrongValue(
                f"workflows.folders: {folder} holds no workflow; one is a folder with "
                "workflow.json, tasks.json and handlers.py"
            )
        wanted.update({bundle.name: bundle for bundle in found})
    return list(wanted.values())


def wrong_bundle(bundle: BundledWorkflow, error: InvalidInput) -> WrongValue:
    """What is wrong with a bundled workflow's definitions, in one line."""
    why = error.message
    if isinstance(error, ValidationFailed):
        why = "; ".join(f"{fault.path}: {fault.message}" for fault in error.fields)
    return WrongValue(f"workflow {bundle.name!r}: {why}")
