"""Tasks that wait for a worker whom nobody has started: told to who waits for them.

Nothing is printed here.
"""

from __future__ import annotations

from typing import Any

from edge.cli.client import Client, Refused


class Lonely:
    """Looks whether anybody has ever asked for what waits; each type is told once.

    Args:
        daemon: where the execution is.
    """

    def __init__(self, daemon: Client) -> None:
        self._daemon = daemon
        self._looked_at: set[str] = set()

    def told(self, execution: dict[str, Any]) -> list[str]:
        """A sentence for each type of task for which nobody has asked.

        Args:
            execution: as the daemon answers it, with its tasks.
        """
        found: list[str] = []
        for task in execution.get("tasks") or []:
            kind, ref = task["taskType"], task["referenceTaskName"]
            if task["status"] != "SCHEDULED" or kind in self._looked_at:
                continue
            self._looked_at.add(kind)
            if not self._was_polled(kind):
                found.append(
                    f"{ref} waits for a worker: nobody has ever asked for tasks of the type "
                    f"{kind}. Start one that does; `baton tasks` shows who asks for what."
                )
        return found

    def _was_polled(self, kind: str) -> bool:
        try:
            polls = self._daemon.call("GET", "tasks", "queue", "polldata", query={"taskType": kind})
        except Refused:
            # Who may look at the execution need not be allowed to look at the queues.
            return True
        return any(one.get("lastPollTime") for one in polls or [])
