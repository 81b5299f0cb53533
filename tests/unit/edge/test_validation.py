"""Definitions and requests are held against every rule, with Conductor's own messages."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.errors import InvalidInput, ValidationFailed
from edge.model.validation import (
    parse_start_request,
    parse_task_definition,
    parse_task_result,
    parse_workflow_definition,
)


def simple(ref: str = "a", **fields: Any) -> dict[str, Any]:
    """A step for a worker."""
    return {"name": "work", "taskReferenceName": ref, **fields}


def flow(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A definition of these steps."""
    return {"name": "w", "tasks": list(tasks), **fields}


def parse(document: Any, **options: Any) -> WorkflowDefinition:
    """Parse with a script check that dislikes ``bad``."""
    return parse_workflow_definition(
        document,
        owner_required=options.pop("owner_required", False),
        check_script=lambda text: "unexpected bad" if "bad" in text else None,
        **options,
    )


def messages(document: Any, **options: Any) -> list[str]:
    """The messages of all broken rules of a workflow definition."""
    with pytest.raises(ValidationFailed) as caught:
        parse(document, **options)
    return [fault.message for fault in caught.value.fields]


def task_messages(**fields: Any) -> list[str]:
    """The messages of all broken rules of a task definition."""
    with pytest.raises(ValidationFailed) as caught:
        parse_task_definition({"name": "t", **fields}, owner_required=False)
    return [fault.message for fault in caught.value.fields]


def test_the_smallest_definition_takes_every_default() -> None:
    """Absent fields and null fields take Conductor's defaults; a null in a user's map stays."""
    definition = parse(flow(simple(inputParameters={"x": None}), version=None, variables=None))

    assert 1 == definition.version
    assert "SIMPLE" == definition.tasks[0].type
    assert {"x": None} == definition.tasks[0].input_parameters
    assert {} == definition.variables


def test_all_broken_rules_are_told_at_once() -> None:
    """V1 to V4 together: nobody has to post four times to find four mistakes."""
    found = messages({"schemaVersion": 1}, owner_required=True)

    assert [
        "WorkflowDef name cannot be null or empty",
        "WorkflowTask list cannot be empty",
        "workflowDef schemaVersion: 2 is only supported",
        "ownerEmail cannot be empty",
    ] == found


def test_a_reference_name_is_used_once_in_the_whole_tree() -> None:
    """V5 looks into cases and branches as well."""
    inner = {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "k",
        "decisionCases": {"x": [simple("a")]},
    }
    expected = (
        "taskReferenceName: a should be unique across tasks for a given workflowDefinition: w"
    )

    assert [expected] == messages(flow(simple("a"), inner))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"taskReferenceName": "a"}, "WorkflowTask name cannot be empty or null"),
        ({"name": "a"}, "WorkflowTask taskReferenceName name cannot be empty or null"),
        (simple(type=" "), "WorkTask type cannot be null or empty"),
        (simple(type="EVENT"), "sink field is required for taskType: EVENT taskName: work"),
        (
            simple(type="DECISION", decisionCases={"x": [simple("b")]}),
            "caseValueParam or caseExpression field is required for taskType: DECISION "
            "taskName: work",
        ),
        (
            simple(type="DECISION", caseValueParam="x"),
            "decisionCases should have atleast one task for taskType: DECISION taskName: work",
        ),
        (
            simple(type="SWITCH", evaluatorType="value-param", expression="x"),
            "decisionCases should have atleast one task for taskType: SWITCH taskName: work",
        ),
        (
            simple(
                type="SWITCH",
                evaluatorType="javascript",
                expression="bad",
                decisionCases={"x": [simple("b")]},
            ),
            "Expression is not well formatted: unexpected bad, taskType: SWITCH taskName work",
        ),
        (
            simple(type="DO_WHILE", loopOver=[simple("b")]),
            "loopCondition field is required for taskType: DO_WHILE taskName: work",
        ),
        (
            simple(type="DO_WHILE", loopCondition="x"),
            "loopOver field is required for taskType: DO_WHILE taskName: work",
        ),
        (
            simple(type="DYNAMIC"),
            "dynamicTaskNameParam field is required for taskType: DYNAMIC taskName: work",
        ),
        (
            simple(type="FORK_JOIN_DYNAMIC", dynamicForkTasksParam="x"),
            "dynamicForkTasksInputParamName field is required for taskType: FORK_JOIN_DYNAMIC "
            "taskName: work",
        ),
        (
            simple(
                type="FORK_JOIN_DYNAMIC",
                dynamicForkTasksParam="x",
                dynamicForkTasksInputParamName="y",
                dynamicForkJoinTasksParam="z",
            ),
            "dynamicForkJoinTasksParam or combination of dynamicForkTasksInputParamName and "
            "dynamicForkTasksParam cam be used for taskType: FORK_JOIN_DYNAMIC taskName: work",
        ),
        (
            simple(type="HTTP"),
            "inputParameters.http_request or inputParameters.uri field is required for "
            "taskType: HTTP taskName: work",
        ),
        (
            simple(type="KAFKA_PUBLISH"),
            "inputParameters.kafka_request field is required for taskType: KAFKA_PUBLISH "
            "taskName: work",
        ),
        (
            simple(type="SUB_WORKFLOW"),
            "subWorkflowParam field is required for taskType: SUB_WORKFLOW taskName: work",
        ),
        (
            simple(type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": "x"}),
            "workflowDefinition is a string, but not a valid DSL string",
        ),
        (
            simple(type="JSON_JQ_TRANSFORM"),
            "inputParameters.queryExpression field is required for taskType: JSON_JQ_TRANSFORM "
            "taskName: work",
        ),
        (
            simple(type="FORK_JOIN"),
            "forkTasks should have atleast one task for taskType: FORK_JOIN taskName: work",
        ),
        (
            simple(type="FORK_JOIN", forkTasks=[[simple("b")], []]),
            "forkTasks[1] should have atleast one task for taskType: FORK_JOIN taskName: work",
        ),
        (
            simple(
                type="TERMINATE", optional=True, inputParameters={"terminationStatus": "FAILED"}
            ),
            "terminate task cannot be optional, taskName: work",
        ),
        (
            simple(type="TERMINATE", inputParameters={"terminationStatus": "${workflow.input.x}"}),
            "terminate task must have an terminationStatus parameter and must be set to "
            "COMPLETED or FAILED, taskName: work",
        ),
        (
            simple(type="WAIT", inputParameters={"duration": "1s", "until": "2030-01-01"}),
            "Both 'duration' and 'until' specified. Please provide only one input",
        ),
        (simple(type="WAIT", inputParameters={"until": "tomorrow"}), "Unable to parse date "),
        (
            simple(type="WAIT", inputParameters={"duration": "soon"}),
            "Either date or duration is passed as null ",
        ),
        (simple(startDelay=-1), "startDelay: -1 must be >= 0"),
        (simple(startDelay=2**40), "the number is out of range"),
        (simple("r" * 300), "may hold 255 characters"),
    ],
)
def test_each_type_brings_along_what_it_needs(step: dict[str, Any], expected: str) -> None:
    """V6 to V24: one broken rule, one message, word for word."""
    assert [expected] == messages(flow(step))


@pytest.mark.parametrize(
    "step",
    [
        simple(type="WAIT"),
        simple(type="WAIT", inputParameters={"duration": "1d2h 5 min 30 seconds"}),
        simple(type="WAIT", inputParameters={"until": "2030-01-01 10:00 GMT+04:00"}),
        simple(type="WAIT", inputParameters={"until": "${workflow.input.x}"}),
        simple(type="HTTP", inputParameters={"uri": "http://x"}),
        simple(type="DO_WHILE", items="${workflow.input.x}", loopOver=[simple("b")]),
        simple(type="DO_WHILE", inputParameters={"_items": [1]}, loopOver=[simple("b")]),
        simple(type="FORK_JOIN_DYNAMIC", inputParameters={"forkTaskInputs": []}),
        simple(type="my own type"),
        simple(inputParameters={"x": "$${not.a.reference}", "y": "${CPEWF_TASK_ID}"}),
        simple(inputParameters={"x": "${workflow.input.${workflow.input.key}}"}),
        simple(inputParameters={"x": ["${a.output['my key'][?(@.x == 1)].y}", "open ${"]}),
        # As executions show them, and as Conductor takes them.
        simple(taskDefinition={"responseTimeoutSeconds": 0, "backoffScaleFactor": 0}),
        simple(taskDefinition={"timeoutSeconds": 120, "responseTimeoutSeconds": 3600}),
    ],
)
def test_what_is_right_is_accepted(step: dict[str, Any]) -> None:
    """Literal and expression forms of every type that has both are accepted."""
    assert 1 == len(parse(flow(step)).tasks)


def test_an_input_template_may_bring_what_a_step_lacks() -> None:
    """V18 is satisfied by the registered task definition of that name."""
    document = flow(simple(type="HTTP"))

    parsed = parse(document, template_of={"work": {"http_request": {}}})

    assert "HTTP" == parsed.tasks[0].type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "${b.output.x}",
            "taskReferenceName: b for given task: work input value: x of input parameter: "
            "b.output.x is not defined in workflow definition.",
        ),
        ("`${n + 1}`", "key: x input parameter value: n + 1 is not valid"),
        ("${}", "key: x input parameter value:  is not valid"),
        ("${a.output[}", "key: x input parameter value: a.output[ is not valid"),
    ],
)
def test_references_of_the_top_level_must_lead_somewhere(text: str, expected: str) -> None:
    """V9 and V10, deep inside of maps and lists too."""
    assert [expected] == messages(flow(simple(inputParameters={"m": [{"x": text}]})))


def test_references_inside_of_branches_are_not_looked_at() -> None:
    """Conductor checks the top level only, and definitions in the wild rely on that."""
    inner = simple("b", inputParameters={"x": "${nowhere.output}"})
    fork = simple("f", type="FORK_JOIN", forkTasks=[[inner]])

    assert 1 == len(parse(flow(fork)).tasks)


def test_a_type_that_only_others_run_is_taken() -> None:
    """Its tasks wait for a worker of that type, as those of every unknown type do."""
    definition = parse(flow(simple(type="LLM_CHAT_COMPLETE"), simple("b", type="OF_MY_OWN")))

    assert ["LLM_CHAT_COMPLETE", "OF_MY_OWN"] == [task.type for task in definition.tasks]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"name": [3]}, "$.name"),
        (flow(simple(startDelay="soon")), "$.tasks[0].startDelay"),
        (flow(timeoutPolicy="NEVER"), "$.timeoutPolicy"),
        ([], "Expected `object`"),
        (None, "Expected `object`"),
    ],
)
def test_a_wrong_type_names_its_place(document: Any, place: str) -> None:
    """Wrong types and unknown enum values are told with the path of the field."""
    with pytest.raises(InvalidInput) as caught:
        parse(document)

    assert place in caught.value.message


@pytest.mark.parametrize("mode", ["SYNC", "ASYNC", None])
def test_the_modes_of_a_join(mode: str | None) -> None:
    """Those that Conductor knows; null is as good as none."""
    assert mode == parse(flow(simple(type="JOIN", joinMode=mode))).tasks[0].join_mode


def test_a_join_mode_that_is_none() -> None:
    """Refused when it is registered, in a branch as well; a definition that is stored still opens."""
    odd = simple("j", type="JOIN", joinMode="sync")
    with pytest.raises(ValidationFailed) as caught:
        parse(flow(simple(type="FORK_JOIN", forkTasks=[[odd]])))

    (fault,) = caught.value.fields
    assert "workflowDef.tasks[0].forkTasks[0][0].joinMode" == fault.path
    assert ("joinMode should be SYNC or ASYNC", "sync") == (fault.message, fault.invalidValue)
    assert "sync" == msgspec.convert(flow(odd), WorkflowDefinition).tasks[0].join_mode


def test_numbers_may_come_as_texts() -> None:
    """Lax numbers, as Conductor's own parser takes them."""
    assert 7 == parse(flow(simple(), version="7")).version


def test_nesting_is_bounded() -> None:
    """Cases in cases beyond the limit are refused, not recursed into without end."""
    step = simple("leaf")
    for number in range(60):
        step = simple(f"f{number}", type="FORK_JOIN", forkTasks=[[step]])

    assert ["tasks may be nested 50 deep"] == messages(flow(step))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": " "}, "TaskDef name cannot be null or empty"),
        ({"retryCount": -1}, "TaskDef retryCount: 0 must be >= 0"),
        (
            {"responseTimeoutSeconds": 0},
            "TaskDef responseTimeoutSeconds: 0 should be minimum 1 second",
        ),
        (
            {"timeoutSeconds": 60},
            "TaskDef: t responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 60",
        ),
        (
            {"timeoutSeconds": 60, "responseTimeoutSeconds": 10, "totalTimeoutSeconds": 30},
            "TaskDef: t timeoutSeconds: 60 must be less than or equal to totalTimeoutSeconds: 30",
        ),
        ({"pollTimeoutSeconds": -1}, "TaskDef pollTimeoutSeconds: 0 must be >= 0"),
        ({"backoffJitterMs": -1}, "TaskDef backoffJitterMs: 0 must be >= 0"),
        ({"backoffScaleFactor": 0}, "TaskDef backoffScaleFactor: 1 must be >= 1"),
    ],
)
def test_rules_of_task_definitions(fields: dict[str, Any], expected: str) -> None:
    """T1 to T6, word for word."""
    assert [expected] == task_messages(**fields)


def test_an_owner_may_be_demanded() -> None:
    """V4 holds for task definitions too, where the switch is on."""
    with pytest.raises(ValidationFailed) as caught:
        parse_task_definition({"name": "t"}, owner_required=True)

    assert "ownerEmail cannot be empty" == caught.value.fields[0].message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "Workflow name cannot be null or empty"),
        ({"name": "w", "priority": 100}, "priority: 100 should be maximum 99"),
        ({"name": "w", "priority": -1}, "priority: -1 should be minimum 0"),
        ({"name": "w", "version": 2**31}, "the number is out of range"),
    ],
)
def test_rules_of_start_requests(document: dict[str, Any], expected: str) -> None:
    """S1 and S2, and integers that Conductor's clients could not read back."""
    with pytest.raises(ValidationFailed) as caught:
        parse_start_request(document)

    assert [expected] == [fault.message for fault in caught.value.fields]


def test_rules_of_task_results() -> None:
    """R1: both ids are asked for; nulls take the default."""
    with pytest.raises(ValidationFailed) as caught:
        parse_task_result(b'{"outputData": null, "reasonForIncompletion": null}')

    assert ["Workflow Id cannot be null or empty", "Task ID cannot be null or empty"] == [
        fault.message for fault in caught.value.fields
    ]


def test_a_result_keeps_nulls_of_its_output() -> None:
    """The worker's own map passes as it is, unknown fields beside it are dropped."""
    body = (
        b'{"workflowInstanceId":"w","taskId":"t","status":"FAILED","logs":null,"new":1,'
        b'"outputData":{"x":null}}'
    )

    result = parse_task_result(body)

    assert ({"x": None}, "FAILED", []) == (result.output_data, result.status, result.logs)


def test_a_result_is_read_leniently() -> None:
    """A mark of the encoding before it, and a number where a text is wanted, as Jackson does."""
    body = b'\xef\xbb\xbf{"workflowInstanceId":"w","taskId":"t","status":"FAILED","workerId":7}'

    result = parse_task_result(body)

    assert ("w", "FAILED", "7") == (result.workflow_instance_id, result.status, result.worker_id)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
field_names = st.sampled_from(
    [field.encode_name for field in msgspec.structs.fields(WorkflowDefinition)]
    + [field.encode_name for field in msgspec.structs.fields(TaskDefinition)]
)


@given(st.dictionaries(field_names, json_values, max_size=6) | json_values)
def test_no_document_gets_past_with_anything_but_a_clear_refusal(document: Any) -> None:
    """Whatever is posted: a definition comes out, or an InvalidInput; never another error."""
    with contextlib.suppress(InvalidInput):
        assert parse(document).tasks
    with contextlib.suppress(InvalidInput):
        assert parse_task_definition(document, owner_required=False).name


@given(st.text(alphabet="${}.[]'\"() abx\\", max_size=40))
def test_no_text_confuses_the_reading_of_references(text: str) -> None:
    """Any text in a parameter is accepted or refused with a message, in bounded time."""
    with contextlib.suppress(ValidationFailed):
        assert (
            text == parse(flow(simple(inputParameters={"x": text}))).tasks[0].input_parameters["x"]
        )


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"key": 5, "ttlInSecond": 60}, "cacheConfig.key"),
        ({"key": "k", "ttlInSecond": "60"}, "cacheConfig.ttlInSecond"),
        ({"key": "k", "ttlInSecond": True}, "cacheConfig.ttlInSecond"),
        ({"key": "k", "ttlInSecond": -1}, "cacheConfig.ttlInSecond"),
        ({"key": "k", "ttlInSecond": 2**31}, "cacheConfig.ttlInSecond"),
    ],
)
def test_a_cache_that_cannot_be_followed_is_refused(config: dict[str, Any], field: str) -> None:
    """Its author would wait for it in vain; the field is named."""
    with pytest.raises(ValidationFailed) as caught:
        parse(flow(simple(cacheConfig=config)))

    assert [f"workflowDef.tasks[0].{field}"] == [fault.path for fault in caught.value.fields]


@pytest.mark.parametrize("config", [{}, {"key": "${x}", "ttlInSecond": 60}, {"ttlInSecond": 0}])
def test_a_cache_may_say_little(config: dict[str, Any]) -> None:
    """What is missing switches it off."""
    assert config == parse(flow(simple(cacheConfig=config))).tasks[0].cache_config
