"""``baton worker run`` and ``baton worker list``: workers in processes of their own.

How processes are kept up stands in ``edge.hosting``; here a terminal is around them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from edge.cli import output
from edge.cli.client import Client, Refused, Unreachable, client_options, url_option
from edge.cli.groups import Group
from edge.clock import SystemClock
from edge.config import LEAST_MEMORY_MB
from edge.hosting.crew import Crew, Lost, NotLoaded, Spec

_LOOK_AGAIN_S = 1.0
_COLOURS = ("cyan", "magenta", "blue", "green", "yellow")

_WORDS = {
    "worker_started": "started, process {pid}",
    "worker_died": "{reason}; starting again in {again_in_s:g} s",
    "workers_not_loaded": "not loaded: {reason}; trying again in {again_in_s:g} s",
    "worker_stopped": "stopped",
    "worker_said": "{line}",
}
"""What is told of each event."""


@click.group(cls=Group)
def worker() -> None:
    """Workers: host modules with @worker_task functions, and see how hosted ones are."""


@worker.command(
    epilog=output.examples(
        "baton worker run greet.py",
        "baton worker run vision.py --processes 2 --memory-mb 400 --url http://10.0.0.7:8080",
        "baton worker run my_package.workers --import my_package.settings --domain line-3",
    )
)
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.option("--processes", type=click.IntRange(1, 64), default=1, help="Of each function.")
@click.option(
    "--memory-mb",
    type=click.IntRange(0, 1_000_000),
    default=0,
    help="What a process may write to, 64 at least; 0 = no limit.",
)
@click.option("--domain", default="", help="The queue domain to poll.")
@click.option("--import", "imports", multiple=True, help="A module to import before; repeatable.")
@click.option("--together", is_flag=True, help="All functions in one process: saves memory.")
@click.option("--python", default="", help="The interpreter that has the SDK and the modules.")
@click.option(
    "--stop-within",
    "stop_within_s",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds that tasks in hand get when it is stopped.",
)
@click.option(
    "--task-limit",
    "task_limit_s",
    type=click.FloatRange(0, 604_800),
    default=0.0,
    help="Seconds after which a process that works on one task is killed; 0 = never.",
)
@url_option
def run(
    *,
    modules: tuple[str, ...],
    processes: int,
    memory_mb: int,
    domain: str,
    imports: tuple[str, ...],
    together: bool,
    python: str,
    stop_within_s: float,
    task_limit_s: float,
    url: str,
) -> None:
    """Run the @worker_task functions of modules until Ctrl-C or SIGTERM.

    A module is a file, such as greet.py, or a name that can be imported. Each function runs in a
    process of its own, which is started again when it dies. What it prints is shown with its name.
    """
    spec = Spec(
        modules=[*imports, *map(_found, modules)],
        processes=processes,
        memory_mb=_enough(memory_mb),
        domain=domain,
        together=together,
        python=python,
        stop_within_s=stop_within_s,
        task_limit_s=task_limit_s,
    )
    daemon = Client(url)
    _await_daemon(daemon)
    try:
        asyncio.run(_keep(spec, daemon))
    except NotLoaded as error:
        raise click.ClickException(str(error)) from error


@worker.command("list", epilog=output.examples("baton worker list"))
@client_options
def list_(*, url: str, as_json: bool) -> None:
    """List the workers that the daemon hosts: how each is, and why it was started again."""
    found = Client(url).call("GET", "v1", "workers")
    if as_json:
        output.as_json(found)
        return
    rows = [
        [
            one["name"],
            one["state"],
            str(one["pid"] or "-"),
            str(one["restarts"]),
            f"{one['residentBytes'] / 1e6:.0f} MB" if one["pid"] else "-",
            str(one["inHand"]),
            one["lastEnd"] or "-",
        ]
        for one in found
    ]
    output.table(["WORKER", "STATE", "PID", "RESTARTS", "MEMORY", "IN HAND", "LAST END"], rows)


def _found(module: str) -> str:
    """A file by its whole path: processes may stand elsewhere; a name is left to Python."""
    if not module.endswith(".py") and os.sep not in module:
        return module
    path = Path(module)
    if not path.is_file():
        raise click.BadParameter(f"there is no file {module}", param_hint="MODULE")
    return str(path.resolve())


def _await_daemon(daemon: Client) -> None:
    """Wait until it answers; a worker that finds none backs off for minutes."""
    told = False
    while True:
        try:
            daemon.call("GET", "metadata", "taskdefs")
            return
        except Unreachable as error:
            if not told:
                click.echo(f"{error.message}\nwaiting for it", err=True)
            told = True
        except Refused:
            # It answers; what it says to a worker is the worker's affair.
            return
        time.sleep(_LOOK_AGAIN_S)


async def _keep(spec: Spec, daemon: Client) -> None:
    """Run the crew until a signal; a second one ends everything at once."""
    crew = Crew(
        [spec],
        clock=SystemClock(),
        tell=_tell,
        lost=lambda lost: asyncio.to_thread(_report, daemon, lost),
        patient=False,
    )
    loop = asyncio.get_running_loop()

    def end() -> None:
        crew.end()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    crew.answers_at(daemon.url)
    await crew.run()


def _report(daemon: Client, lost: Lost) -> None:
    """Tell the daemon of a task that nobody works on any more.

    One that was only interrupted goes back into its queue, as Conductor has it for IN_PROGRESS.
    """
    result = {
        "workflowInstanceId": lost.workflow_id,
        "taskId": lost.task_id,
        "status": "IN_PROGRESS" if lost.again else "FAILED",
        "workerId": lost.worker,
    }
    if not lost.again:
        result["reasonForIncompletion"] = lost.reason
    # A daemon that is away has the response timeout to bring the task back.
    with contextlib.suppress(click.ClickException):
        daemon.call("POST", "tasks", body=result)


def _tell(event: str, **facts: Any) -> None:
    """A line with the worker's name before it, each name in a colour of its own."""
    name = facts["worker"]
    colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
    text = _WORDS[event].format(**facts)
    click.echo(f"{click.style(f'[{name}]', fg=colour)} {text}")


def _enough(memory_mb: int) -> int:
    """A limit that Python and the SDK fit into; 0 = none."""
    if 0 < memory_mb < LEAST_MEMORY_MB:
        raise click.BadParameter(
            f"{memory_mb} is too little for Python and the SDK: {LEAST_MEMORY_MB} at least, "
            "or 0 for no limit",
            param_hint="--memory-mb",
        )
    return memory_mb
