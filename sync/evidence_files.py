"""The bytes of the files that records name, read when the records are sent.

Nothing is sent here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from sync.records import (
    EVIDENCE_CHUNK_BYTES,
    EvidenceRecord,
    PartRecord,
    Record,
    RecordError,
    decode_body,
    encode_body,
)

NAMING = frozenset({"evidence", "part"})
"""Kinds of records whose content lies in files."""


class Folders(NamedTuple):
    """Where the files lie."""

    evidence: Path
    fetched: Path | None = None
    """Answers to orders, each under the name that `fetched_name` gives; None = there are none."""


def fetched_name(order_id: str) -> str:
    """Under which name the answer to an order lies: none can lead out of the folder."""
    return hashlib.sha256(order_id.encode()).hexdigest()


def with_contents(records: Sequence[Record], folders: Folders, max_bytes: int) -> list[Record]:
    """As many of the records as the bytes allow, with their contents: the rest is read again."""
    filled = []
    total = 0
    for record in records:
        one = with_content(record, folders) if record.kind in NAMING else record
        total += len(one.body)
        filled.append(one)
        if total >= max_bytes:
            break
    return filled


def with_content(record: Record, folders: Folders) -> Record:
    """A record that names a file with its chunk of it, or marked missing."""
    try:
        body = decode_body(record.kind, record.body)
    except RecordError:
        return record
    if isinstance(body, EvidenceRecord):
        content = _read_evidence(folders.evidence, body)
    elif isinstance(body, PartRecord) and folders.fetched is not None:
        content = _read_part(folders.fetched, body)
    else:
        return record
    filled = msgspec.structs.replace(body, content=content or b"", missing=content is None)
    return msgspec.structs.replace(record, body=encode_body(filled))


def _read_evidence(root: Path, body: EvidenceRecord) -> bytes | None:
    """One chunk of a kept file; None when it is gone, is another, or would lie outside the root."""
    try:
        path = (root / body.path).resolve()
        if not path.is_relative_to(root.resolve()) or path.stat().st_size != body.size_bytes:
            return None
        return _chunk(path, body.index)
    except (OSError, ValueError):
        return None


def _read_part(root: Path, body: PartRecord) -> bytes | None:
    """One chunk of an answer; None when it is gone, or is not what it was."""
    try:
        content = _chunk(root / fetched_name(body.order_id), body.index)
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == body.sha256 else None


def _chunk(path: Path, index: int) -> bytes:
    with path.open("rb") as file:
        file.seek(index * EVIDENCE_CHUNK_BYTES)
        return file.read(EVIDENCE_CHUNK_BYTES)
