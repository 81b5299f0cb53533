"""The command line: ``baton``.

Commands say what they want of a daemon or start one; no rule of the engine stands here. What a
command needs is imported when it runs, so that ``baton run`` starts light.
"""

from __future__ import annotations

import click

from edge.cli import auth, execution, run, schedule, search, steering, storage, worker, workflow

_EPILOG = """\b
Start a device, register a folder of workflows, run one:
  baton run --data-dir /tmp/device
  baton workflow push workflows/hello
  baton start hello --input name=Ada --wait
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="baton", prog_name="baton")
def main() -> None:
    """Baton: durable, Conductor-compatible workflows on a device."""


for _command in (
    run.run,
    run.cloud,
    run.check,
    auth.auth,
    storage.storage,
    workflow.workflow,
    workflow.tasks,
    worker.worker,
    schedule.schedule,
    execution.start,
    execution.show,
    execution.tail,
    execution.logs,
    search.search,
    steering.pause,
    steering.resume,
    steering.terminate,
    steering.retry,
    steering.restart,
    steering.rerun,
    steering.skip,
    steering.jump,
    steering.update_vars,
    steering.signal,
    steering.complete_task,
    steering.fail_task,
    steering.remove,
):
    main.add_command(_command)
