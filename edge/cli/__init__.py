"""The command line: ``baton``.

Commands say what they want of a daemon or start one; no rule of the engine stands here. A command,
and what it needs, is imported when it is asked for, so that ``baton run`` starts light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from edge.cli.groups import Group

_EPILOG = """\b
A device in one terminal, and what it can do in another:
  baton run --data-dir /tmp/device
  baton workflow list

\b
A folder of definitions, and a run of one of them:
  baton workflow push DIR
  baton start NAME --input who=Ada --wait

Each command has examples of its own: baton start -h
"""

_COMMANDS = {
    "run": "edge.cli.run:run",
    "cloud": "edge.cli.cloud:cloud",
    "simulate-fleet": "edge.cli.simulate_fleet:simulate_fleet",
    "check": "edge.cli.run:check",
    "auth": "edge.cli.auth:auth",
    "storage": "edge.cli.storage:storage",
    "workflow": "edge.cli.workflow:workflow",
    "tasks": "edge.cli.workflow:tasks",
    "worker": "edge.cli.worker:worker",
    "schedule": "edge.cli.schedule:schedule",
    "start": "edge.cli.execution:start",
    "show": "edge.cli.execution:show",
    "tail": "edge.cli.execution:tail",
    "logs": "edge.cli.execution:logs",
    "search": "edge.cli.search:search",
    "pause": "edge.cli.steering:pause",
    "resume": "edge.cli.steering:resume",
    "terminate": "edge.cli.steering:terminate",
    "retry": "edge.cli.steering:retry",
    "restart": "edge.cli.steering:restart",
    "rerun": "edge.cli.steering:rerun",
    "skip": "edge.cli.steering:skip",
    "jump": "edge.cli.steering:jump",
    "update-vars": "edge.cli.steering:update_vars",
    "signal": "edge.cli.steering:signal",
    "complete-task": "edge.cli.steering:complete_task",
    "fail-task": "edge.cli.steering:fail_task",
    "remove": "edge.cli.steering:remove",
}
"""Where each command is found."""

_SECTIONS = {
    "Daemons": ("run", "cloud", "simulate-fleet", "check", "auth", "storage"),
    "Definitions": ("workflow", "tasks"),
    "Executions": ("start", "show", "tail", "logs", "search"),
    "Steering executions": (
        "pause",
        "resume",
        "terminate",
        "retry",
        "restart",
        "rerun",
        "skip",
        "jump",
        "update-vars",
        "signal",
        "complete-task",
        "fail-task",
        "remove",
    ),
    "Workers and schedules": ("worker", "schedule"),
}
"""How the help shows them: by what a person wants to do."""

_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


class _Commands(Group):
    """A group whose commands are imported when they are asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C, the usual end of some, ends it without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)

    def sections(self, ctx: click.Context) -> dict[str, list[str]]:
        """All of them, a new one at the latest under the last heading."""
        shown = {heading: list(names) for heading, names in _SECTIONS.items()}
        named = {name for names in shown.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in named]
        return shown | ({"Other commands": others} if others else {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, without importing any of them."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None = there is none."""
        del ctx
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="baton", prog_name="baton")
def main() -> None:
    """Baton: durable, Conductor-compatible workflows on a device."""
