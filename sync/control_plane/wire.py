"""What the ledger's views look like as the JSON of the control plane's API.

No request is read and nothing is asked of the ledger here. An execution has Conductor's field
names, so that the same pages and the same clients can read a device's API and this one.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sync.control_plane.execution_search import STATUSES
from sync.control_plane.views import (
    Change,
    EvidenceView,
    ExecutionRow,
    ExecutionView,
    LagReport,
    Summary,
    TaskView,
)


class Recent(msgspec.Struct, frozen=True):
    """What a device has done lately."""

    executions: int = 0
    failures: int = 0
    partial: bool = False
    """True when counting stopped at its limit: there are at least so many."""


class Standing(msgspec.Struct, frozen=True):
    """How things stand, for the metrics."""

    states: dict[str, int]
    """Devices by state."""
    orders_open: int
    alerts_firing: int
    messages_waiting: int


def camel(name: str) -> str:
    """``last_seen_ms`` as ``lastSeenMs``."""
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def _fields(view: msgspec.Struct) -> dict[str, Any]:
    """The fields of a view under their JSON names; what is inside a payload is left as it is."""
    return {camel(field): getattr(view, field) for field in view.__struct_fields__}


def row_json(row: ExecutionRow) -> dict[str, Any]:
    """One execution of a list; times in milliseconds, 0 = none."""
    return {
        "tenant": row.tenant,
        "device": row.device,
        "workflowId": row.workflow_id,
        "workflowType": row.name,
        "version": row.version,
        "status": row.status,
        "correlationId": row.correlation_id,
        "startTime": row.created_ms,
        "updateTime": row.updated_ms,
        "endTime": row.ended_ms,
        "beganTime": row.began_ms,
        "reasonForIncompletion": row.reason,
    }


def execution_json(view: ExecutionView) -> dict[str, Any]:
    """One execution as Conductor's Workflow, with the files that came with it."""
    row = view.row
    return {
        "tenant": row.tenant,
        "device": row.device,
        "workflowId": row.workflow_id,
        "workflowName": row.name,
        "workflowVersion": row.version,
        "status": row.status,
        "correlationId": row.correlation_id,
        "createTime": row.created_ms,
        "startTime": row.created_ms,
        "updateTime": row.updated_ms,
        "endTime": row.ended_ms,
        "reasonForIncompletion": row.reason,
        "input": view.input,
        "output": view.output,
        "workflowDefinition": view.definition,
        "tasks": [_task_json(task, row) for task in view.tasks],
        "evidence": [_evidence_json(file) for file in view.evidence],
    }


def _task_json(task: TaskView, row: ExecutionRow) -> dict[str, Any]:
    return {
        "taskId": task.task_id,
        "workflowInstanceId": row.workflow_id,
        "seq": task.seq,
        "referenceTaskName": task.ref,
        "taskType": task.type,
        "taskDefName": task.name,
        "status": task.status,
        "retryCount": task.attempt,
        "iteration": task.iteration,
        "scheduledTime": task.scheduled_ms,
        "startTime": task.started_ms,
        "endTime": task.ended_ms,
        "updateTime": task.updated_ms,
        "workerId": task.worker,
        "reasonForIncompletion": task.reason,
        "inputData": task.input,
        "outputData": task.output,
    }


def _evidence_json(file: EvidenceView) -> dict[str, Any]:
    return _fields(file)


def summary_json(
    summary: Summary,
    lag: LagReport | None,
    *,
    broker_connected: bool | None,
    ledger_trouble: str,
    streams: int,
) -> dict[str, Any]:
    """The fleet in figures; ``brokerConnected`` is null where nobody told.

    ``ledgerTrouble`` says why nothing is written just now, and so nothing acknowledged.

    Without a lag they are one tenant's, and what is the control plane's own is null.
    """
    hidden = {} if lag is not None else dict.fromkeys(("quarantined", "unread", "projectionLag"))
    return {
        **_fields(summary),
        **hidden,
        "syncLag": None if lag is None else _fields(lag),
        "brokerConnected": broker_connected,
        "ledgerTrouble": None if lag is None else ledger_trouble,
        "streams": streams,
    }


def change_json(change: Change) -> dict[str, Any]:
    """The data of one event of the stream: what to ask for again."""
    return {
        "tenant": change.tenant,
        "device": change.device,
        "workflowId": change.workflow_id,
    }


def metrics_text(
    summary: Summary, lag: LagReport, *, streams: int, more: Standing | None = None
) -> str:
    """The fleet in Prometheus' text format."""
    lines: list[str] = []

    def metric(name: str, kind: str, text: str, samples: dict[str, float]) -> None:
        lines.append(f"# HELP baton_cloud_{name} {text}")
        lines.append(f"# TYPE baton_cloud_{name} {kind}")
        lines.extend(f"baton_cloud_{name}{labels} {value}" for labels, value in samples.items())

    metric("devices", "gauge", "Devices ever heard of.", {"": summary.devices})
    metric("devices_online", "gauge", "Devices connected now.", {"": summary.online})
    metric("executions", "gauge", "Executions held, by status.", {
        f'{{status="{_label(status)}"}}': number
        for status, number in (dict.fromkeys(sorted(STATUSES), 0) | summary.executions).items()
    })  # fmt: skip
    metric("records_total", "counter", "Records stored.", {"": summary.records})
    metric(
        "backlog_records",
        "gauge",
        "Records still on their devices.",
        {"": summary.backlog},
    )
    metric(
        "missing_records",
        "gauge",
        "Records that devices dropped.",
        {"": summary.missing},
    )
    metric(
        "quarantined_segments",
        "gauge",
        "Segments in quarantine.",
        {"": summary.quarantined},
    )
    metric("unread_records", "gauge", "Records stored, not readable.", {"": summary.unread})
    metric("projection_lag_segments", "gauge", "Segments not shown yet.", {
        "": summary.projection_lag
    })  # fmt: skip
    metric("sync_lag_seconds", "gauge", "Device clock to ledger, last hour.", {
        '{quantile="0.5"}': lag.p50_ms / 1000,
        '{quantile="0.99"}': lag.p99_ms / 1000,
    })  # fmt: skip
    metric("streams", "gauge", "Pages following live.", {"": streams})
    if more is not None:
        metric("devices_in_state", "gauge", "Devices by state, all tenants.", {
            f'{{state="{state}"}}': number for state, number in more.states.items()
        })  # fmt: skip
        metric("orders_open", "gauge", "Orders that have come to nothing yet.", {
            "": more.orders_open
        })  # fmt: skip
        metric("alerts_firing", "gauge", "Alerts that are firing.", {"": more.alerts_firing})
        metric("alert_messages_waiting", "gauge", "Messages of alerts not delivered yet.", {
            "": more.messages_waiting
        })  # fmt: skip
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
