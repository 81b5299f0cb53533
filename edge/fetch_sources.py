"""Where that is which a control plane orders to be fetched: the journal, logs of tasks, files.

Nothing is sent here, and nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.engine import Engine
from edge.journal_file import JournalFile, Wanted
from edge.kept_files import find, media_type_of
from edge.model.errors import NotFound
from edge.model.executions import EMPTY, Task, Workflow
from edge.model.masking import masked
from edge.store.files import read_file
from edge.uploads import Uploads
from sync.orders import FetchBody, FileBody, JournalBody, TaskLogsBody

_LINES = "application/jsonl"


class Found(msgspec.Struct, frozen=True):
    """Something that was found."""

    name: str
    media_type: str
    content: bytes | Path
    cut: bool = False
    """Whether something was left out to keep to the bound."""


class Sources:
    """What one device can be asked for.

    Args:
        engine: whose executions, and the logs and payloads of theirs.
        journal: what the daemon has logged; None = it keeps nothing.
        evidence: folder of the files that tasks keep.
        files: what workers hand each other; None = nothing.
        uploads: payloads that clients have sent by themselves.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        journal: JournalFile | None,
        evidence: Path,
        files: Callable[[], Uploads | None],
        uploads: Callable[[], Uploads],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._evidence = evidence
        self._files = files
        self._uploads = uploads

    async def find(self, body: FetchBody, most_bytes: int) -> Found:
        """What is asked for, but for executions.

        Args:
            body: of the order.
            most_bytes: to which logs are cut; what a file has is for the caller to look at.

        Raises:
            NotFound: it is not here, or not any more; the message says which.
            BatonError: it cannot be read.
        """
        match body:
            case JournalBody():
                return await self._lines(body, most_bytes)
            case TaskLogsBody():
                return await self._task_logs(body, most_bytes)
            case FileBody(store="evidence"):
                return await self._evidence_file(body.name)
            case FileBody(store="files"):
                return await self._handed_over(body.name)
            case FileBody():
                return await self._payload(body)
        raise NotFound(f"{type(body).__name__} is no file")

    async def _lines(self, body: JournalBody, most_bytes: int) -> Found:
        if self._journal is None:
            raise NotFound("no journal is kept here: daemon.journal_mb is 0")
        wanted = Wanted(
            max_bytes=most_bytes,
            from_ms=body.from_ms,
            to_ms=body.to_ms,
            level=body.level,
            contains=body.contains,
            last=body.last,
        )
        lines = await asyncio.to_thread(self._journal.find, wanted)
        return Found("journal.jsonl", _LINES, lines.text, lines.cut)

    async def _task_logs(self, body: TaskLogsBody, most_bytes: int) -> Found:
        lines = await self._engine.logs(body.task_id)
        kept: list[bytes] = []
        size = 0
        for line in reversed(lines):
            told = {"at": line.created_ms, "taskId": body.task_id, "log": line.line}
            text = msgspec.json.encode(told) + b"\n"
            size += len(text)
            if size > most_bytes:
                break
            kept.append(text)
        name = f"{body.task_id}.jsonl"
        return Found(name, _LINES, b"".join(reversed(kept)), cut=len(kept) < len(lines))

    async def _evidence_file(self, name: str) -> Found:
        found = await asyncio.to_thread(find, self._evidence, name)
        if found is None:
            raise NotFound("no such file is among the evidence, or it has been removed")
        return Found(name, media_type_of(name), found[0])

    async def _handed_over(self, name: str) -> Found:
        files = self._files()
        if files is None:
            raise NotFound("no files are kept here: files.enabled is false")
        known = await self._engine.database.read(lambda c: read_file(c, name))
        path = None if known is None else await asyncio.to_thread(files.find, name, known.sha256)
        if known is None or path is None:
            raise NotFound("no such file is kept here, or it has been removed")
        return Found(known.name or name, known.content_type, path)

    async def _payload(self, body: FileBody) -> Found:
        record, hidden = await self._record(body.name)
        # Clients send the inputs of executions so, and the outputs of tasks.
        path = record.input_path if isinstance(record, Workflow) else record.output_path
        if isinstance(record, Workflow) != (body.store == "input"):
            path = None
        name = f"{body.name}-{body.store}.json"
        if path is not None:
            upload = await asyncio.to_thread(self._uploads().find, path)
            if upload is not None:
                content = masked(await asyncio.to_thread(upload.read_bytes), hidden)
                return Found(name, "application/json", content)
        part: bytes = getattr(record, body.store)
        digest: bytes = getattr(record, f"{body.store}_file")
        if digest:
            part = await asyncio.to_thread(self._engine.payloads.files.get, digest)
        if part == EMPTY and path is not None:
            raise NotFound("the payload was uploaded, and has been removed")
        return Found(name, "application/json", masked(part, hidden))

    async def _record(self, record_id: str) -> tuple[Task | Workflow, tuple[str, ...]]:
        """A task or an execution, and what is to be hidden of it."""
        try:
            view = await self._engine.task(record_id)
        except NotFound:
            try:
                workflow = await self._engine.workflow(record_id)
            except NotFound:
                raise NotFound("no task or execution of this id is here any more") from None
            return workflow, tuple(workflow.masked_fields)
        return view.task, tuple(view.workflow.masked_fields)
