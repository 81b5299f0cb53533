"""Endpoints under ``/api/files``: files that workers hand each other by handles.

A file is its execution's: that one changes it, those around and inside it may read it. Who removes
a file is decided elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.api.tickets import VALID_MS
from edge.clock import new_request_id
from edge.model.errors import AccessDenied, Conflict, IllegalState, InvalidInput, NotFound
from edge.responses import FileResponse, Response
from edge.store.files import StoredFile, are_related, put_file, read_file
from edge.transactions import Transaction
from edge.uploads import Taken, Uploads

_HANDLE = "conductor://file/"
_PLAIN = "application/octet-stream"
_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(\s*;[\x20-\x7e]{0,200})?")
_MAX_TEXT = 255


async def create(call: Call) -> Response:
    """Note a file that is to come, and say where to send it."""
    _files(call)
    posted = await call.json_object()
    workflow_id = _text(posted, "workflowId")
    if not workflow_id:
        raise InvalidInput("workflowId is required")
    content_type = _text(posted, "contentType") or _PLAIN
    if _CONTENT_TYPE.fullmatch(content_type) is None:
        raise InvalidInput(f"contentType: {content_type[:80]!r} is none")
    now_ms = call.house.engine.clock.now_ms()
    file = StoredFile(
        new_request_id(), workflow_id, _text(posted, "taskId"), _text(posted, "fileName"),
        content_type, "UPLOADING", 0, None, now_ms, now_ms,
    )  # fmt: skip
    await call.house.engine.request(lambda t: put_file(t.connection, file))
    shown = {
        "fileHandleId": _HANDLE + file.id,
        "fileName": file.name,
        "contentType": file.content_type,
        "storageType": "CONDUCTOR",
        "uploadStatus": file.status,
        "uploadUrl": _address(call, "WRITE", file, now_ms),
        "uploadUrlExpiresAt": now_ms + VALID_MS,
        "createdAt": now_ms,
    }
    response = answers.json({key: value for key, value in shown.items() if value is not None})
    response.status_code = 201
    return response


async def upload_url(call: Call) -> Response:
    """Where to send a file, anew."""
    file, now_ms = await _own(call), call.house.engine.clock.now_ms()
    return answers.json(
        {
            "fileHandleId": _HANDLE + file.id,
            "uploadUrl": _address(call, "WRITE", file, now_ms),
            "expiresAt": now_ms + VALID_MS,
        }
    )


async def put_content(call: Call) -> Response:
    """Take the bytes of a file, in place of what came before."""
    _check_ticket(call, "WRITE")
    file = await _own(call)
    _refuse_complete(file)

    async def note(taken: Taken) -> None:
        await call.house.engine.request(lambda t: _note_content(t, file.id, taken))

    await _files(call).take(file.id, call.parts(call.house.file_limit_bytes), note)
    return answers.nothing()


def _note_content(transaction: Transaction, file_id: str, taken: Taken) -> None:
    """Judged as the file stands now: its bytes may have been on their way for long."""
    file = _present(read_file(transaction.connection, file_id), file_id)
    _refuse_complete(file)
    changed = msgspec.structs.replace(
        file,
        size_bytes=taken.size_bytes,
        sha256=taken.sha256,
        updated_ms=transaction.now_ms,
    )
    put_file(transaction.connection, changed)


def _refuse_complete(file: StoredFile) -> None:
    if file.status != "UPLOADING":
        raise Conflict(f"File is not accepting content uploads: {file.id}")


async def complete(call: Call) -> Response:
    """The file is whole: from now on it can be read and not changed."""
    file = await _own(call)
    files = _files(call)

    def end(transaction: Transaction) -> StoredFile:
        # As it stands now: other bytes may have come since it was read.
        now = _present(read_file(transaction.connection, file.id), file.id)
        if now.status == "UPLOADED":
            raise Conflict(f"File already uploaded: {file.id}")
        if files.find(file.id, now.sha256) is None:
            raise IllegalState(f"File not found on storage backend: {file.id}")
        ended = msgspec.structs.replace(now, status="UPLOADED", updated_ms=transaction.now_ms)
        put_file(transaction.connection, ended)
        return ended

    changed = await call.house.engine.request(end)
    return answers.json(
        {
            "fileHandleId": _HANDLE + file.id,
            "uploadStatus": changed.status,
            "contentHash": changed.sha256,
        }
    )


async def download_url(call: Call) -> Response:
    """Where to fetch a file."""
    file, now_ms = await _readable(call), call.house.engine.clock.now_ms()
    if file.status != "UPLOADED":
        raise InvalidInput(f"File not yet uploaded: {file.id}, status={file.status}")
    return answers.json(
        {
            "fileHandleId": _HANDLE + file.id,
            "downloadUrl": _address(call, "READ", file, now_ms),
            "expiresAt": now_ms + VALID_MS,
        }
    )


async def get_content(call: Call) -> Response:
    """The bytes of a file."""
    _check_ticket(call, "READ")
    file = await _readable(call)
    path = _files(call).find(file.id, file.sha256)
    if file.status != "UPLOADED" or path is None:
        raise InvalidInput(f"File has not been uploaded: {file.id}")
    # Never shown as a page of this device: a worker may have sent anything.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return FileResponse(path, media_type=file.content_type, headers=headers)


async def get(call: Call) -> Response:
    """What is known of a file."""
    file = await _readable(call)
    shown = {
        "fileHandleId": _HANDLE + file.id,
        "fileName": file.name,
        "contentType": file.content_type,
        "fileSize": file.size_bytes,
        "contentHash": file.sha256,
        "storageType": "CONDUCTOR",
        "uploadStatus": file.status,
        "workflowId": file.workflow_id,
        "taskId": file.task_id,
        "createdAt": file.created_ms,
        "updatedAt": file.updated_ms,
    }
    return answers.json({key: value for key, value in shown.items() if value is not None})


async def multipart(call: Call) -> Response:
    """A file arrives in one piece; clients ask for pieces of stores that have them."""
    await _own(call)
    raise InvalidInput("Conductor filesystem storage does not support multipart uploads")


def _files(call: Call) -> Uploads:
    files = call.house.files
    if files is None:
        raise NotFound("No static resource: this device keeps no files ([files] enabled = true).")
    return files


async def _file(call: Call) -> StoredFile:
    _files(call)
    file_id = call.params["file"].removeprefix(_HANDLE)
    found = await call.house.engine.database.read(lambda c: read_file(c, file_id))
    return _present(found, file_id)


def _present(found: StoredFile | None, file_id: str) -> StoredFile:
    if found is None:
        raise NotFound(f"File not found: {file_id[:200]}")
    return found


async def _own(call: Call) -> StoredFile:
    file = await _file(call)
    if file.workflow_id != call.params["workflow"]:
        raise AccessDenied(f"Workflow does not own file: {file.id}")
    return file


async def _readable(call: Call) -> StoredFile:
    file, asking = await _file(call), call.params["workflow"]
    read = call.house.engine.database.read
    if not await read(lambda c: are_related(c, asking, file.workflow_id)):
        raise AccessDenied(f"Workflow cannot access file: {file.id}")
    return file


def _address(call: Call, operation: str, file: StoredFile, now_ms: int) -> str:
    host = call.header(b"host") or "localhost"
    owner = file.workflow_id if operation == "WRITE" else call.params["workflow"]
    ticket = call.house.tickets.query(operation, f"{owner}/{file.id}", now_ms)
    return f"http://{host}/api/files/content/{owner}/{file.id}?{ticket}"


def _check_ticket(call: Call, operation: str) -> None:
    """Where callers are asked who they are, content is had by an address that was handed out."""
    if call.house.guard is None:
        return
    path = f"{call.params['workflow']}/{call.params['file']}"
    now_ms = call.house.engine.clock.now_ms()
    expires, signature = call.text("exp", "") or "", call.text("sig", "") or ""
    call.house.tickets.check(operation, path, expires, signature, now_ms)


def _text(posted: dict[str, Any], field: str) -> str | None:
    value = posted.get(field)
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_TEXT):
        raise InvalidInput(f"{field}: a text of up to {_MAX_TEXT} characters is needed")
    return value or None
