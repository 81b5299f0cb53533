"""Which permission an operation needs: one literal table over methods and paths.

Who has which permission stands in ``edge.model.access``; nobody is asked for a token here.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from edge.model.access import Permission

_LOOK = frozenset({"GET", "HEAD"})
_CHANGE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ANY = _LOOK | _CHANGE

_VIEW = Permission.WORKFLOW_VIEW
_RUN = Permission.WORKFLOW_MANAGEMENT
_READ = Permission.METADATA_VIEW
_DEFINE = Permission.METADATA_MANAGEMENT
_WORK = Permission.TASK_EXECUTION
_SECRET = Permission.SECRET_MANAGEMENT
_APPLICATION = Permission.APPLICATION_MANAGEMENT
_PEOPLE = Permission.USER_MANAGEMENT


class Need(Enum):
    """What an operation asks for that needs no permission."""

    NOTHING = auto()
    """Nobody is asked who they are."""
    TOKEN = auto()
    """Any token will do."""


class Rule(NamedTuple):
    """What the operations below a path need."""

    methods: frozenset[str]
    path: str
    """Of the route table; ``*`` is any segment, a ``$`` at the end means: no more segments."""
    need: Permission | Need


RULES = [
    # For everybody: whether the device is well, and the way to a token.
    Rule(_LOOK, "api/health", Need.NOTHING),
    Rule(_LOOK, "api/version", Need.NOTHING),
    Rule(_CHANGE, "api/token$", Need.NOTHING),
    # Whoever has an address that was handed out.
    Rule(_ANY, "api/v1/payloads", Need.NOTHING),
    Rule(_ANY, "api/files/content", Need.NOTHING),
    # What workers do.
    Rule(_LOOK, "api/tasks/poll", _WORK),
    Rule(_CHANGE, "api/tasks$", _WORK),
    Rule(_CHANGE, "api/tasks/update-v2", _WORK),
    Rule(_CHANGE, "api/tasks/bulk$", _WORK),
    Rule(_CHANGE, "api/tasks/*/log", _WORK),
    Rule(_CHANGE, "api/tasks/*/ack", _WORK),
    Rule(_LOOK, "api/tasks/externalstoragelocation", _WORK),
    Rule(_LOOK, "api/tasks/external-storage-location", _WORK),
    Rule(_ANY, "api/files", _WORK),
    # Tasks and executions.
    Rule(_LOOK, "api/tasks", _VIEW),
    Rule(_CHANGE, "api/tasks", _RUN),
    Rule(frozenset({"POST"}), "api/workflow/*/correlated", _VIEW),
    Rule(frozenset({"POST"}), "api/workflow/correlated", _VIEW),
    Rule(frozenset({"POST"}), "api/workflow/bulk/search", _VIEW),
    Rule(_LOOK, "api/workflow/execute", _RUN),
    Rule(_LOOK, "api/workflow", _VIEW),
    Rule(_CHANGE, "api/workflow", _RUN),
    Rule(_LOOK, "api/queue", _VIEW),
    Rule(_CHANGE, "api/queue", _RUN),
    # Definitions of all kinds.
    Rule(_LOOK, "api/metadata", _READ),
    Rule(_CHANGE, "api/metadata", _DEFINE),
    Rule(_LOOK, "api/schema", _READ),
    Rule(_CHANGE, "api/schema", _DEFINE),
    Rule(_CHANGE, "api/event/handleIncomingEvent", _RUN),
    Rule(_LOOK, "api/event", _READ),
    Rule(_CHANGE, "api/event", _DEFINE),
    Rule(_LOOK, "api/scheduler/admin", Permission.ADMIN_MANAGEMENT),
    # Conductor's clients pause with a GET.
    Rule(_LOOK, "api/scheduler/schedules/*/pause", _DEFINE),
    Rule(_LOOK, "api/scheduler/schedules/*/resume", _DEFINE),
    Rule(_LOOK, "api/scheduler", _READ),
    Rule(_CHANGE, "api/scheduler", _DEFINE),
    Rule(_LOOK, "api/environment", _READ),
    Rule(_CHANGE, "api/environment", _DEFINE),
    # Secrets: that one exists is no secret, what it says is one.
    Rule(_LOOK, "api/secrets$", _READ),
    Rule(frozenset({"POST"}), "api/secrets$", _READ),
    Rule(_LOOK, "api/secrets-v2", _READ),
    Rule(_LOOK, "api/secrets/*/exists", _READ),
    Rule(_LOOK, "api/secrets/*/tags", _READ),
    Rule(_ANY, "api/secrets", _SECRET),
    # Who may do all this.
    Rule(_LOOK, "api/token/userInfo", Need.TOKEN),
    Rule(_ANY, "api/applications", _APPLICATION),
    Rule(_ANY, "api/users", _PEOPLE),
    Rule(_ANY, "api/groups", _PEOPLE),
    Rule(_ANY, "api/roles", _PEOPLE),
    Rule(_ANY, "api/auth", _PEOPLE),
    # The device itself: what the console shows.
    # It opens no more than whoever asks for it may look at.
    Rule(frozenset({"POST"}), "api/v1/view-token", Need.TOKEN),
    Rule(_LOOK, "api/v1", _VIEW),
    Rule(_ANY, "api", Permission.ADMIN_MANAGEMENT),
]
"""The first rule that fits counts. What no line names is for administrators."""


def need_of(method: str, pattern: str) -> Permission | Need:
    """What an operation of the route table needs; what is not below ``/api`` needs nothing."""
    segments = pattern.strip("/").split("/")
    for rule in RULES:
        if method in rule.methods and _fits(rule.path, segments):
            return rule.need
    return Need.NOTHING


def _fits(path: str, segments: list[str]) -> bool:
    whole = path.endswith("$")
    wanted = path.removesuffix("$").split("/")
    if len(wanted) > len(segments) or (whole and len(wanted) != len(segments)):
        return False
    return all(one in ("*", other) for one, other in zip(wanted, segments, strict=False))
