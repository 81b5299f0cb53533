"""Secrets and variables of a device: what is stored wins over what the process was started with."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.lookups import Here, Lookups
from edge.model.definitions import SchemaRef
from edge.model.errors import SecretUnreadable
from edge.model.schemas import SchemaDefinition
from edge.store import schemas, variables
from edge.store.migrations import migrate
from edge.vault import Vault

PROCESS = {
    "CONDUCTOR_SECRET_TOKEN": "from-process",
    "CONDUCTOR_ENV_REGION": "north",
    "CONDUCTOR_SECRET_": "no name",
    "CONDUCTOR_ENV_EMPTY": "",
    "NETFLIX_STACK": "test",
    "HOME": "/root",
}


def _here(lookups: Lookups) -> Here:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return lookups.at(connection)


def test_the_process_stands_in_for_what_nobody_stored(tmp_path: Path) -> None:
    """By the names that Conductor gives its variables; a stored value wins."""
    lookups = Lookups(Vault(tmp_path / "key"), PROCESS)
    here = _here(lookups)

    assert "from-process" == here.secret("TOKEN")
    assert "north" == here.environment("REGION")
    assert here.environment("EMPTY") is None and here.secret("") is None
    lookups.keep(here._connection, "TOKEN", "stored", 1)
    variables.put_variable(here._connection, "REGION", "south", 1)
    assert "stored" == here.secret("TOKEN")
    assert "south" == here.environment("REGION")


def test_variables_of_the_process_have_their_own_names(tmp_path: Path) -> None:
    """All but the secrets: under its own name one would be written into an input."""
    here = _here(Lookups(None, PROCESS))

    assert "test" == here.process("NETFLIX_STACK")
    assert "north" == here.process("CONDUCTOR_ENV_REGION")
    assert here.process("CONDUCTOR_SECRET_TOKEN") is None
    assert _here(Lookups(None, PROCESS, show_process=False)).process("HOME") is None


def test_without_a_vault_nothing_is_kept_or_opened() -> None:
    """An engine that was given no key says so."""
    lookups = Lookups()
    here = _here(lookups)

    assert here.secret("TOKEN") is None
    with pytest.raises(SecretUnreadable, match="no key"):
        lookups.keep(here._connection, "TOKEN", "v", 1)
    variables.put_secret(here._connection, "TOKEN", variables.Sealed(b"k", bytes(12), b"s"), 1)
    with pytest.raises(SecretUnreadable, match="no key"):
        here.secret("TOKEN")


def test_a_lost_key_is_noticed_before_a_second_is_made(tmp_path: Path) -> None:
    """When the last secret is gone, a new key may be made."""
    lookups = Lookups(Vault(tmp_path / "key"))
    here = _here(lookups)
    lookups.keep(here._connection, "a", "one", 1)
    (tmp_path / "key").unlink()

    with pytest.raises(SecretUnreadable):
        lookups.keep(here._connection, "b", "two", 2)
    variables.drop(here._connection, variables.SECRETS, "a")
    lookups.keep(here._connection, "b", "two", 3)
    assert "two" == here.secret("b")


def test_a_schema_that_is_only_named_is_looked_up() -> None:
    """Steps that a definition does not hold bring such names along."""
    here = _here(Lookups())
    named = SchemaRef("s")
    assert [("", "the schema s is not registered")] == here.faults(named, {})
    schema = SchemaDefinition("s", data={"required": ["n"]})
    schemas.put_schema(here._connection, schema, 1, new_version=False)

    assert [("", '"n" is a required property')] == here.faults(named, {})
    assert [] == here.faults(named, {"n": 1})
