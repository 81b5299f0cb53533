"""Every error that a caller of the engine can act on, with its HTTP status and a stable code.

No text of an answer is built elsewhere, and no transport is named here.

    BatonError
    ├── InvalidInput            400
    │   ├── ValidationFailed    400, names the fields
    │   └── SearchTooBroad      400
    ├── Unauthenticated         401
    │   ├── TokenInvalid        401
    │   ├── TokenExpired        401
    │   └── WrongCredentials    401
    ├── AccessDenied            403
    ├── NotFound                404
    ├── Conflict                409
    ├── PayloadTooLarge         413
    ├── IllegalState            500 (the status that Conductor answers with)
    ├── SecretUnreadable        500
    ├── PayloadLost             500
    ├── RowDamaged              500
    ├── Overloaded              429
    ├── RateLimited             429
    ├── NoPicture               503
    └── StorageUnavailable      503
        └── StorageFull         507
"""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field that was refused."""

    path: str
    """Where it stands, for example ``registerTaskDef.retryCount``."""
    message: str
    invalidValue: str | None = None  # noqa: N815 - the wire's name


class BatonError(Exception):
    """Head of the tree; never raised itself."""

    code = "baton_error"
    status = 500
    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def told(self) -> str:
        """All there is to say, where nothing but a text can be shown."""
        return self.message


class InvalidInput(BatonError):
    """The request says something that cannot be done. Correct the field that the message names."""

    code = "invalid_input"
    status = 400


class ValidationFailed(InvalidInput):
    """A definition or a request breaks rules; every broken one is listed in ``fields``."""

    code = "validation_failed"

    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__("Validation failed, check below errors for detail.")
        self.fields = fields

    @property
    def told(self) -> str:
        """The fields, each with what is wrong with it."""
        return "; ".join(f"{fault.path}: {fault.message}" for fault in self.fields)


class SearchTooBroad(InvalidInput):
    """A search did not come to its end in time. Narrow it by a name, a status or a time."""

    code = "search_too_broad"


class Unauthenticated(BatonError):
    """Who asks is not known. Ask for a token first, and send it as X-Authorization."""

    code = "unauthenticated"
    status = 401
    error = "INVALID_TOKEN"
    """The word that clients renew their token on."""


class TokenInvalid(Unauthenticated):
    """The token is missing, is none of this device's, or its key is gone. Ask for a new one."""

    code = "invalid_token"


class TokenExpired(Unauthenticated):
    """The token's time is over. Ask for a new one."""

    code = "expired_token"
    error = "EXPIRED_TOKEN"


class WrongCredentials(Unauthenticated):
    """Key id and secret do not belong together, or the key is inactive. Check both."""

    code = "wrong_credentials"
    error = "INVALID_CREDENTIALS"


class AccessDenied(BatonError):
    """None of the caller's roles allows this. An administrator can grant one that does."""

    code = "access_denied"
    status = 403


class NotFound(BatonError):
    """What the request names does not exist here. Check the name, the version or the id."""

    code = "not_found"
    status = 404


class Conflict(BatonError):
    """The thing exists already, or is in a state that forbids the request."""

    code = "conflict"
    status = 409


class PayloadTooLarge(BatonError):
    """The body is larger than the limit that the message names. Send a reference instead."""

    code = "payload_too_large"
    status = 413


class IllegalState(BatonError):
    """The execution is not in a state in which this can be done. Read it again, then decide."""

    code = "illegal_state"
    status = 500


class SecretUnreadable(BatonError):
    """A secret is kept, but its key is lost or another. Put the key back, or set it again."""

    code = "secret_unreadable"
    status = 500


class PayloadLost(BatonError):
    """The file of a large payload is gone or damaged. Put it back from a copy of the directory."""

    code = "payload_lost"
    status = 500


class RowDamaged(BatonError):
    """A record is not what was written: the storage has changed it. Look at the disk."""

    code = "row_damaged"
    status = 500

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"A record of {table!r} is damaged on the disk: {reason}.")
        self.table = table
        self.reason = reason


class Overloaded(BatonError):
    """More is waiting than the device can hold. Wait, then send the request again."""

    code = "overloaded"
    status = 429
    retryable = True

    def __init__(self, message: str, *, later_s: int = 1) -> None:
        super().__init__(message)
        self.later_s = later_s
        """Seconds after which it is worth asking again: a device mostly catches up within one."""


class RateLimited(BatonError):
    """As many executions are running as the workflow allows. Start it again when one has ended."""

    code = "rate_limited"
    status = 429
    retryable = True


class NoPicture(BatonError):
    """The camera delivers nothing at present. Look at how it is, then ask again."""

    code = "no_picture"
    status = 503
    retryable = True


class StorageUnavailable(BatonError):
    """The disk refused to write; nothing was acknowledged. Free space or check the disk, retry."""

    code = "storage_unavailable"
    status = 503
    retryable = True


class StorageFull(StorageUnavailable):
    """The disk is full; nothing new is begun until there is space. Free some, then send it again."""

    code = "storage_full"
    status = 507
