"""What the document of the API says of an operation beyond what its source tells: shapes and words.

Additive: an endpoint without a line here is documented all the same. No document is built here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge import wire
from edge.api import (
    admin,
    applications,
    bulk,
    environment,
    events,
    executions,
    login,
    lookups,
    metadata,
    people,
    schedules,
    secrets,
    shapes,
    tags,
    tasks,
    upkeep,
    workflows,
)
from edge.api.routing import Endpoint
from edge.model.access import (
    AccessKey,
    Application,
    Credentials,
    Grant,
    PermissionName,
    PostedGroup,
    PostedName,
    PostedRole,
    PostedUser,
    Role,
)
from edge.model.definitions import JsonObject, TaskDefinition, WorkflowDefinition, WorkflowTask
from edge.model.events import EventExecution, EventHandler
from edge.model.schedules import Schedule
from edge.model.tags import Tag
from edge.model.validation import PostedResult, PostedStart


class Note(msgspec.Struct, frozen=True):
    """What is known of one operation."""

    answer: Any = None
    """Type of the JSON that 200 holds; None = any."""
    body: Any = None
    """Type of the JSON that is posted; None = what the endpoint reads."""
    example: Any = None
    """A body to begin with."""


_STEP = {"name": "greet", "taskReferenceName": "greet", "inputParameters": {"name": "Ada"}}
_DEFINITION = {"name": "hello", "version": 1, "tasks": [_STEP], "ownerEmail": "a@b.invalid"}
_TASK = {"name": "greet", "retryCount": 3, "responseTimeoutSeconds": 60}
_RESULT = {
    "workflowInstanceId": "…",
    "taskId": "…",
    "status": "COMPLETED",
    "outputData": {"said": "hello"},
}
_SCHEDULE = {
    "name": "nightly",
    "cronExpression": "0 30 2 * * *",
    "zoneId": "Europe/Berlin",
    "startWorkflowRequest": {"name": "hello", "input": {"name": "Ada"}},
}
_HANDLER = {
    "name": "on_door",
    "event": "conductor:watch:door_opened",
    "active": True,
    "condition": "$.camera === 'gate'",
    "actions": [
        {
            "action": "start_workflow",
            "start_workflow": {"name": "inspect", "input": {"camera": "${camera}"}},
        }
    ],
}
_IDS = ["…"]

_TAG = {"key": "team", "value": "roof"}
_TAGS = Note(body=Tag | list[Tag], example=_TAG)

_GRANT = {
    "subject": {"type": "USER", "id": "ada"},
    "target": {"type": "WORKFLOW_DEF", "id": "hello"},
    "access": ["READ"],
}

_BULK = Note(shapes.BulkResponse, list[str], _IDS)

NOTES: dict[Endpoint, Note] = {
    tasks.poll: Note(wire.WireTask),
    tasks.poll_batch: Note(list[wire.WireTask]),
    tasks.update: Note(body=PostedResult, example=_RESULT),
    tasks.update_v2: Note(wire.WireTask, PostedResult, _RESULT),
    tasks.update_all: Note(shapes.BulkResponse, list[PostedResult], [_RESULT]),
    tasks.update_by_ref: Note(body=JsonObject, example={"said": "hello"}),
    tasks.update_by_ref_sync: Note(wire.WireWorkflow, JsonObject, {"said": "hello"}),
    tasks.get: Note(wire.WireTask),
    tasks.get_log: Note(list[wire.WireLog]),
    tasks.queue_sizes: Note(dict[str, int]),
    tasks.queue_size: Note(int),
    tasks.queue_all: Note(dict[str, int]),
    tasks.queue_all_verbose: Note(dict[str, dict[str, shapes.ShardSize]]),
    tasks.poll_data: Note(list[shapes.PollLine]),
    tasks.poll_data_all: Note(list[shapes.PollLine]),
    workflows.start: Note(body=PostedStart, example={"name": "hello", "input": {"name": "Ada"}}),
    workflows.start_by_name: Note(body=JsonObject, example={"name": "Ada"}),
    executions.get: Note(wire.WireWorkflow),
    executions.get_status: Note(wire.WireStatus),
    executions.get_tasks: Note(shapes.TaskPage),
    lookups.running: Note(list[str]),
    lookups.correlated: Note(list[wire.WireWorkflow]),
    lookups.correlated_list: Note(dict[str, list[wire.WireWorkflow]], list[str], _IDS),
    lookups.correlated_batch: Note(
        dict[str, list[wire.WireWorkflow]],
        JsonObject,
        {"workflowNames": ["hello"], "correlationIds": ["…"]},
    ),
    lookups.search: Note(shapes.SummaryPage),
    lookups.search_full: Note(shapes.WorkflowPage),
    lookups.search_by_tasks: Note(shapes.SummaryPage),
    lookups.search_by_tasks_full: Note(shapes.WorkflowPage),
    lookups.search_tasks: Note(shapes.TaskSummaryPage),
    lookups.search_tasks_full: Note(shapes.TaskPage),
    bulk.pause: _BULK,
    bulk.resume: _BULK,
    bulk.restart: _BULK,
    bulk.retry: _BULK,
    bulk.terminate: _BULK,
    bulk.remove: _BULK,
    bulk.terminate_remove: _BULK,
    bulk.search: Note(body=list[str], example=_IDS),
    upkeep.config: Note(dict[str, str]),
    upkeep.pending_tasks: Note(list[wire.WireTask]),
    upkeep.acknowledge: Note(bool),
    events.add_handlers: Note(body=EventHandler | list[EventHandler], example=_HANDLER),
    events.replace_handler: Note(body=EventHandler, example=_HANDLER),
    events.list_handlers: Note(list[EventHandler]),
    events.handlers_of: Note(list[EventHandler]),
    events.get_handler: Note(EventHandler),
    events.incoming: Note(body=JsonObject, example={"event": "door_opened", "camera": "gate"}),
    events.get_tags: Note(list[Tag]),
    events.add_tags: _TAGS,
    events.remove_tags: _TAGS,
    events.executions: Note(list[EventExecution]),
    events.signal_by_ref: Note(body=JsonObject, example={"said": "hello"}),
    events.signal_by_id: Note(body=JsonObject, example={"said": "hello"}),
    metadata.create_workflow: Note(
        body=WorkflowDefinition | list[WorkflowDefinition], example=_DEFINITION
    ),
    metadata.put_workflows: Note(shapes.BulkResponse, list[WorkflowDefinition], [_DEFINITION]),
    metadata.list_workflows: Note(list[WorkflowDefinition]),
    metadata.validate_workflow: Note(body=WorkflowDefinition, example=_DEFINITION),
    metadata.workflow_names: Note(list[str]),
    metadata.names_and_versions: Note(dict[str, list[shapes.DefinitionLine]]),
    metadata.latest_workflows: Note(list[WorkflowDefinition]),
    metadata.get_workflow: Note(WorkflowDefinition),
    metadata.workflow_versions: Note(list[shapes.DefinitionLine]),
    metadata.put_tasks: Note(body=list[TaskDefinition], example=[_TASK]),
    metadata.replace_task: Note(body=TaskDefinition, example=_TASK),
    metadata.list_tasks: Note(list[TaskDefinition]),
    metadata.get_task: Note(TaskDefinition),
    tags.of_workflow: Note(list[Tag]),
    tags.add_to_workflow: _TAGS,
    tags.set_of_workflow: Note(body=list[Tag], example=[_TAG]),
    tags.remove_from_workflow: _TAGS,
    tags.of_task: Note(list[Tag]),
    tags.add_to_task: _TAGS,
    tags.set_of_task: Note(body=list[Tag], example=[_TAG]),
    tags.remove_from_task: _TAGS,
    tags.every: Note(list[Tag]),
    tags.grouped: Note(list[shapes.TagCount]),
    tags.resources: Note(list[shapes.Tagged]),
    schedules.put: Note(shapes.ScheduleAnswer, Schedule, _SCHEDULE),
    schedules.list_: Note(list[shapes.ScheduleAnswer]),
    schedules.get: Note(shapes.ScheduleAnswer),
    schedules.find: Note(shapes.SchedulePage),
    schedules.find_executions: Note(shapes.TickPage),
    schedules.next_few: Note(list[int]),
    schedules.bulk_pause: _BULK,
    schedules.bulk_resume: _BULK,
    schedules.get_tags: Note(list[Tag]),
    schedules.put_tags: Note(body=list[Tag], example=[_TAG]),
    schedules.remove_tags: _TAGS,
    schedules.tagged: Note(list[shapes.ScheduleAnswer]),
    secrets.put_tags: Note(body=list[Tag], example=[_TAG]),
    secrets.remove_tags: _TAGS,
    environment.put_tags: Note(body=list[Tag], example=[_TAG]),
    environment.remove_tags: _TAGS,
    login.create_token: Note(shapes.TokenAnswer, Credentials, {"keyId": "…", "keySecret": "…"}),
    login.user_info: Note(shapes.UserShape),
    login.create_view_token: Note(shapes.ViewToken),
    applications.create: Note(Application, PostedName, {"name": "camera worker"}),
    applications.every: Note(list[Application]),
    applications.get: Note(Application),
    applications.rename: Note(Application, PostedName, {"name": "camera worker"}),
    applications.remove: Note(shapes.Said),
    applications.of_key: Note(Application),
    applications.keys: Note(list[AccessKey]),
    applications.create_key: Note(shapes.CreatedKey),
    applications.toggle_key: Note(AccessKey),
    applications.tags: Note(list[Tag]),
    applications.add_tags: Note(body=list[Tag], example=[_TAG]),
    applications.remove_tags: Note(body=list[Tag], example=[_TAG]),
    people.users: Note(list[shapes.UserShape]),
    people.user: Note(shapes.UserShape),
    people.put_user: Note(shapes.UserShape, PostedUser, {"name": "Ada", "roles": ["USER"]}),
    people.remove_user: Note(shapes.Said),
    people.user_permissions: Note(shapes.GrantedAccess),
    people.check_permissions: Note(dict[str, bool]),
    people.groups: Note(list[shapes.GroupShape]),
    people.group: Note(shapes.GroupShape),
    people.put_group: Note(shapes.GroupShape, PostedGroup, {"description": "…", "roles": ["USER"]}),
    people.remove_group: Note(shapes.Said),
    people.group_users: Note(list[shapes.UserShape]),
    people.group_permissions: Note(shapes.GrantedAccess),
    people.add_members: Note(body=list[str], example=_IDS),
    people.remove_members: Note(body=list[str], example=_IDS),
    people.roles: Note(list[Role]),
    people.system_roles: Note(dict[str, Role]),
    people.custom_roles: Note(list[Role]),
    people.permissions: Note(dict[str, PermissionName]),
    people.role: Note(Role),
    people.create_role: Note(
        Role, PostedRole, {"name": "looker", "permissions": ["METADATA_VIEW"]}
    ),
    people.update_role: Note(Role, PostedRole, {"permissions": ["METADATA_VIEW"]}),
    people.remove_role: Note(shapes.Said),
    people.grant: Note(shapes.Said, Grant, _GRANT),
    people.revoke: Note(shapes.Said, Grant, _GRANT),
    people.grants: Note(dict[str, list[Any]]),
    people.subject_grants: Note(list[shapes.Granted]),
    admin.health: Note(shapes.Health),
    admin.devices: Note(list[shapes.DeviceLine]),
    admin.sync: Note(shapes.SyncState),
}
"""By endpoint."""

COMPONENT_NAMES = {
    "Application": "ConductorApplication",
    "Credentials": "GenerateTokenRequest",
    "ErrorBody": "Error",
    "Grant": "AuthorizationRequest",
    "GroupShape": "Group",
    "PermissionName": "Permission",
    "PostedGroup": "UpsertGroupRequest",
    "PostedName": "CreateOrUpdateApplicationRequest",
    "PostedRole": "CreateOrUpdateRoleRequest",
    "PostedUser": "UpsertUserRequest",
    "UserShape": "ConductorUser",
    "PostedLog": "TaskExecLogRequest",
    "PostedResult": "TaskResult",
    "PostedStart": "StartWorkflowRequest",
    "Schedule": "SaveScheduleRequest",
    "ScheduleAnswer": "WorkflowSchedule",
    "TickRecord": "WorkflowScheduleExecution",
    "TaskDefinition": "TaskDef",
    "WireLog": "TaskExecLog",
    "WireStatus": "WorkflowStatusSummary",
    "WireSummary": "WorkflowSummary",
    "WireTask": "Task",
    "WireTaskSummary": "TaskSummary",
    "WireWorkflow": "Workflow",
    "WorkflowDefinition": "WorkflowDef",
}
"""Conductor's names of shapes, by ours."""

RAW_FIELDS: dict[str, dict[str, Any]] = {
    "WireTask": {
        "inputData": JsonObject,
        "outputData": JsonObject,
        "runtimeMetadata": JsonObject,
        "workflowTask": WorkflowTask,
        "taskDefinition": TaskDefinition,
    },
    "WireWorkflow": {
        "input": JsonObject,
        "output": JsonObject,
        "variables": JsonObject,
        "workflowDefinition": WorkflowDefinition,
    },
    "WireStatus": {"output": JsonObject, "variables": JsonObject},
}
"""What stands in fields that pass through as bytes, by shape."""

GROUPS = {
    "api/metadata/workflow": "Workflow definitions",
    "api/metadata/taskdefs": "Task definitions",
    "api/metadata/task": "Task definitions",
    "api/metadata/tags": "Tags",
    "api/admin": "Administration",
    "api/workflow/bulk": "Executions, many at once",
    "api/workflow": "Executions",
    "api/scheduler": "Schedules",
    "api/tasks/queue": "Queues",
    "api/tasks": "Tasks",
    "api/applications": "Applications and keys",
    "api/token": "Applications and keys",
    "api/users": "People and roles",
    "api/groups": "People and roles",
    "api/roles": "People and roles",
    "api/auth": "People and roles",
    "api/v1": "The device",
    "api/health": "The device",
    "api/version": "The device",
    "health": "The device",
    "metrics": "The device",
    "api-docs": "The device",
    "swagger-ui": "The device",
}
"""Headings by the beginning of the path; the longest that fits counts, else the path's own words."""

PARAMETER_TEXTS = {
    "access": "READ, CREATE, UPDATE, EXECUTE or DELETE; makes no difference here",
    "apps": "With the users that stand for applications",
    "archiveWorkflow": "Keep a compressed copy; only of an execution that has ended",
    "classifier": "Only executions of definitions of this kind: workflow, agent or another",
    "correlation": "Correlation id",
    "correlationId": "Your own name for what the execution belongs to",
    "count": "At most so many",
    "cronExpression": "Six fields: second, minute, hour, day of month, month, day of week",
    "domain": "Of the workers; a queue of its own",
    "endTime": "Epoch milliseconds",
    "freeText": "A text that occurs in an id, a name, a reason, the input or the output",
    "groupBy": "access or subject",
    "id": "What is meant",
    "key": "Id of the access key",
    "idempotencyKey": "A start with a key that was used before starts nothing new",
    "idempotencyStrategy": "FAIL, RETURN_EXISTING or FAIL_ON_RUNNING",
    "includeClosed": "Those that have ended too",
    "includeTasks": "With all tasks",
    "metadata": "With tags",
    "newVersion": "Give it the number after the highest version there is",
    "overwrite": "Replace a version that exists",
    "path": "May hold slashes",
    "priority": "0 to 99, the highest first",
    "query": 'Terms joined by AND or OR: workflowType = "hello" AND status IN (FAILED,TIMED_OUT)',
    "reason": "Kept with the execution",
    "ref": "Reference name of the task",
    "resourceType": "WORKFLOW_DEF or TASK_DEF",
    "short": "Without the tasks",
    "scheduleEndTime": "Epoch milliseconds; nothing later",
    "scheduleName": "Part of the name",
    "scheduleStartTime": "Epoch milliseconds; nothing earlier",
    "size": "Rows of a page",
    "sort": "Such as workflowType:ASC|startTime:DESC; newest first when left out",
    "start": "Rows to skip",
    "startTime": "Epoch milliseconds",
    "status": "IN_PROGRESS, COMPLETED, FAILED, FAILED_WITH_TERMINAL_ERROR or CANCELED",
    "tagKey": "Only what carries a tag with this key",
    "tagValue": "Only what carries a tag with this value",
    "task": "Id of the task",
    "taskType": "Name of a queue",
    "topLevelOnly": "Without executions that others started as a part of themselves",
    "timeout": "Milliseconds to wait for the first task, up to 5,000",
    "type": "Task type, the name of its queue",
    "useLatestDefinitions": "By the newest definition instead of the one it ran with",
    "version": "Of the definition; the latest when left out",
    "tag": "Its key, its value, or key:value",
    "role": "Name of the role",
    "user": "Id of the user",
    "workerid": "Name of the worker",
    "workflow": "Id of the execution",
    "zoneId": "Time zone, such as Europe/Berlin; UTC when left out",
}
"""What parameters mean, by name."""
