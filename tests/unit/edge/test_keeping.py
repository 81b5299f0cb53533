"""What a link waits for: a disk that refuses is the link's affair, a fault is not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from edge.engine import Engine
from edge.keeping import keep
from edge.model.errors import BatonError, NotFound, Overloaded, StorageUnavailable
from sync.link import LinkError, NotTaken


class _Refuses:
    """An engine of which only the refusals are known."""

    def __init__(self, error: BatonError) -> None:
        self._error = error

    async def request(self, _: Any) -> None:
        raise self._error


def _keep(error: BatonError) -> None:
    asyncio.run(keep(cast(Engine, _Refuses(error)), lambda _: None))


@pytest.mark.parametrize("error", [StorageUnavailable("full"), Overloaded("full")])
def test_what_may_go_later_is_offered_again(error: BatonError) -> None:
    """The link hears of it in its own words, and goes on as after any other trouble."""
    with pytest.raises(NotTaken, match="full"):
        _keep(error)

    assert issubclass(NotTaken, LinkError)


def test_what_never_goes_is_told_as_it_is() -> None:
    """To offer it again would be of no use."""
    with pytest.raises(NotFound):
        _keep(NotFound("gone"))
