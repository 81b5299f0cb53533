"""What decisions ask of the device: secrets, variables, whether a payload fulfils a schema.

Nothing is decided here, and no secret is remembered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from edge.model.definitions import SchemaRef
from edge.model.errors import SecretUnreadable
from edge.model.payload_limits import PayloadLimits
from edge.schemas import Fault, Schemas
from edge.store import schemas, variables
from edge.vault import Vault

SECRETS_PREFIX = "CONDUCTOR_SECRET_"
ENVIRONMENT_PREFIX = "CONDUCTOR_ENV_"
"""Variables of the process that stand in for secrets and variables that nobody has stored, with the
names that Conductor gives them."""


class Lookups:
    """Answers what is kept on the device; one for each daemon, for any thread.

    Args:
        vault: opens secrets; None = only those of the process can be had.
        process: the variables of the process, as they were when it began.
        show_process: whether ``${NAME}`` means the process's variable of that name.
        limits: how large payloads may be; None = Conductor's defaults.
    """

    def __init__(
        self,
        vault: Vault | None = None,
        process: Mapping[str, str] | None = None,
        *,
        show_process: bool = True,
        limits: PayloadLimits | None = None,
    ) -> None:
        self.vault = vault
        self.schemas = Schemas()
        self.limits = limits or PayloadLimits()
        process = process or {}
        self.secrets = _with_prefix(process, SECRETS_PREFIX)
        """Secrets that the process was started with, by name."""
        self.variables = _with_prefix(process, ENVIRONMENT_PREFIX)
        """Environment variables that the process was started with, by name."""
        self.process = (
            # Under its own name a secret would be written into the input of a task.
            {k: v for k, v in process.items() if not k.startswith(SECRETS_PREFIX)}
            if show_process
            else {}
        )
        """What a whole expression may name."""

    def keep(self, connection: sqlite3.Connection, name: str, value: str, now_ms: int) -> None:
        """Seal a secret and keep it, in place of the one of that name.

        Raises:
            SecretUnreadable: there is no usable key.
            StorageUnavailable: the disk refused to keep a new key.
            InvalidInput: too many are kept already.
        """
        if self.vault is None:
            raise SecretUnreadable("This engine has no key for secrets; name one in its settings.")
        others = bool(variables.read_names(connection, variables.SECRETS))
        sealed = self.vault.seal(name, value, others=others)
        variables.put_secret(connection, name, sealed, now_ms)

    def at(self, connection: sqlite3.Connection) -> Here:
        """The answers as a connection sees them now."""
        return Here(self, connection)


class Here:
    """Answers through one connection, on its thread: the decider's ``Outside``."""

    def __init__(self, lookups: Lookups, connection: sqlite3.Connection) -> None:
        self._lookups = lookups
        self._connection = connection

    @property
    def limits(self) -> PayloadLimits:
        """How large payloads may be."""
        return self._lookups.limits

    def environment(self, name: str) -> str | None:
        """The value of an environment variable; the stored one wins over the process's."""
        found = variables.read_variable(self._connection, name)
        return self._lookups.variables.get(name) if found is None else found

    def process(self, name: str) -> str | None:
        """The value of a variable of the process."""
        return self._lookups.process.get(name)

    def secret(self, name: str) -> str | None:
        """A secret; the stored one wins over the process's.

        Raises:
            SecretUnreadable: it is kept, but cannot be opened.
        """
        sealed = variables.read_secret(self._connection, name)
        if sealed is None:
            return self._lookups.secrets.get(name)
        if self._lookups.vault is None:
            raise SecretUnreadable(f"The secret {name} is kept, but this engine has no key.")
        return self._lookups.vault.open(name, sealed)

    def faults(self, schema: SchemaRef, payload: Any) -> list[Fault]:
        """What is wrong with a payload by a schema."""
        # Steps that a definition does not hold may still only name theirs.
        return self._lookups.schemas.faults(schemas.whole(self._connection, schema), payload)


def _with_prefix(process: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        key.removeprefix(prefix): value
        for key, value in process.items()
        if key.startswith(prefix) and key != prefix and value
    }
