"""What every benchmark gets: where to work, how long, how often, and a way to say how far it is.

No workload stands here.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import Case, NotMeasured, Run
from tests.bench.peers.install import Peers
from tests.bench.shim import Shim
from tests.bench.window import Window

_ROOT = Path(__file__).resolve().parents[2]

_RAISED = r"^[\s|]*((?:\w+\.)*\w*(?:Error|Exception|NotMeasured)\b.*)$"
"""The last line of a traceback, also of one in a group."""

_CHILD_WITHIN_S = 900.0
"""Longest run of one measured program; one that takes longer hangs."""


class Bench:
    """One run of the benchmarks.

    Args:
        folder: where databases are made; a disk, for each commit is meant to reach it.
        scale: 1.0 = the full length.
        repeat: runs of each case; the median counts.
        concurrency: of workload W.
        peers: where the peers are; None = they are left out.
        say: shows how far it is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scale: float,
        repeat: int,
        concurrency: Sequence[int],
        peers: Peers | None,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.repeat = repeat
        self.concurrency = tuple(concurrency)
        self._peers = peers
        self.shim = Shim(folder)
        self._scale = scale
        self._say = say
        self._began = time.monotonic()
        self._numbers = itertools.count()

    def many(self, count: int, *, least: int) -> int:
        """A count of the full length, scaled."""
        return max(least, round(count * self._scale))

    def new_folder(self, name: str) -> Path:
        """A fresh folder for one database."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def peer(self) -> Peers:
        """Where the peers are.

        Raises:
            NotMeasured: they are left out.
        """
        if self._peers is None:
            raise NotMeasured("left out by --no-peers")
        return self._peers

    def say(self, text: str) -> None:
        """Show how far it is."""
        self._say(f"[{time.monotonic() - self._began:6.1f} s] {text}")

    def alternate(
        self, cases: Mapping[str, tuple[str, Callable[[], Run]]], *, counted: bool = False
    ) -> dict[str, Case]:
        """Run several cases in turns, so that a busy minute of the machine hits them alike.

        Args:
            cases: by their key, a name and what makes one run.
            counted: whether their goals are for what a run of the full length has.

        Returns:
            The cases by their key; one that failed has no runs and says why.
        """
        runs: dict[str, list[Run]] = {key: [] for key in cases}
        missing: dict[str, str] = {}
        for number in range(self.repeat):
            for key, (name, once) in cases.items():
                if key in missing:
                    continue
                self.say(f"{name}, run {number + 1} of {self.repeat}")
                window = Window()
                try:
                    measured = once()
                    # Those who do not look themselves are told what others did meanwhile.
                    runs[key].append({"foreign": window.close()["foreign"], **measured})
                except NotMeasured as error:
                    missing[key] = str(error)
                    self.say(f"{name}: {error}")
        return {
            key: Case(key, name, runs[key], missing.get(key, ""), short=counted and self._scale < 1)
            for key, (name, _) in cases.items()
        }

    def child(
        self,
        module: str,
        task: Mapping[str, Any],
        *,
        python: Path | None = None,
        at_least_ms: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a module in a process of its own, syncs counted; returns what it measured.

        Args:
            module: is given the task as JSON and prints what it measured as its last line.
            task: what to do.
            python: another interpreter than this one.
            at_least_ms: how long a sync takes at least.
            environment: of another program, whose syncs it counts instead of its own.

        Raises:
            NotMeasured: it failed.
        """
        if environment is None:
            environment = self.shim.environment(at_least_ms=at_least_ms)
        environment = {**os.environ, **environment, "PYTHONPATH": str(_ROOT)}
        command = [str(python or sys.executable), "-m", module, json.dumps(task)]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, check=False,
                cwd=self.folder, env=environment, timeout=_CHILD_WITHIN_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotMeasured(f"{module} did not end within {_CHILD_WITHIN_S:.0f} s") from None
        lines = ended.stdout.splitlines()
        if ended.returncode or not lines:
            raise NotMeasured(f"{module} failed: {_reason(ended.stderr)}")
        measured: Run = json.loads(lines[-1])
        return measured


def _reason(errors: str) -> str:
    """The line of a traceback that says what was wrong; in a group of errors the innermost."""
    found = re.findall(_RAISED, errors, re.MULTILINE)
    lines = found or errors.strip().splitlines() or ["it said nothing"]
    return lines[-1][:200]


def serve_child(measure: Callable[..., Run]) -> None:
    """The main function of a module that ``Bench.child`` runs."""
    print(json.dumps(measure(**json.loads(sys.argv[1]))), flush=True)
