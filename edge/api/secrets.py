"""Endpoints under ``/api/secrets``: kept sealed, read by those who may use this API, listed by name.

Nothing is sealed or opened here; that does the vault.
"""

from __future__ import annotations

import contextlib

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.model.errors import InvalidInput
from edge.model.tags import without
from edge.model.variables import checked_name, checked_tags, checked_value
from edge.responses import Response
from edge.store import variables
from edge.store.variables import SECRETS
from edge.transactions import Transaction


async def put(call: Call) -> Response:
    """Keep a secret, in place of the one of that name."""
    name = checked_name("secret", call.params["key"])
    value = checked_value("secret", name, await posted_text(call))
    engine = call.house.engine
    now_ms = engine.clock.now_ms()
    await engine.request(lambda t: engine.lookups.keep(t.connection, name, value, now_ms))
    return answers.void()


async def get(call: Call) -> Response:
    """The secret, as bare text."""
    name = call.params["key"]
    lookups = call.house.engine.lookups
    value = await call.house.engine.database.read(lambda c: lookups.at(c).secret(name))
    if value is None:
        raise variables.not_found(SECRETS, name)
    response = answers.text(value)
    # No proxy and no browser may keep it.
    response.add({"Cache-Control": "no-store"})
    return response


async def exists(call: Call) -> Response:
    """Whether there is a secret of this name; its key is not needed for that."""
    return answers.json(call.params["key"] in await _names(call))


async def names(call: Call) -> Response:
    """The names of all secrets."""
    return answers.json(await _names(call))


async def with_tags(call: Call) -> Response:
    """The names of all secrets with their tags."""
    tags = await call.house.engine.database.read(lambda c: variables.read_all_tags(c, SECRETS))
    found = await _names(call)
    return answers.json([{"name": name, "tags": tags.get(name, [])} for name in found])


async def remove(call: Call) -> Response:
    """Forget a secret."""
    name = call.params["key"]
    if name in call.house.engine.lookups.secrets and name not in await _stored(call):
        raise InvalidInput(
            f"The secret {name} comes from the environment of the daemon's process; "
            "it is deleted there"
        )
    await call.house.engine.request(lambda t: variables.drop(t.connection, SECRETS, name))
    return answers.void()


async def clear_cache(_: Call) -> Response:
    """Nothing has to be cleared: no secret stays in memory."""
    return answers.json({})


async def get_tags(call: Call) -> Response:
    """The tags of a secret."""
    return await tags_of(call, SECRETS)


async def put_tags(call: Call) -> Response:
    """Put a list of tags in place of the ones that a secret has."""
    return await put_tags_of(call, SECRETS)


async def remove_tags(call: Call) -> Response:
    """Take a tag, or a list of tags, away from a secret; those that it has not are not missed."""
    return await remove_tags_of(call, SECRETS)


async def _stored(call: Call) -> list[str]:
    return await call.house.engine.database.read(lambda c: variables.read_names(c, SECRETS))


async def _names(call: Call) -> list[str]:
    return sorted({*await _stored(call), *call.house.engine.lookups.secrets})


# What secrets and environment variables have in common.


async def posted_text(call: Call) -> str:
    """A value as it was meant: bare, or as a JSON text with or without its quotation marks.

    Clients of Python post the inside of a JSON text, those of JavaScript a whole one, those of Java
    and Go the bare value; all but the last two call it JSON.

    Raises:
        InvalidInput: it is no UTF-8.
    """
    body = await call.body()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The value is no UTF-8 (byte {error.start})") from error
    if "json" in (call.header(b"content-type") or ""):
        for quoted in _as_json_text(body):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(quoted, type=str)
    return text


def _as_json_text(body: bytes) -> list[bytes]:
    """What a body may have been before a client took quotation marks away from its ends."""
    if body[:1] == b'"':
        return [body]
    # A value that ended in a quotation mark has lost that one too, and shows its backslash.
    return [b'"%b"' % body, b'"%b""' % body] if b"\\" in body else []


async def tags_of(call: Call, table: str) -> Response:
    """The tags of one."""
    name = call.params["key"]
    return answers.json(
        await call.house.engine.database.read(lambda c: variables.read_tags(c, table, name))
    )


async def put_tags_of(call: Call, table: str) -> Response:
    """Put these tags in place of the ones there are."""
    name, tags = call.params["key"], checked_tags(await call.json_list())
    await call.house.engine.request(lambda t: variables.put_tags(t.connection, table, name, tags))
    return answers.void()


async def remove_tags_of(call: Call, table: str) -> Response:
    """Take these tags away; the ones that are not there are not missed."""
    name, document = call.params["key"], await call.document([])
    gone = checked_tags(document if isinstance(document, list) else [document])

    def change(transaction: Transaction) -> None:
        there = variables.read_tags(transaction.connection, table, name)
        variables.put_tags(transaction.connection, table, name, without(there, gone))

    await call.house.engine.request(change)
    return answers.void()
