"""The stock Conductor SDK for Python, unmodified, against a daemon that asks for a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from conductor.client.configuration.configuration import Configuration
from conductor.client.configuration.settings.authentication_settings import AuthenticationSettings
from conductor.client.http.models.create_or_update_application_request import (
    CreateOrUpdateApplicationRequest,
)
from conductor.client.http.models.subject_ref import SubjectRef
from conductor.client.http.models.target_ref import TargetRef, TargetType
from conductor.client.http.models.task_def import TaskDef
from conductor.client.http.models.upsert_group_request import UpsertGroupRequest
from conductor.client.http.models.upsert_user_request import UpsertUserRequest
from conductor.client.http.rest import ApiException, AuthorizationException
from conductor.client.orkes.models.access_key_status import AccessKeyStatus
from conductor.client.orkes.models.access_type import AccessType
from conductor.client.orkes.models.metadata_tag import MetadataTag
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.task.simple_task import SimpleTask

from edge.cli import main
from tests.acceptance import sdk_house
from tests.acceptance.sdk_house import run, workflow_of
from tests.daemon import Daemon

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]

_CONFIG = "[auth]\nenabled = true\n[workflows]\nenable = []\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, dict[str, str]]]:
    """A daemon that asks for a token, and its administrator's key."""
    folder = tmp_path_factory.mktemp("sdk-auth") / "data"
    made = CliRunner().invoke(main, ["auth", "bootstrap", "--data-dir", str(folder), "--json"])
    assert 0 == made.exit_code, made.output
    with Daemon(folder, config=_CONFIG) as daemon:
        yield daemon, json.loads(made.output)


def _clients(daemon: Daemon, key: str, secret: str) -> OrkesClients:
    return OrkesClients(
        configuration=Configuration(
            server_api_url=f"{daemon.url}/api",
            authentication_settings=AuthenticationSettings(key_id=key, key_secret=secret),
        )
    )


@pytest.fixture(scope="module")
def clients(root: tuple[Daemon, dict[str, str]]) -> OrkesClients:
    """The SDK with the administrator's key."""
    daemon, key = root
    return _clients(daemon, key["id"], key["secret"])


def _application(clients: OrkesClients, *roles: str) -> tuple[str, str, str]:
    """A new application's id, key and secret."""
    access = clients.get_authorization_client()
    made = access.create_application(CreateOrUpdateApplicationRequest("-".join(roles)))
    for role in roles:
        access.add_role_to_application_user(made.id, role)
    key = access.create_access_key(made.id)
    return made.id, key.id, key.secret


def test_a_worker_with_its_own_key(
    root: tuple[Daemon, dict[str, str]], clients: OrkesClients
) -> None:
    """One application starts, another one works, each with what it may do and no more."""
    daemon, _ = root
    clients.get_metadata_client().register_task_def(
        TaskDef(name="sdk_greet", retry_count=0, owner_email="a@b.invalid")
    )
    _, worker_key, worker_secret = _application(clients, "WORKER")
    _, starter_key, starter_secret = _application(clients, "WORKFLOW_MANAGER", "METADATA_API")
    environment = {"CONDUCTOR_AUTH_KEY": worker_key, "CONDUCTOR_AUTH_SECRET": worker_secret}
    with sdk_house.workers("sdk_workers.py", daemon.url, environment):
        starter = _clients(daemon, starter_key, starter_secret)
        workflow = workflow_of(starter, "sdk_secured")
        greet = SimpleTask("sdk_greet", "greet").input_parameter("name", "${workflow.input.name}")
        workflow >> greet
        execution = run(starter, workflow, {"name": "edge"})

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert {"greeting": "hello edge"} == execution.tasks[0].output_data


def test_what_a_role_does_not_allow(
    root: tuple[Daemon, dict[str, str]], clients: OrkesClients
) -> None:
    """The SDK raises, and does not renew its token in a circle."""
    daemon, _ = root
    _, key, secret = _application(clients, "USER_READ_ONLY")
    reader = _clients(daemon, key, secret)

    assert isinstance(reader.get_metadata_client().get_all_workflow_defs(), list)
    with pytest.raises(ApiException) as refused:
        reader.get_metadata_client().register_task_def(TaskDef(name="x"))
    assert 403 == refused.value.status


def test_wrong_credentials(root: tuple[Daemon, dict[str, str]]) -> None:
    """The SDK goes on without a token, and each request is refused."""
    daemon, key = root
    stranger = _clients(daemon, key["id"], "wrong")

    with pytest.raises(AuthorizationException):
        stranger.get_metadata_client().get_all_workflow_defs()


def test_a_void_token_is_renewed(
    root: tuple[Daemon, dict[str, str]], clients: OrkesClients
) -> None:
    """The key of the tokens is lost: the SDK asks for another token and repeats the request."""
    daemon, key = root
    mine = _clients(daemon, key["id"], key["secret"])
    metadata = mine.get_metadata_client()
    metadata.get_all_workflow_defs()
    metadata.api_client.configuration.update_token("e30.e30.void")

    assert isinstance(metadata.get_all_workflow_defs(), list)


def test_applications_and_their_keys(clients: OrkesClients) -> None:
    """As the SDK's own suite does it."""
    access = clients.get_authorization_client()
    application, key, _ = _application(clients, "WORKER")
    access.set_application_tags([MetadataTag("team", "roof")], application)
    renamed = access.update_application(CreateOrUpdateApplicationRequest("renamed"), application)

    assert "renamed" == renamed.name == access.get_application(application).name
    assert application in [one.id for one in access.list_applications()]
    assert ["team"] == [tag.key for tag in access.get_application_tags(application)]
    assert AccessKeyStatus.INACTIVE == access.toggle_access_key_status(application, key).status
    assert [key] == [one.id for one in access.get_access_keys(application)]
    assert application == access.get_app_by_access_key_id(key)["id"]
    access.delete_access_key(application, key)
    assert [] == access.get_access_keys(application)
    access.remove_role_from_application_user(application, "WORKER")
    access.delete_application(application)
    with pytest.raises(ApiException):
        access.get_application(application)


def test_people_and_grants(clients: OrkesClients) -> None:
    """Users, groups, roles and grants through the SDK's clients."""
    access = clients.get_authorization_client()
    group = access.upsert_group(UpsertGroupRequest(description="d", roles=["USER"]), "sdk_group")
    user = access.upsert_user(UpsertUserRequest(name="Ada", roles=["USER"]), "ada@b.invalid")
    access.add_user_to_group("sdk_group", "ada@b.invalid")
    target = TargetRef(TargetType.WORKFLOW_DEF, "flow")
    subject = SubjectRef("GROUP", "sdk_group")
    access.grant_permissions(subject, target, [AccessType.READ, AccessType.EXECUTE])

    assert ("sdk_group", "ada@b.invalid") == (group.id, user.id)
    assert ["USER"] == [role.name for role in access.get_user("ada@b.invalid").roles]
    assert ["ada@b.invalid"] == [one.id for one in access.get_users_in_group("sdk_group")]
    assert {"READ", "EXECUTE"} == set(access.get_permissions(target))
    (granted,) = access.get_granted_permissions_for_group("sdk_group")
    assert ["EXECUTE", "READ"] == sorted(granted.access)
    assert 1 == len(access.get_granted_permissions_for_user("ada@b.invalid"))
    assert access.check_permissions("ada@b.invalid", "WORKFLOW_DEF", "flow")["READ"]
    access.remove_permissions(subject, target, [AccessType.READ, AccessType.EXECUTE])
    assert {} == access.get_permissions(target)
    assert "ADMIN" in [role.name for role in access.list_all_roles()]
    access.remove_user_from_group("sdk_group", "ada@b.invalid")
    access.delete_group("sdk_group")
    access.delete_user("ada@b.invalid")
    assert "ada@b.invalid" not in [one.id for one in access.list_users()]
    assert access.get_user_info_from_token()["applicationUser"]


def test_tags_through_the_sdk(clients: OrkesClients) -> None:
    """Of task definitions, by the SDK's own client."""
    metadata = clients.get_metadata_client()
    metadata.register_task_def(TaskDef(name="sdk_tagged", owner_email="a@b.invalid"))
    metadata.addTaskTag(MetadataTag("team", "roof"), "sdk_tagged")
    metadata.addTaskTag(MetadataTag("env", "test"), "sdk_tagged")
    both = metadata.getTaskTags("sdk_tagged")
    metadata.deleteTaskTag(MetadataTag("env", "test"), "sdk_tagged")
    one = metadata.getTaskTags("sdk_tagged")
    metadata.setTaskTags([], "sdk_tagged")

    assert [("team", "roof"), ("env", "test")] == [(tag.key, tag.value) for tag in both]
    assert ["team"] == [tag.key for tag in one]
    assert [] == metadata.getTaskTags("sdk_tagged")


def test_health_is_open(root: tuple[Daemon, dict[str, str]]) -> None:
    """A supervisor needs no key, and the pages can be opened to log in."""
    daemon, _ = root

    for path in ("/health", "/api/health", "/api/version", "/", "/swagger-ui/index.html"):
        answer = httpx.get(f"{daemon.url}{path}", timeout=30, trust_env=False)
        assert 200 == answer.status_code, path


def test_workers_that_the_platform_hosts(tmp_path: Path) -> None:
    """They are given a key of their own; nobody writes one into the configuration."""
    module = Path(__file__).parents[1] / "integration" / "hosted_module.py"
    made = CliRunner().invoke(
        main, ["auth", "bootstrap", "--data-dir", str(tmp_path / "data"), "--json"]
    )
    key = json.loads(made.output)
    with Daemon(tmp_path / "data", config=f'{_CONFIG}[[worker]]\nmodule = "{module}"\n') as daemon:
        clients = _clients(daemon, key["id"], key["secret"])
        workflow = workflow_of(clients, "hosted")
        workflow >> SimpleTask("hosted_greet", "greet").input_parameter("name", "Eve")
        execution = run(clients, workflow, {})

    assert "COMPLETED" == execution.status
    assert "hello Eve" == execution.tasks[0].output_data["greeting"]
