"""The bytes of the files that evidence records name, read when the records are sent.

Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sync.records import (
    EVIDENCE_CHUNK_BYTES,
    EvidenceRecord,
    Record,
    RecordError,
    decode_body,
    encode_body,
)


def with_contents(records: Sequence[Record], root: Path, max_bytes: int) -> list[Record]:
    """As many of the records as the bytes allow, with their contents: the rest is read again."""
    filled = []
    total = 0
    for record in records:
        one = with_content(record, root) if record.kind == "evidence" else record
        total += len(one.body)
        filled.append(one)
        if total >= max_bytes:
            break
    return filled


def with_content(record: Record, root: Path) -> Record:
    """An evidence record with its chunk of the file, or marked missing."""
    try:
        body = decode_body(record.kind, record.body)
    except RecordError:
        return record
    if not isinstance(body, EvidenceRecord):
        return record
    content = _read_chunk(root, body)
    filled = msgspec.structs.replace(body, content=content or b"", missing=content is None)
    return msgspec.structs.replace(record, body=encode_body(filled))


def _read_chunk(root: Path, body: EvidenceRecord) -> bytes | None:
    """One chunk of a kept file; None when it is gone, is another, or would lie outside the root."""
    try:
        path = (root / body.path).resolve()
        if not path.is_relative_to(root.resolve()) or path.stat().st_size != body.size_bytes:
            return None
        with path.open("rb") as file:
            file.seek(body.index * EVIDENCE_CHUNK_BYTES)
            return file.read(EVIDENCE_CHUNK_BYTES)
    except (OSError, ValueError):
        return None
