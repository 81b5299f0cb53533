"""Alerts in the ledger: rules, what they find, and what is to be told of it.

Nothing is sent here. A look at the rules compares what each finds with what is open, in one
transaction with the messages that come of it, so that a message is never lost and never made twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from sync import frames
from sync.control_plane import fleet, tally
from sync.control_plane.dialect import Connection, named_rows
from sync.control_plane.search_terms import QueryError, parse

SUBJECTS_LIMIT = 1_000
"""Of one rule that may be open at once; more of the same say nothing new."""
TOLD_LIMIT = 50
"""Subjects that one message names; of the rest it tells how many there are."""
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 300_000
GIVE_UP_MS = 24 * 3_600_000
"""After a day nobody waits for a message any more."""
_KEPT_MS = 30 * 24 * 3_600_000
"""Alerts and messages that are over are kept for so long."""
# A device's clock before this has never been set: Baton is younger.
_BORN_MS = 1_600_000_000_000

# By the newest word of the device on how far its clock is off.
_CLOCK_IS_OFF = (
    "EXISTS (SELECT 1 FROM clock WHERE clock.device_id = fleet.device_id"
    " AND clock.epoch = fleet.epoch AND ABS(clock.offset_ms) > :limit_of_rule"
    " AND clock.at_ms = (SELECT MAX(c.at_ms) FROM clock c"
    " WHERE c.device_id = fleet.device_id AND c.epoch = fleet.epoch))"
)

Kind = Literal["failure-rate", "silence", "lag", "disk", "clock", "duplicate-identity"]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)]


class RuleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is watched, and who is told."""

    kind: Kind
    """``failure-rate``: executions fail; ``silence``: a device was not heard of; ``lag``: a device
    is behind; ``disk``: a device has dropped history for want of room; ``clock``: a device's clock
    is wrong; ``duplicate-identity``: two devices speak under one name."""
    query: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    """Which devices are watched, in the words of the search box; empty = all of them."""
    channels: Annotated[list[str], msgspec.Meta(max_length=20)] = []
    """Names of channels."""
    for_s: Seconds = 0
    """How long it has to hold before it fires."""
    after_s: Seconds = 900
    """Of ``silence``: seconds without a word. Of ``clock``: seconds that it may be off."""
    records: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 10_000
    """Of ``lag``: records on the device. Of ``disk``: records that were dropped."""
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 20.0
    """Of ``failure-rate``."""
    least: Annotated[int, msgspec.Meta(ge=1, le=2**53)] = 5
    """Of ``failure-rate``: with fewer executions nothing is said."""
    hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 7)] = 1
    """Of ``failure-rate`` and ``duplicate-identity``: how far back is looked, to the full hour before."""
    by: Literal["workflow", "device"] = "workflow"
    """Of ``failure-rate``: whose executions are counted together."""
    enabled: bool = True


class Rule(msgspec.Struct, frozen=True):
    """A rule and its name."""

    tenant: str
    name: str
    body: RuleBody


class Channel(msgspec.Struct, frozen=True):
    """A way to tell somebody."""

    name: str
    kind: Literal["webhook", "email", "mqtt"]
    address: str
    """A web address, an e-mail address, a topic."""


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """Something that a rule has found."""

    alert_id: int
    rule: str
    subject: str
    """A device, or a workflow."""
    state: str
    """``pending`` (it does not hold for long enough yet), ``firing`` or ``resolved``."""
    since_ms: int
    fired_ms: int
    """0 = it has not fired."""
    resolved_ms: int
    """0 = it is open."""
    value: str
    """What was found, for people."""
    acknowledged_by: str


class Delivery(msgspec.Struct, frozen=True, rename="camel"):
    """One message on its way."""

    delivery_id: int
    channel: str
    message: Any
    created_ms: int
    due_ms: int
    attempts: int
    done_ms: int
    """0 = it is not done."""
    error: str
    """Of the last attempt that failed."""


class Due(msgspec.Struct, frozen=True):
    """A message to be sent now."""

    delivery_id: int
    channel: Channel
    message: bytes
    created_ms: int
    attempts: int


def evaluate(connection: Connection, *, now_ms: int) -> int:
    """Look at all rules; how many alerts have begun or ended."""
    changed = 0
    for rule in all_rules(connection):
        found = _found(connection, rule, now_ms) if rule.body.enabled else {}
        changed += _compare(connection, rule, found, now_ms)
    return changed


def _found(connection: Connection, rule: Rule, now_ms: int) -> dict[str, str]:
    """What a rule finds: subjects and what is the matter with each."""
    try:
        return dict(_look(connection, rule, now_ms))
    except QueryError as error:
        # A group that its query names has gone: that is what somebody has to know.
        return {"": f"the rule cannot be asked: {error.of('query')}"}


def _look(connection: Connection, rule: Rule, now_ms: int) -> Iterable[tuple[str, str]]:
    body = rule.body
    if body.kind == "failure-rate":
        return _failures(connection, rule, now_ms)
    values: dict[str, Any] = {"limit": SUBJECTS_LIMIT}
    terms = parse(body.query, fleet.FIELDS, now_ms=now_ms)
    watched = fleet.where(connection, rule.tenant, terms, values, now_ms=now_ms)
    match body.kind:
        case "silence":
            said = "fleet.last_seen_ms > 0 AND fleet.last_seen_ms < :limit_of_rule"
            values["limit_of_rule"] = now_ms - body.after_s * 1_000
            column, text = "last_seen_ms", "not heard of since {:%Y-%m-%d %H:%M:%S} UTC"
        case "lag":
            said, values["limit_of_rule"] = "fleet.backlog > :limit_of_rule", body.records
            column, text = "backlog", "{} records behind"
        case "disk":
            said, values["limit_of_rule"] = "fleet.missing > :limit_of_rule", body.records
            column, text = "missing", "{} records dropped before they were sent"
        case "clock":
            said = (
                "(fleet.synced_ms > fleet.last_seen_ms + :limit_of_rule"
                f" OR (fleet.synced_ms > 0 AND fleet.synced_ms < {_BORN_MS}) OR {_CLOCK_IS_OFF})"
            )
            values["limit_of_rule"] = body.after_s * 1_000
            column, text = "synced_ms", "its clock was at {:%Y-%m-%d %H:%M:%S} UTC"
        case _:
            said = (
                "EXISTS (SELECT 1 FROM notice WHERE notice.device_id = fleet.device_id"
                " AND notice.kind = :notice AND notice.last_ms > :limit_of_rule)"
            )
            values |= {
                "notice": frames.DUPLICATE,
                "limit_of_rule": now_ms - body.hours * tally.HOUR_MS,
            }
            column, text = "epoch", "another device speaks under this name (epoch {})"
    rows = connection.execute(
        f"SELECT fleet.device, fleet.{column} FROM fleet WHERE {watched} AND {said}"
        " ORDER BY fleet.device LIMIT :limit",
        values,
    ).fetchall()
    return [(device, _said(text, number)) for device, number in rows]


def _said(text: str, number: int) -> str:
    if "%Y" not in text:
        return text.format(number)
    from datetime import UTC, datetime

    # A device may say anything; the calendar ends somewhere.
    return text.format(datetime.fromtimestamp(min(number, 250_000_000_000_000) / 1_000, UTC))


def _failures(connection: Connection, rule: Rule, now_ms: int) -> Iterable[tuple[str, str]]:
    body, since_ms = rule.body, now_ms - rule.body.hours * tally.HOUR_MS
    if body.by == "workflow":
        counted = tally.failing(
            connection, tenant=rule.tenant, since_ms=since_ms, least=body.least,
            percent=body.percent, limit=SUBJECTS_LIMIT,
        )  # fmt: skip
    else:
        values: dict[str, Any] = {
            "since_ms": since_ms - since_ms % tally.HOUR_MS, "least_of_rule": body.least,
            "percent_of_rule": body.percent, "limit": SUBJECTS_LIMIT,
        }  # fmt: skip
        terms = parse(body.query, fleet.FIELDS, now_ms=now_ms)
        watched = fleet.where(connection, rule.tenant, terms, values, now_ms=now_ms)
        rows = connection.execute(
            "SELECT fleet.device, SUM(h.executions), SUM(h.failures) FROM device_hour h"
            " JOIN fleet ON fleet.device_id = h.device_id"
            f" WHERE h.hour_ms >= :since_ms AND {watched}"
            " GROUP BY fleet.device"
            " HAVING SUM(h.executions) >= :least_of_rule AND SUM(h.failures) > 0"
            " AND 100 * SUM(h.failures) >= :percent_of_rule * SUM(h.executions)"
            " ORDER BY fleet.device LIMIT :limit",
            values,
        ).fetchall()
        counted = [(device, int(many), int(failed)) for device, many, failed in rows]
    return [(name, f"{failed} of {many} executions failed") for name, many, failed in counted]


def _compare(connection: Connection, rule: Rule, found: dict[str, str], now_ms: int) -> int:
    """Hold what was found against what is open; how many alerts have begun or ended."""
    keys = {"tenant": rule.tenant, "rule": rule.name, "now_ms": now_ms}
    open_ones = {
        row["subject"]: row
        for row in named_rows(
            connection,
            "SELECT alert_id, subject, state, since_ms FROM alert"
            " WHERE tenant = :tenant AND rule = :rule AND state <> 'resolved'",
            keys,
        )
    }
    fired: list[tuple[str, str]] = []
    resolved: list[tuple[str, str]] = []
    for subject, value in found.items():
        row = open_ones.pop(subject, None)
        begun_ms = now_ms if row is None else row["since_ms"]
        fires = now_ms - begun_ms >= rule.body.for_s * 1_000
        state = "firing" if fires else "pending"
        values = keys | {"subject": subject, "value": value, "state": state}
        if row is None:
            connection.execute(
                "INSERT INTO alert (tenant, rule, subject, state, since_ms, fired_ms, resolved_ms,"
                " value) VALUES (:tenant, :rule, :subject, :state, :now_ms, :fired_ms, 0, :value)",
                values | {"fired_ms": now_ms if fires else 0},
            )
        elif row["state"] != state and fires:
            connection.execute(
                "UPDATE alert SET state = 'firing', fired_ms = :now_ms, value = :value"
                " WHERE alert_id = :alert_id",
                values | {"alert_id": row["alert_id"]},
            )
        if fires and (row is None or row["state"] == "pending"):
            fired.append((subject, value))
    # At the limit others may hold that were not looked at, and a rule that cannot be asked says
    # nothing of any of them: then nothing has ended.
    gone = open_ones if len(found) < SUBJECTS_LIMIT and "" not in found else {}
    for subject, row in gone.items():
        if row["state"] == "pending":
            connection.execute("DELETE FROM alert WHERE alert_id = ?", (row["alert_id"],))
            continue
        connection.execute(
            "UPDATE alert SET state = 'resolved', resolved_ms = :now_ms WHERE alert_id = :alert_id",
            {"now_ms": now_ms, "alert_id": row["alert_id"]},
        )
        resolved.append((subject, "it holds no more"))
    for state, subjects in (("firing", fired), ("resolved", resolved)):
        if subjects:
            _tell(connection, rule, state, subjects, now_ms)
    return len(fired) + len(resolved)


def _tell(
    connection: Connection, rule: Rule, state: str, subjects: list[tuple[str, str]], now_ms: int
) -> None:
    """Make one message for all that have changed alike: a storm is one message, not a thousand."""
    message = {
        "tenant": rule.tenant,
        "rule": rule.name,
        "kind": rule.body.kind,
        "state": state,
        "at": now_ms,
        "count": len(subjects),
        "subjects": [
            {"subject": subject, "value": value} for subject, value in subjects[:TOLD_LIMIT]
        ],
    }
    for channel in rule.body.channels:
        enqueue(connection, rule.tenant, channel, message, now_ms=now_ms)


def enqueue(
    connection: Connection, tenant: str, channel: str, message: Any, *, now_ms: int
) -> None:
    """Put a message on its way."""
    connection.execute(
        "INSERT INTO alert_delivery (tenant, channel, message, created_ms, due_ms)"
        " VALUES (:tenant, :channel, :message, :now_ms, :now_ms)",
        {
            "tenant": tenant, "channel": channel, "now_ms": now_ms,
            "message": msgspec.json.encode(message).decode(),
        },
    )  # fmt: skip


def due(connection: Connection, *, now_ms: int, limit: int = 20) -> list[Due]:
    """Messages to be sent now; those whose channel is gone are not among them."""
    rows = named_rows(
        connection,
        "SELECT d.delivery_id, d.message, d.created_ms, d.attempts, c.name, c.kind, c.address"
        " FROM alert_delivery d JOIN alert_channel c ON c.tenant = d.tenant AND c.name = d.channel"
        " WHERE d.done_ms = 0 AND d.due_ms <= :now_ms ORDER BY d.due_ms, d.delivery_id LIMIT :limit",
        {"now_ms": now_ms, "limit": limit},
    )
    return [
        Due(
            row["delivery_id"], Channel(row["name"], row["kind"], row["address"]),
            row["message"].encode(), row["created_ms"], row["attempts"],
        )
        for row in rows
    ]  # fmt: skip


def note_attempt(connection: Connection, one: Due, error: str, *, now_ms: int) -> None:
    """Note how an attempt went; "" = well. What fails is tried again, for a day."""
    attempts = one.attempts + 1
    pause_ms = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(attempts, 10))
    over = not error or now_ms - one.created_ms > GIVE_UP_MS
    connection.execute(
        "UPDATE alert_delivery SET attempts = :attempts, error = :error, due_ms = :due_ms,"
        " done_ms = :done_ms WHERE delivery_id = :delivery_id",
        {
            "attempts": attempts, "error": error, "due_ms": now_ms + pause_ms,
            "done_ms": now_ms if over else 0, "delivery_id": one.delivery_id,
        },
    )  # fmt: skip


def trim(connection: Connection, *, now_ms: int) -> None:
    """Remove alerts that are long over, and old messages, however they went."""
    keys = {"before_ms": now_ms - _KEPT_MS}
    for statement in (
        "DELETE FROM alert WHERE state = 'resolved' AND resolved_ms < :before_ms",
        "DELETE FROM alert_delivery WHERE created_ms < :before_ms",
    ):
        connection.execute(statement, keys)


# Rules, channels and lists.


def all_rules(connection: Connection, tenant: str | None = None) -> list[Rule]:
    """Rules by name; tenant None = of all tenants."""
    where = "" if tenant is None else " WHERE tenant = :tenant"
    rows = connection.execute(
        f"SELECT tenant, name, document FROM alert_rule{where} ORDER BY tenant, name",
        {"tenant": tenant},
    ).fetchall()
    return [Rule(row[0], row[1], msgspec.json.decode(row[2], type=RuleBody)) for row in rows]


def put_rule(connection: Connection, rule: Rule) -> None:
    """Make a rule, or change one that is there."""
    connection.execute(
        "INSERT INTO alert_rule (tenant, name, document) VALUES (:tenant, :name, :document)"
        " ON CONFLICT (tenant, name) DO UPDATE SET document = :document",
        {
            "tenant": rule.tenant, "name": rule.name,
            "document": msgspec.json.encode(rule.body).decode(),
        },
    )  # fmt: skip


def remove_rule(connection: Connection, tenant: str, name: str, *, now_ms: int) -> bool:
    """Take a rule away and end its alerts; False when there is none of this name."""
    keys = {"tenant": tenant, "name": name, "now_ms": now_ms}
    found = [one for one in all_rules(connection, tenant) if one.name == name]
    if not found:
        return False
    connection.execute("DELETE FROM alert_rule WHERE tenant = :tenant AND name = :name", keys)
    connection.execute(
        "UPDATE alert SET state = 'resolved', resolved_ms = :now_ms"
        " WHERE tenant = :tenant AND rule = :name AND state <> 'resolved'",
        keys,
    )
    return True


def channels(connection: Connection, tenant: str) -> list[Channel]:
    """Channels by name."""
    rows = connection.execute(
        "SELECT name, kind, address FROM alert_channel WHERE tenant = ? ORDER BY name", (tenant,)
    ).fetchall()
    return [Channel(*row) for row in rows]


def put_channel(connection: Connection, tenant: str, channel: Channel) -> None:
    """Make a channel, or change one that is there."""
    connection.execute(
        "INSERT INTO alert_channel (tenant, name, kind, address)"
        " VALUES (:tenant, :name, :kind, :address)"
        " ON CONFLICT (tenant, name) DO UPDATE SET kind = :kind, address = :address",
        {"tenant": tenant} | msgspec.structs.asdict(channel),
    )


def remove_channel(connection: Connection, tenant: str, name: str) -> None:
    """Take a channel away, with the messages that wait for it."""
    connection.execute(
        "DELETE FROM alert_delivery WHERE tenant = ? AND channel = ? AND done_ms = 0",
        (tenant, name),
    )
    connection.execute("DELETE FROM alert_channel WHERE tenant = ? AND name = ?", (tenant, name))


def listed(
    connection: Connection, tenant: str, *, state: str | None, after: int | None, limit: int
) -> list[Alert]:
    """Alerts, newest first."""
    said = "tenant = :tenant"
    said += " AND state = :state" if state else ""
    said += " AND alert_id < :after" if after else ""
    rows = named_rows(
        connection,
        "SELECT alert_id, rule, subject, state, since_ms, fired_ms, resolved_ms, value,"
        f" acknowledged_by FROM alert WHERE {said} ORDER BY alert_id DESC LIMIT :limit",
        {"tenant": tenant, "state": state, "after": after, "limit": limit},
    )
    return [Alert(**row) for row in rows]


def acknowledge(connection: Connection, tenant: str, alert_id: int, who: str) -> bool:
    """Note that somebody looks after an alert; False when there is none of this number."""
    keys = {"tenant": tenant, "alert_id": alert_id, "who": who}
    changed = connection.execute(
        "UPDATE alert SET acknowledged_by = :who WHERE tenant = :tenant AND alert_id = :alert_id",
        keys,
    )
    return changed.rowcount > 0


def deliveries(connection: Connection, tenant: str, *, limit: int) -> list[Delivery]:
    """The newest messages."""
    rows = named_rows(
        connection,
        "SELECT delivery_id, channel, message, created_ms, due_ms, attempts, done_ms, error"
        " FROM alert_delivery WHERE tenant = :tenant ORDER BY delivery_id DESC LIMIT :limit",
        {"tenant": tenant, "limit": limit},
    )
    return [Delivery(**(row | {"message": msgspec.json.decode(row["message"])})) for row in rows]


def firing(connection: Connection) -> int:
    """How many alerts are firing, of all tenants."""
    found = connection.execute("SELECT COUNT(*) FROM alert WHERE state = 'firing'").fetchone()
    return int(found[0])
