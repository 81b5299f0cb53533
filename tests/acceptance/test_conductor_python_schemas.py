"""The stock Conductor SDK for Python, unmodified, against a real daemon: its schemas."""

from __future__ import annotations

import pytest
from conductor.client.http.models.schema_def import SchemaDef, SchemaType
from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.http.models.workflow_def import WorkflowDef
from conductor.client.http.models.workflow_task import WorkflowTask
from conductor.client.http.rest import ApiException
from conductor.client.orkes_clients import OrkesClients

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]

DATA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_schemas_through_the_client(clients: OrkesClients) -> None:
    """Register, get, list, delete a version, delete all."""
    schemas = clients.get_schema_client()
    for version in (1, 2):
        schemas.register_schema(SchemaDef("ut_schema", version, SchemaType.JSON, DATA))

    found = schemas.get_schema("ut_schema", 2)
    assert ("ut_schema", 2, "JSON", DATA) == (
        found.name,
        found.version,
        str(found.type),
        found.data,
    )
    assert 2 == len([one for one in schemas.get_all_schemas() if one.name == "ut_schema"])
    schemas.delete_schema("ut_schema", 1)
    with pytest.raises(ApiException) as gone:
        schemas.get_schema("ut_schema", 1)
    assert 404 == gone.value.status
    schemas.delete_schema_by_name("ut_schema")
    assert "ut_schema" not in {one.name for one in schemas.get_all_schemas()}


def test_a_workflow_is_held_to_its_schema(clients: OrkesClients) -> None:
    """A definition that the SDK registers, with a schema by name; a wrong start is a 400."""
    clients.get_schema_client().register_schema(SchemaDef("ut_input", 1, SchemaType.JSON, DATA))
    definition = WorkflowDef(
        name="ut_held",
        version=1,
        tasks=[WorkflowTask(name="noop", task_reference_name="noop", type="NOOP")],
        input_schema=SchemaDef("ut_input", 1, SchemaType.JSON),
        enforce_schema=True,
        owner_email="a@b.invalid",
        timeout_seconds=60,
    )
    clients.get_metadata_client().register_workflow_def(definition, overwrite=True)
    workflows = clients.get_workflow_client()

    with pytest.raises(ApiException) as refused:
        workflows.start_workflow(StartWorkflowRequest(name="ut_held", input={"n": "x"}))
    assert 400 == refused.value.status
    assert "input.n" in str(refused.value.body)
    started = workflows.start_workflow(StartWorkflowRequest(name="ut_held", input={"n": 1}))
    assert "COMPLETED" == workflows.get_workflow(started).status
