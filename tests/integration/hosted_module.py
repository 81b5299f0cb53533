"""Workers of a site, as any user of the Python SDK writes them; the tests host this file.

Nothing of Baton is imported here.
"""

import os
import time
from pathlib import Path

from conductor.client.worker.worker_task import worker_task

HOARD: list[bytearray] = []


@worker_task(task_definition_name="hosted_greet")
def greet(name: str) -> dict[str, object]:
    """A plain function."""
    print(f"greeting {name}")
    return {"greeting": f"{os.environ.get('GREETING', 'hello')} {name}", "pid": os.getpid()}


@worker_task(task_definition_name="hosted_add")
async def add(a: int, b: int) -> dict[str, int]:
    """A coroutine."""
    return {"sum": a + b}


@worker_task(task_definition_name="hosted_slow")
def slow(seconds: float, once: str) -> dict[str, object]:
    """Takes its time, the first time it sees this file missing; says so by making it."""
    seen = Path(once)
    if not seen.exists():
        seen.write_text(str(os.getpid()))
        time.sleep(seconds)
    return {"pid": os.getpid()}


@worker_task(task_definition_name="hosted_eat")
def eat(megabytes: int) -> dict[str, int]:
    """Keeps what it takes, as a leak does."""
    HOARD.extend(bytearray(1_000_000) for _ in range(megabytes))
    return {"held": len(HOARD)}
