"""A daemon for the tests of a file, and the stock Python SDK's clients of it.

What a file needs of its own, it defines anew under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.orkes_clients import OrkesClients

from tests.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all tests of a file."""
    with Daemon(tmp_path_factory.mktemp("sdk") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def configuration(daemon: Daemon) -> Configuration:
    """The SDK's configuration: nothing but the address."""
    return Configuration(server_api_url=f"{daemon.url}/api")


@pytest.fixture(scope="module")
def clients(configuration: Configuration) -> OrkesClients:
    """The SDK's clients."""
    return OrkesClients(configuration=configuration)
