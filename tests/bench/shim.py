"""The library that counts syncs and makes them slow, compiled when it is wanted.

The dynamic linker loads it into the programs that are measured; what they do stands elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.bench.window import SYNC_COUNT

_SOURCE = Path(__file__).with_name("sync_shim.c")


class Shim:
    """The compiled library; without a C compiler syncs are neither counted nor slow.

    Args:
        folder: where the library and the counters are put.
    """

    def __init__(self, folder: Path) -> None:
        self.missing = ""
        """Why there is none; empty when there is."""
        self._folder = folder
        self._library = folder / "sync_shim.so"
        self._counters = 0
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            self.missing = "no C compiler here; install gcc to count syncs and to make them slow"
            return
        command = [
            compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE)
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            self.missing = f"sync_shim.c does not compile: {made.stderr.strip()[-300:]}"

    def environment(self, *, at_least_ms: float = 0.0) -> dict[str, str]:
        """What a program's environment needs for it; nothing when there is no library.

        Args:
            at_least_ms: how long a sync takes at least.
        """
        if self.missing:
            return {}
        self._counters += 1
        counter = self._folder / f"syncs-{self._counters}"
        counter.write_bytes(bytes(8))
        return {
            "LD_PRELOAD": str(self._library.resolve()),
            SYNC_COUNT: str(counter.resolve()),
            "BENCH_SYNC_US": str(round(at_least_ms * 1000)),
        }
