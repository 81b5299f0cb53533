"""Files of evidence: see `test_uplink`, which meets them on the way."""

from __future__ import annotations

from pathlib import Path

from sync.evidence_files import Folders, with_contents
from sync.records import Lane, Record


def test_other_records_pass_as_they_are(tmp_path: Path) -> None:
    """Up to the size that is asked for, and one at least."""
    records = [Record(Lane.BULK, seq, "task", 1, 1, bytes(40)) for seq in range(1, 5)]

    assert records[:2] == with_contents(records, Folders(tmp_path), 50)
    assert records[:1] == with_contents(records, Folders(tmp_path), 1)
