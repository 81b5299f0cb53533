"""Schedules: what is refused, which ticks follow, what becomes of missed ones, what a tick asks for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from edge.model.errors import InvalidInput
from edge.model.schedules import (
    CATCH_UP_TICKS,
    LATE_TICKS,
    Schedule,
    Tick,
    kept_request,
    missed,
    next_tick,
    parse_schedule,
    read_zone,
    start_request,
)

_NOON_MS = 1_700_049_600_000
"""2023-11-15 12:00 UTC."""
_HOUR_MS = 3_600_000
_REQUEST = {"name": "flow"}


def _schedule(**fields: Any) -> Schedule:
    document = {
        "name": "s", "cronExpression": "0 0 * * * *", "startWorkflowRequest": _REQUEST, **fields,
    }  # fmt: skip
    return parse_schedule(document)


def _cron(expression: str, zone_id: str | None = None) -> dict[str, str | None]:
    return {"cronExpression": expression, "zoneId": zone_id}


def _ticks(schedule: Schedule, after_ms: int, times: int) -> list[int]:
    """Moments after a moment, relative to it."""
    found: list[int] = []
    moment_ms = after_ms
    while len(found) < times and (tick := next_tick(schedule, moment_ms)) is not None:
        moment_ms = tick.moment_ms
        found.append(moment_ms - after_ms)
    return found


# What is posted.


def test_defaults() -> None:
    """Nulls count as absent; the zone is UTC, and missed ticks are dropped."""
    schedule = _schedule(zoneId=None, paused=None, description=None, cronSchedules=None, tags=None)

    assert ("UTC", False, False, [], []) == (
        schedule.zone_id,
        schedule.paused,
        schedule.run_catchup_schedule_instances,
        schedule.cron_schedules,
        schedule.tags,
    )
    assert "flow" == schedule.workflow


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "name: Schedule name is required"),
        ({"name": None}, "name: Schedule name is required"),
        ({"name": "n" * 256}, "name: may hold 255 characters"),
        ({"name": "search"}, "name: 'search' stands for something else"),
        ({"cronExpression": None}, "cronExpression: is required"),
        ({"cronExpression": ""}, "cronExpression: is required"),
        ({"cronSchedules": [{}]}, "cronSchedules[0].cronExpression: Invalid cron expression"),
        ({"cronExpression": "0 0 24 * * *"}, "cronExpression: Invalid cron expression '0 0 24"),
        ({"cronExpression": "0 0 24 * * *"}, "hours: 24 must be within 0-23"),
        ({"cronExpression": "0 0 * * *"}, "must consist of 6 fields (found 5"),
        ({"cronExpression": 5}, "cronExpression"),
        ({"zoneId": "Mars/Olympus"}, "zoneId: there is no time zone 'Mars/Olympus'"),
        ({"zoneId": "+25:00"}, "zoneId: there is no time zone '+25:00'"),
        ({"zoneId": "../etc"}, "zoneId: there is no time zone"),
        (
            {"cronSchedules": [_cron("@daily"), _cron("x", "y")]},
            "cronSchedules[1].cronExpression: Invalid cron expression 'x'",
        ),
        (
            {"cronSchedules": [_cron("@daily", "y")]},
            "cronSchedules[0].zoneId: there is no time zone 'y'",
        ),
        ({"cronSchedules": [_cron("@daily")] * 51}, "cronSchedules: a schedule may have 50"),
        ({"scheduleStartTime": -1}, "scheduleStartTime: -1 is no time"),
        ({"scheduleEndTime": 10**18}, "scheduleEndTime: 1000000000000000000 is no time"),
        (
            {"scheduleStartTime": 2, "scheduleEndTime": 1},
            "scheduleEndTime: must not be earlier than scheduleStartTime",
        ),
        ({"startWorkflowRequest": None}, "startWorkflowRequest: is required"),
        ({"startWorkflowRequest": {"version": 1}}, "startWorkflowRequest.name: "),
        ({"startWorkflowRequest": {"name": [5]}}, "startWorkflowRequest: Cannot read"),
        ({"startWorkflowRequest": {"name": "f", "priority": 100}}, "startWorkflowRequest.priority"),
        (
            {"startWorkflowRequest": {"name": "f", "input": {"x": "x" * 1024 * 1024}}},
            "startWorkflowRequest: may hold 1048576 bytes",
        ),
        ({"tags": [{"key": "k"}] * 101}, "tags: a schedule may have 100 tags"),
        ({"paused": "perhaps"}, "paused"),
        ({"cronSchedules": {"a": 1}}, "cronSchedules"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], words: str) -> None:
    """The message names the field, and says what would be right."""
    with pytest.raises(InvalidInput) as refused:
        _schedule(**fields)

    assert words in refused.value.message


def test_all_faults_are_told_at_once() -> None:
    """Nobody corrects one to find the next."""
    with pytest.raises(InvalidInput) as refused:
        _schedule(name="", cronExpression="x", startWorkflowRequest={})

    assert 3 == len(refused.value.message.split("; "))


def test_a_bottomless_schedule_is_refused() -> None:
    """Nesting that Python cannot follow is an error of the client."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="nested too deeply"):
        _schedule(startWorkflowRequest={"name": "f", "taskToDomain": deep})


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("UTC", 0), ("Z", 0), ("GMT", 0), ("Asia/Tokyo", 9), ("+02:00", 2), ("-0330", -3.5),
        ("GMT+2", 2), ("UTC-03:00", -3), ("UT+1", 1), ("Etc/GMT+5", -5),
    ],
)  # fmt: skip
def test_zones(name: str, hours: float) -> None:
    """Names, and the offsets that Java writes."""
    moment = dt.datetime(2024, 1, 1, tzinfo=read_zone(name))

    assert dt.timedelta(hours=hours) == moment.utcoffset()


def test_an_empty_text_is_as_good_as_none() -> None:
    """Forms send one for a field that nobody filled in."""
    schedule = _schedule(zoneId="", cronExpression="", cronSchedules=[_cron("@daily", "")])
    tick = next_tick(schedule, _NOON_MS)

    assert tick is not None
    assert "UTC" == tick.zone_id


# Ticks.


def test_several_expressions_are_one_series() -> None:
    """The earliest comes next, and a moment that two of them mean comes once."""
    schedule = _schedule(
        cronSchedules=[
            _cron("0 0 */2 * * *", "UTC"), _cron("0 0 */3 * * *"), _cron("0 0 9 * * *", "-06:00"),
        ]
    )  # fmt: skip
    hours = [moment / _HOUR_MS for moment in _ticks(schedule, _NOON_MS, 5)]

    # 14 and 15 o'clock; 15 is also 9 o'clock six hours west; 16, 18 by both, 20.
    assert [2, 3, 4, 6, 8] == hours
    tick = next_tick(schedule, _NOON_MS)
    assert Tick(_NOON_MS + 2 * _HOUR_MS, "0 0 */2 * * *", "UTC") == tick


def test_one_of_several_without_a_zone_is_in_utc() -> None:
    """As in Conductor, the schedule's own zone is for its own expression."""
    schedule = _schedule(zoneId="Asia/Tokyo", cronSchedules=[_cron("0 0 13 * * *")])

    assert [_HOUR_MS] == _ticks(schedule, _NOON_MS, 1)


def test_start_and_end_belong_to_it() -> None:
    """A tick exactly at either happens; none is before or behind."""
    schedule = _schedule(
        scheduleStartTime=_NOON_MS + 2 * _HOUR_MS, scheduleEndTime=_NOON_MS + 4 * _HOUR_MS
    )

    assert [2, 3, 4] == [moment / _HOUR_MS for moment in _ticks(schedule, _NOON_MS, 9)]


# Missed ticks. next_ms is noon; the schedule is hourly; it is three ticks later.

_LATER_MS = _NOON_MS + 3 * _HOUR_MS + 5_000


def test_missed_ticks_are_dropped() -> None:
    """Noon, 13 and 14 o'clock came while the device was off; 15 o'clock did not."""
    passed = missed(_schedule(), _NOON_MS, _LATER_MS, _NOON_MS + 3 * _HOUR_MS - 1_000)

    assert 3 == passed.dropped
    tick = next_tick(_schedule(), passed.after_ms)
    assert tick is not None and _NOON_MS + 3 * _HOUR_MS == tick.moment_ms


def test_a_device_that_was_busy_has_missed_nothing() -> None:
    """What came due while it was on runs late."""
    passed = missed(_schedule(), _NOON_MS, _LATER_MS, _NOON_MS - 1)

    assert (_NOON_MS - 1, 0) == (passed.after_ms, passed.dropped)


def test_a_device_that_cannot_keep_up_lets_old_ticks_go() -> None:
    """Of more than a handful of late ticks only the newest run."""
    schedule = _schedule(cronExpression="* * * * * *")
    passed = missed(schedule, _NOON_MS, _NOON_MS + 59_500, _NOON_MS - 1)

    assert 60 - LATE_TICKS == passed.dropped
    assert _NOON_MS + (59 - LATE_TICKS) * 1_000 == passed.after_ms


def test_missed_ticks_are_caught_up_with() -> None:
    """All of them, when the schedule says so."""
    schedule = _schedule(runCatchupScheduleInstances=True)
    passed = missed(schedule, _NOON_MS, _LATER_MS, _LATER_MS)

    assert (_NOON_MS - 1, 0) == (passed.after_ms, passed.dropped)


def test_catching_up_has_a_limit() -> None:
    """Of a week of seconds the newest run; how many do not is known to the tick."""
    schedule = _schedule(cronExpression="* * * * * *", runCatchupScheduleInstances=True)
    week_ms = 7 * 24 * _HOUR_MS
    passed = missed(schedule, _NOON_MS, _NOON_MS + week_ms, _NOON_MS + week_ms)

    assert week_ms // 1000 + 1 - CATCH_UP_TICKS == passed.dropped
    assert _NOON_MS + week_ms - CATCH_UP_TICKS * 1_000 == passed.after_ms


def test_what_was_missed_before_the_end_is_caught_up_with_after_it() -> None:
    """The end is compared with the tick; dropped ones are counted up to the end."""
    fields = {"scheduleEndTime": _NOON_MS + 1 * _HOUR_MS, "scheduleStartTime": _NOON_MS - 1}
    late = missed(
        _schedule(runCatchupScheduleInstances=True, **fields), _NOON_MS, _LATER_MS, _LATER_MS
    )
    dropped = missed(_schedule(**fields), _NOON_MS, _LATER_MS, _LATER_MS)

    assert (_NOON_MS - 1, 0) == (late.after_ms, late.dropped)
    assert 2 == dropped.dropped
    assert next_tick(_schedule(**fields), dropped.after_ms) is None


# What a tick asks for.


def test_the_input_says_where_it_comes_from() -> None:
    """Five keys are added to what was posted, whose own keys stay."""
    schedule = _schedule(
        createdBy="ada",
        startWorkflowRequest={
            "name": "flow", "version": 2, "input": {"a": None, "b": [1]}, "correlationId": "c",
            "priority": 7, "taskToDomain": {"*": "d"}, "idempotencyKey": "k",
            "idempotencyStrategy": "FAIL_ON_RUNNING", "event": "e",
        },
    )  # fmt: skip
    request = start_request(schedule, Tick(5_000, "@daily", "Asia/Tokyo"), "id", 6_000)

    assert {
        "a": None,
        "b": [1],
        "_startedByScheduler": "s",
        "_scheduledTime": 5_000,
        "_executedTime": 6_000,
        "_executionId": "id",
        "_schedulerCron": "@daily Asia/Tokyo",
    } == msgspec.json.decode(request.input)
    assert ("flow", 2, "c", 7, {"*": "d"}, "ada", "e", "k", "FAIL_ON_RUNNING", None) == (
        request.name, request.version, request.correlation_id, request.priority,
        request.task_to_domain, request.created_by, request.event, request.idempotency_key,
        request.idempotency_strategy, request.definition,
    )  # fmt: skip


def test_a_definition_may_come_along() -> None:
    """It runs under the request's name, without being registered; version 0 is the latest."""
    schedule = _schedule(
        startWorkflowRequest={
            "name": "inline", "version": 0,
            "workflowDef": {"tasks": [{"name": "t", "taskReferenceName": "t", "type": "HUMAN"}]},
        }
    )  # fmt: skip
    request = start_request(schedule, Tick(1, "@daily", "UTC"), "id", 1)

    assert request.version is None
    assert request.definition is not None
    assert "inline" == request.definition.name
    assert ["t"] == [task.task_reference_name for task in request.definition.tasks]


def test_a_definition_that_is_none_is_told() -> None:
    """A tick fails by its name like any other that cannot start anything."""
    schedule = _schedule(startWorkflowRequest={"name": "inline", "workflowDef": {"tasks": 5}})

    with pytest.raises(InvalidInput, match="Cannot read the workflow definition: .*tasks"):
        start_request(schedule, Tick(1, "@daily", "UTC"), "id", 1)


def test_a_large_request_is_not_kept_with_each_tick() -> None:
    """A small one is kept as it is, of a large one what it starts."""
    small = {"name": "flow", "input": {"x": 1}}
    large = {"name": "flow", "version": 3, "input": {"x": "x" * 5_000}}

    assert small == msgspec.json.decode(kept_request(_schedule(startWorkflowRequest=small)))
    assert {"name": "flow", "version": 3} == msgspec.json.decode(
        kept_request(_schedule(startWorkflowRequest=large))
    )


def test_ticks_depend_on_nothing_else() -> None:
    """Name, description, tags and what is started may change without moving a tick."""
    one = _schedule()
    same = _schedule(name="t", description="d", startWorkflowRequest={"name": "other"})

    assert one.timing() == same.timing()
    for fields in (
        {"cronExpression": "@daily"},
        {"zoneId": "Asia/Tokyo"},
        {"scheduleStartTime": 1},
        {"scheduleEndTime": 1},
        {"runCatchupScheduleInstances": True},
        {"cronSchedules": [_cron("@daily")]},
    ):
        assert one.timing() != _schedule(**fields).timing()
