"""Endpoints under ``/api/environment``: variables that expressions read, in the clear.

What is nobody else's business belongs into a secret, not here.
"""

from __future__ import annotations

from edge.api import answers
from edge.api.call import Call
from edge.api.secrets import posted_text, put_tags_of, remove_tags_of, tags_of
from edge.model.errors import InvalidInput
from edge.model.variables import checked_name, checked_value
from edge.responses import Response
from edge.store import variables
from edge.store.variables import ENVIRONMENT


async def put(call: Call) -> Response:
    """Keep a variable, in place of the one of that name."""
    name = checked_name("environment variable", call.params["key"])
    value = checked_value("environment variable", name, await posted_text(call))
    now_ms = call.house.engine.clock.now_ms()
    await call.house.engine.request(
        lambda t: variables.put_variable(t.connection, name, value, now_ms)
    )
    return answers.void()


async def get(call: Call) -> Response:
    """The variable, as bare text."""
    name = call.params["key"]
    lookups = call.house.engine.lookups
    value = await call.house.engine.database.read(lambda c: lookups.at(c).environment(name))
    if value is None:
        raise variables.not_found(ENVIRONMENT, name)
    return answers.text(value)


async def every(call: Call) -> Response:
    """All variables with their values and tags."""
    engine = call.house.engine
    stored = await engine.database.read(variables.read_variables)
    tags = await engine.database.read(lambda c: variables.read_all_tags(c, ENVIRONMENT))
    values = engine.lookups.variables | stored
    return answers.json(
        [
            {"name": name, "value": values[name], "tags": tags.get(name, [])}
            for name in sorted(values)
        ]
    )


async def remove(call: Call) -> Response:
    """Forget a variable."""
    name = call.params["key"]
    stored = await call.house.engine.database.read(lambda c: variables.read_variable(c, name))
    if stored is None and name in call.house.engine.lookups.variables:
        raise InvalidInput(
            f"The environment variable {name} comes from the environment of the daemon's process; "
            "it is deleted there"
        )
    await call.house.engine.request(lambda t: variables.drop(t.connection, ENVIRONMENT, name))
    return answers.void()


async def get_tags(call: Call) -> Response:
    """The tags of a variable."""
    return await tags_of(call, ENVIRONMENT)


async def put_tags(call: Call) -> Response:
    """Put a list of tags in place of the ones that a variable has."""
    return await put_tags_of(call, ENVIRONMENT)


async def remove_tags(call: Call) -> Response:
    """Take a tag, or a list of tags, away from a variable; those that it has not are not missed."""
    return await remove_tags_of(call, ENVIRONMENT)
