"""The stock Conductor SDK for Python, unmodified, against a real daemon: its secrets."""

from __future__ import annotations

import pytest
from conductor.client.http.rest import ApiException
from conductor.client.orkes.models.metadata_tag import MetadataTag
from conductor.client.orkes_clients import OrkesClients

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]


def test_secrets_through_the_client(clients: OrkesClients) -> None:
    """Put, get, list, exists, delete."""
    secrets = clients.get_secret_client()
    secrets.put_secret("ut_secret-1", "s3cr3t value")
    secrets.put_secret("ut_lines", 'two\nlines and a "quote"')

    assert "s3cr3t value" == secrets.get_secret("ut_secret-1")
    assert 'two\nlines and a "quote"' == secrets.get_secret("ut_lines")
    # The tests share a daemon, in any order.
    listed = secrets.list_all_secret_names()
    assert {"ut_secret-1", "ut_lines"} == listed - {"ut_tagged"}
    assert sorted(listed) == secrets.list_secrets_that_user_can_grant_access_to()
    assert secrets.secret_exists("ut_secret-1") is True
    secrets.delete_secret("ut_secret-1")
    assert secrets.secret_exists("ut_secret-1") is False
    with pytest.raises(ApiException) as gone:
        secrets.get_secret("ut_secret-1")
    assert 404 == gone.value.status


def test_tags_of_secrets_through_the_client(clients: OrkesClients) -> None:
    """Set, get, delete."""
    secrets = clients.get_secret_client()
    secrets.put_secret("ut_tagged", "v")
    secrets.set_secret_tags([MetadataTag("a", "1"), MetadataTag("b", "2")], "ut_tagged")

    assert {("a", "1"), ("b", "2")} == {
        (tag.key, tag.value) for tag in secrets.get_secret_tags("ut_tagged")
    }
    secrets.delete_secret_tags([MetadataTag("a", "1")], "ut_tagged")
    assert ["b"] == [tag.key for tag in secrets.get_secret_tags("ut_tagged")]
