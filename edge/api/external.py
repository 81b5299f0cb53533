"""Payloads that travel by themselves: where to put and get them, and what was put is taken into use.

Which payloads lie in files by themselves is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import msgspec

from edge.api import answers
from edge.api.call import Call, decode
from edge.clock import new_request_id
from edge.model.errors import FieldError, InvalidInput, NotFound, ValidationFailed
from edge.model.masking import masked
from edge.responses import FileResponse, Response
from edge.store.payload_files import digest_of
from edge.store.payloads import digest_of_path, is_needed, masked_fields_of

_KINDS = {
    "WORKFLOW_INPUT": "workflow/input",
    "WORKFLOW_OUTPUT": "workflow/output",
    "TASK_INPUT": "task/input",
    "TASK_OUTPUT": "task/output",
}
_CONTENT = "/api/v1/payloads/"

_encode = msgspec.json.Encoder().encode


async def location(call: Call) -> Response:
    """Where a payload can be put, or got from: an address on this device, and the name for it."""
    operation = call.required("operation").upper()
    kind = call.required("payloadType").upper()
    if operation not in ("READ", "WRITE"):
        raise InvalidInput(f"operation: {operation[:80]!r} is neither READ nor WRITE")
    if kind not in _KINDS:
        raise InvalidInput(f"payloadType: {kind[:80]!r} is not one of {', '.join(_KINDS)}")
    path = call.text("path")
    if path is None:
        if operation == "READ":
            raise InvalidInput("Required request parameter 'path' is not present")
        path = f"{_KINDS[kind]}/{new_request_id()}.json"
    call.house.uploads.path_of(path)
    host = call.header(b"host") or "localhost"
    ticket = call.house.tickets.query(operation, path, call.house.engine.clock.now_ms())
    return answers.json({"uri": f"http://{host}{_CONTENT}{quote(path)}?{ticket}", "path": path})


async def put(call: Call) -> Response:
    """Keep what is sent under a name, until an execution refers to it or a day has passed."""
    house = call.house
    _check_ticket(call, "WRITE")
    await house.uploads.take(call.params["path"], call.parts(house.upload_limit_bytes))
    return answers.void()


async def get(call: Call) -> Response:
    """What was put under a name, or lies in a file by itself, as whoever looks may see it."""
    _check_ticket(call, "READ")
    path = call.params["path"]
    digest = await _digest(call, path)
    if digest is None:
        upload = call.house.uploads.find(path)
        if upload is None:
            raise NotFound(f"No payload found by path: {path}")
        return FileResponse(upload, media_type="application/json")
    engine = call.house.engine
    fields = await engine.database.read(lambda c: masked_fields_of(c, digest))
    content = await asyncio.to_thread(engine.payloads.files.get, digest)
    return Response(masked(content, fields), media_type="application/json")


async def payload(call: Call, path: str, field: str) -> bytes:
    """What was put under a name, as a payload.

    Args:
        call: the request that refers to it.
        path: the name.
        field: of the request, for the message.

    Raises:
        ValidationFailed: nothing is there, or no JSON object.
    """
    try:
        found = await _find(call, path)
        if found is None:
            raise InvalidInput("nothing has been uploaded under this name")
        content = await asyncio.to_thread(found.read_bytes) if isinstance(found, Path) else found
        document = await asyncio.to_thread(decode, content)
    except InvalidInput as error:
        raise ValidationFailed([FieldError(field, error.message, path[:200])]) from error
    if not isinstance(document, dict):
        raise ValidationFailed([FieldError(field, "it holds no JSON object", path[:200])])
    return _encode(document)


async def _find(call: Call, path: str) -> Path | bytes | None:
    """An upload, or the bytes of a payload that some record refers to."""
    upload = call.house.uploads.find(path)
    if upload is not None:
        return upload
    digest = await _digest(call, path)
    if digest is None:
        return None
    return await asyncio.to_thread(call.house.engine.payloads.files.get, digest)


async def _digest(call: Call, path: str) -> bytes | None:
    """Which payload of some record a name means: one that a client gave, or one that is a digest."""
    read = call.house.engine.database.read
    digest = await read(lambda c: digest_of_path(c, path))
    named = digest_of(path.rpartition("/")[2].removesuffix(".json"))
    if digest is None and named is not None and await read(lambda c: is_needed(c, named)):
        return named
    return digest


def _check_ticket(call: Call, operation: str) -> None:
    expires, signature = call.text("exp", "") or "", call.text("sig", "") or ""
    now_ms = call.house.engine.clock.now_ms()
    call.house.tickets.check(operation, call.params["path"], expires, signature, now_ms)
