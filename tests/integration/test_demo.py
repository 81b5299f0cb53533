"""``make demo`` for half a minute: broker, control plane, device, camera, analysis, sync, all real."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(170), pytest.mark.real]


@pytest.mark.parametrize("broker", ["auto", "embedded"])
def test_everything_arrives(tmp_path: Path, broker: str) -> None:
    """Exit status 0 says that every event was analysed, was right, was published and arrived."""
    command = [sys.executable, "-m", "edge.demo", "--seconds", "25", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--broker", broker], capture_output=True, text=True, check=False, timeout=160
    )
    logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in tmp_path.glob("*.log"))

    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert re.search(r"events seen +[1-9]", done.stdout)
    assert "PASSED" in done.stdout
