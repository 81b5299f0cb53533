"""Endpoints under ``/api/applications``: programs that speak to this device, and their keys.

Whoever manages an application can act as it, so nobody manages one that may do more than himself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from edge import tokens
from edge.api import answers
from edge.api.call import Call
from edge.clock import new_request_id
from edge.model.access import (
    Application,
    PostedName,
    checked_id,
    checked_roles,
    parse_access,
    permissions_of,
)
from edge.model.errors import AccessDenied
from edge.model.tags import merged, parse_tags, without
from edge.responses import Response
from edge.store import access
from edge.transactions import Transaction

T = TypeVar("T")


async def create(call: Call) -> Response:
    """Make an application; it has no role and no key yet."""
    name = await _posted_name(call)
    now_ms = call.house.engine.clock.now_ms()
    author = call.caller.id
    made = Application(new_request_id(), name, author, author, now_ms, now_ms)
    await _change(call, lambda t: access.put_application(t.connection, made))
    return answers.json(made)


async def every(call: Call) -> Response:
    """All applications."""
    return answers.json(await call.house.engine.database.read(access.read_applications))


async def get(call: Call) -> Response:
    """One application."""
    application = call.params["id"]
    return answers.json(
        await call.house.engine.database.read(lambda c: access.read_application(c, application))
    )


async def rename(call: Call) -> Response:
    """Give an application another name."""
    name, application = await _posted_name(call), call.params["id"]
    now_ms, author = call.house.engine.clock.now_ms(), call.caller.id

    def change(transaction: Transaction) -> Application:
        old = access.read_application(transaction.connection, application)
        new = msgspec.structs.replace(old, name=name, updated_by=author, update_time=now_ms)
        access.put_application(transaction.connection, new)
        return new

    return answers.json(await _change(call, change, application))


async def remove(call: Call) -> Response:
    """Delete an application with its keys; its tokens are void at once."""
    application = call.params["id"]
    await _change(call, lambda t: access.remove_application(t.connection, application), application)
    return answers.json({"message": f"Deleted application '{application}'"})


async def of_key(call: Call) -> Response:
    """The application that an access key belongs to."""
    key = call.params["key"]
    return answers.json(await call.house.engine.database.read(lambda c: access.owner_of(c, key)))


# Roles.


async def add_role(call: Call) -> Response:
    """Give an application a role."""
    return await _change_roles(call, lambda roles, role: [*roles, role])


async def remove_role(call: Call) -> Response:
    """Take a role away from an application."""
    return await _change_roles(call, lambda roles, role: [one for one in roles if one != role])


async def _change_roles(call: Call, change: Callable[[list[str], str], list[str]]) -> Response:
    application, role = call.params["id"], call.params["role"]
    custom = (await call.guard.directory()).custom
    checked_roles([role], custom)
    if not permissions_of([role], custom) <= call.caller.permissions:
        raise AccessDenied(f"{call.caller.name} may not grant {role}: it allows more than its own")

    def put(transaction: Transaction) -> None:
        old = access.application_roles(transaction.connection, application)
        roles = list(dict.fromkeys(change(old, role)))
        access.put_application_roles(transaction.connection, application, roles)

    await _change(call, put, application)
    return answers.void()


# Keys.


async def create_key(call: Call) -> Response:
    """Make an access key; its secret is in this answer and nowhere else."""
    application = call.params["id"]
    key, secret = new_request_id(), tokens.new_secret()
    salt, digest = await asyncio.to_thread(tokens.hashed, secret)
    now_ms = call.house.engine.clock.now_ms()
    await _change(
        call,
        lambda t: access.put_key(
            t.connection, application, key, salt=salt, digest=digest, now_ms=now_ms
        ),
        application,
    )
    return answers.json({"id": key, "secret": secret})


async def keys(call: Call) -> Response:
    """The access keys of an application, without their secrets."""
    application = call.params["id"]
    return answers.json(
        await call.house.engine.database.read(lambda c: access.read_keys(c, application))
    )


async def toggle_key(call: Call) -> Response:
    """Make an active access key inactive, or the other way round."""
    application, key = call.params["id"], call.params["key"]
    return answers.json(
        await _change(
            call, lambda t: access.toggle_key(t.connection, application, key), application
        )
    )


async def remove_key(call: Call) -> Response:
    """Delete an access key; tokens that were given for it are void at once."""
    application, key = call.params["id"], call.params["key"]
    await _change(call, lambda t: access.remove_key(t.connection, application, key), application)
    return answers.void()


# Tags.


async def tags(call: Call) -> Response:
    """The tags of an application."""
    application = call.params["id"]
    return answers.json(
        await call.house.engine.database.read(lambda c: access.application_tags(c, application))
    )


async def add_tags(call: Call) -> Response:
    """Put tags on an application; one with a key that is there takes its place."""
    application, posted = call.params["id"], parse_tags(await call.document([]))

    def put(transaction: Transaction) -> None:
        old = access.application_tags(transaction.connection, application)
        access.put_application_tags(transaction.connection, application, merged(old, posted))

    await _change(call, put, application)
    return answers.void()


async def remove_tags(call: Call) -> Response:
    """Take tags away from an application; those that are not there are not missed."""
    application, posted = call.params["id"], parse_tags(await call.document([]))

    def put(transaction: Transaction) -> None:
        old = access.application_tags(transaction.connection, application)
        access.put_application_tags(transaction.connection, application, without(old, posted))

    await _change(call, put, application)
    return answers.void()


async def _posted_name(call: Call) -> str:
    return checked_id("name", parse_access(await call.json_object(), PostedName).name)


async def _change(call: Call, change: Callable[[Transaction], T], application: str = "") -> T:
    """Change something in one transaction, if the caller may do all that the application may.

    Args:
        call: the request.
        change: what is written.
        application: that is changed; empty = none yet.
    """
    caller = call.caller

    def checked(transaction: Transaction) -> T:
        if application:
            known = access.read_directory(transaction.connection)
            theirs = permissions_of(known.roles.get(application, ()), known.custom)
            if not theirs <= caller.permissions:
                raise AccessDenied(f"{caller.name} may not manage what may do more than itself")
        return change(transaction)

    try:
        return await call.house.engine.request(checked)
    finally:
        call.guard.forget()
