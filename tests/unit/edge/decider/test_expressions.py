"""``${...}``: found, looked up, and turned into values or text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decider.expressions import SnapshotLookup, resolve
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus, task_uuid
from edge.model.snapshot import Snapshot
from tests.unit.edge.playbook import NOW_MS, WORKFLOW_ID, pin, step

INPUT = {
    "a": 1,
    "b": "x",
    "list": [{"id": 1, "v": "p"}, {"id": 2, "v": "q"}],
    "obj": {"k": "v", "deep": {"z": 3.5}},
    "idx": 1,
    "key": "b",
    "numbers": [1, 2.5, "no", True],
    "dot.key": 7,
    "sp ace": 8,
    "template": "${workflow.input.a}",
    "huge": [10**400],
    "f": 3.0,
}


def snapshot() -> Snapshot:
    """A workflow with the input above, a variable, and two attempts at ``t``."""
    workflow = Workflow(
        key=1,
        id=WORKFLOW_ID,
        name="play",
        version=3,
        pinned=1,
        status=WorkflowStatus.RUNNING,
        input=msgspec.json.encode(INPUT),
        output=b'{"o":1}',
        variables=b'{"v":[1]}',
        correlation_id="c-1",
        created_ms=NOW_MS,
        reason="why",
        task_to_domain={"x": "d"},
        idempotency_key="k-1",
    )
    first = Task(
        ordinal=1, seq=1, ref="t", kind="SIMPLE", type="t", name="t", status=TaskStatus.FAILED
    )
    second = Task(
        ordinal=2,
        seq=2,
        ref="t",
        kind="SIMPLE",
        type="type",
        name="name",
        status=TaskStatus.COMPLETED,
        attempt=1,
        input=b'{"i":2}',
        output=b'{"n":{"m":[4,5]}}',
        scheduled_ms=11,
        started_ms=12,
        ended_ms=13,
        callback_after_s=14,
        polls=15,
        worker="w",
        reason="r",
    )
    return Snapshot(workflow, pin(step("t")), [first, second])


def value(template: Any) -> Any:
    """A template resolved in the snapshot above."""
    return resolve(template, SnapshotLookup(snapshot()))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${workflow.input.a}", 1),
        (" ${workflow.input.a}", " 1"),
        ("v=${workflow.input.a},${workflow.input.b}", "v=1,x"),
        ("${workflow.input.missing.deep}", None),
        ("x${workflow.input.missing}y", "xnully"),
        ("${workflow.input.list[*].id}", [1, 2]),
        ("${workflow.input.list[?(@.id==2)].v}", ["q"]),
        ("${workflow.input.list[?(@.id>5)].v}", []),
        ("${workflow.input.list[-1].id}", 2),
        ("${workflow.input.list.length()}", 2),
        ("${workflow.input.list[${workflow.input.idx}].v}", "q"),
        ("${workflow.input.${workflow.input.key}}", "x"),
        ("o=${workflow.input.obj}", "o={k=v, deep={z=3.5}}"),
        ("l=${workflow.input.list}", "l=[{id=1, v=p}, {id=2, v=q}]"),
        ('{"x": ${workflow.input.a}}', '{"x": 1}'),
        ("$${workflow.input.a}", "${workflow.input.a}"),
        ("$$${workflow.input.a}", "$${workflow.input.a}"),
        ("${ workflow.input.a }", None),
        ("${$.workflow.input.a}", 1),
        ("return `${ 'js' }`", "return `null`"),
        ("a${}b", "ab"),
    ],
)
def test_worked_examples(template: str, expected: Any) -> None:
    """The worked examples of the reference, to the letter and the type."""
    found = value(template)

    assert expected == found
    assert type(expected) is type(found) or isinstance(expected, list)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # Grammar.
        ("${}", ""),
        ("${ }", ""),
        ("plain", "plain"),
        ("a ${workflow.input.a", "a ${workflow.input.a"),
        ("${workflow.input.a} ${open", "1 ${open"),
        ("${workflow.input.a ${workflow.input.a}", "${workflow.input.a ${workflow.input.a}"),
        ("$${open", "${open"),
        ("a $${x{y}z} b", "a ${x{y}z} b"),
        ("${workflow.input\n.a}", 1),
        ("${workflow.input\n.none}", None),
        ("${{a}}", None),
        ("${x{a}y}!", "null!"),
        ("<${workflow.input.list[*].id}>", "<[1,2]>"),
        ("${workflow.input.template}", "${workflow.input.template}".replace("template", "a")),
        # Paths.
        ("${workflow.input['a']}", 1),
        ('${workflow.input["dot.key"]}', 7),
        ("${workflow.input['sp ace']}", 8),
        ("${workflow.input.list[2]}", None),
        ("${workflow.input.list[-3]}", None),
        ("${workflow.input.a[0]}", None),
        ("${workflow.input.a.b}", None),
        ("${workflow.input.list[0,1].v}", ["p", "q"]),
        ("${workflow.input.list[0:1].v}", ["p"]),
        ("${workflow.input..z}", [3.5]),
        ("${workflow[*].nothing}", []),
        ("${.workflow}", None),
        ("${[0]}", None),
        ("${$.}", None),
        ("${workflow.input.my key}", None),
        ("${workflow.input.list[?(@.id==}", None),
        ("${?}", None),
        ("${nobody.output.x}", None),
        # Functions.
        ("${workflow.input.b.length()}", 1),
        ("${workflow.input.a.length()}", None),
        ("${workflow.input.obj.size()}", 2),
        ("${workflow.input.a.size()}", None),
        ("${workflow.input.obj.keys()}", ["k", "deep"]),
        ("${workflow.input.a.keys()}", None),
        ("${workflow.input.numbers.sum()}", 3.5),
        ("${workflow.input.numbers.max()}", 2.5),
        ("${workflow.input.numbers.min()}", 1.0),
        ("${workflow.input.numbers.avg()}", 1.75),
        ("${workflow.input.obj.max()}", None),
        ("${workflow.input.obj.avg()}", None),
        ("${workflow.input.huge.max()}", None),
        ("${workflow.input.list.unknown()}", None),
        ("${workflow.input.list[*].id.sum()}", 3.0),
        ("${workflow.input.list[*].unknown()}", None),
        # The workflow.
        ("${workflow.output.o}", 1),
        ("${workflow.variables.v[0]}", 1),
        ("${workflow.status}", "RUNNING"),
        ("${workflow.workflowId}", "00010203-0405-0607-0809-0a0b00000000"),
        ("${workflow.workflowType}", "play"),
        ("${workflow.version}", 3),
        ("${workflow.schemaVersion}", 2),
        ("${workflow.correlationId}", "c-1"),
        ("${workflow.reasonForIncompletion}", "why"),
        ("${workflow.createTime}", NOW_MS),
        ("${workflow.idempotencyKey}", "k-1"),
        ("${workflow.taskToDomain.x}", "d"),
        ("${workflow.parentWorkflowId}", None),
        # A secret is put in when the task is handed over; until then its reference stands.
        ("${workflow.secrets.NAME}", "${workflow.secrets.NAME}"),
        ("Bearer ${workflow.secrets.${workflow.input.b}.t}", "Bearer ${workflow.secrets.x.t}"),
        # A task: the newest record of its reference.
        ("${t.input.i}", 2),
        ("${t.output.n.m[1]}", 5),
        ("${t.status}", "COMPLETED"),
        ("${t.taskId}", task_uuid(WORKFLOW_ID, 2)),
        ("${t.taskType}", "type"),
        ("${t.taskDefName}", "name"),
        ("${t.referenceTaskName}", "t"),
        ("${t.retryCount}", 1),
        ("${t.pollCount}", 15),
        ("${t.iteration}", 0),
        ("${t.correlationId}", "c-1"),
        ("${t.workflowInstanceId}", "00010203-0405-0607-0809-0a0b00000000"),
        ("${t.scheduledTime}", 11),
        ("${t.startTime}", 12),
        ("${t.endTime}", 13),
        ("${t.reasonForIncompletion}", "r"),
        ("${t.callbackAfterSeconds}", 14),
        ("${t.workerId}", "w"),
        ("${t..m}", [[4, 5]]),
    ],
)
def test_grammar_paths_and_context(template: str, expected: Any) -> None:
    """Everything an expression may name, and everything that is none."""
    assert expected == value(template)


def test_a_whole_workflow_or_task_is_a_map_of_its_fields() -> None:
    """An expression that names no field stands for all of them."""
    task, workflow = value("${t}"), value("${workflow}")

    assert {"i": 2} == task["input"]
    assert "COMPLETED" == task["status"]
    assert "play" == workflow["workflowType"]
    assert len(workflow) == value("${workflow.length()}")


def test_maps_and_lists_are_walked_and_keys_are_not() -> None:
    """Values are replaced at any depth; keys stay as their author wrote them."""
    template = {"${workflow.input.a}": ["${workflow.input.a}", {"k": "${t.output.n}"}, 5, None]}

    assert {"${workflow.input.a}": [1, {"k": {"m": [4, 5]}}, 5, None]} == value(template)


def test_the_id_of_the_task_being_scheduled() -> None:
    """CPEWF_TASK_ID is the id of the record that the input is made for."""
    lookup = SnapshotLookup(snapshot(), 9)

    assert task_uuid(WORKFLOW_ID, 9) == resolve("${CPEWF_TASK_ID}", lookup)
    assert value("${CPEWF_TASK_ID}") is None


def test_absurd_nesting_is_left_alone() -> None:
    """Deeper than any definition goes, maps and expressions stay as they stand."""
    deep: Any = "${workflow.input.a}"
    for _ in range(300):
        deep = [deep]
    nested = "${" * 5_000 + "}" * 5_000

    found = value(deep)
    for _ in range(300):
        found = found[0]

    assert "${workflow.input.a}" == found
    assert value(nested) is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="${}[]().*?@:'\"workflinputab,=<0-1 ", max_size=30))
def test_no_text_can_break_a_decision(text: str) -> None:
    """Any text in a definition gives a value that can be written, and never an error."""
    for template in (text, "${" + text + "}", "${workflow.input." + text + "}"):
        msgspec.json.encode(value(template))
