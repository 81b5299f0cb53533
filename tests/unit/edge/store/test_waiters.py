"""Pollers that wait: woken in their order, ended by one timer, and forgotten when they leave."""

from __future__ import annotations

import asyncio

import pytest

from edge.store.waiters import Waiters


def test_each_wait_ends_with_its_time_whatever_the_order() -> None:
    """A short wait that begins behind a long one ends before it."""

    async def main() -> list[str]:
        waiters, order = Waiters(), []

        async def wait(name: str, timeout_s: float) -> None:
            assert not await waiters.wait("q", timeout_s)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            for name, timeout_s in (("long", 0.2), ("short", 0.01), ("middle", 0.1)):
                group.create_task(wait(name, timeout_s))
            await asyncio.sleep(0)
            assert waiters.is_waited_for("q")
        assert not waiters.is_waited_for("q")
        assert not waiters._ends
        return order

    assert ["short", "middle", "long"] == asyncio.run(main())


def test_the_one_that_has_waited_longest_is_woken() -> None:
    """And the others wait on; all of them are woken when they all shall look."""

    async def main() -> None:
        waiters = Waiters()
        waits = [asyncio.ensure_future(waiters.wait("q", 20)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters.wake("nobody", 1)
        waiters.wake("q", 1)
        assert await waits[0]
        assert [False, False] == [wait.done() for wait in waits[1:]]

        waiters.wake_all()
        assert [True, True] == [await wait for wait in waits[1:]]

    asyncio.run(main())


def test_who_is_woken_and_goes_away_wakes_the_next() -> None:
    """A wake-up is not lost; one who merely goes away wakes nobody."""

    async def main() -> None:
        waiters = Waiters()
        waits = [asyncio.ensure_future(waiters.wait("q", 20)) for _ in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waits[1].done()
        waiters.wake("q", 1)
        waits[1].cancel()

        assert await waits[2]
        with pytest.raises(asyncio.CancelledError):
            await waits[1]

    asyncio.run(main())


def test_waits_that_are_over_leave_nothing_behind() -> None:
    """Polls that find something at once would pile up until their time has passed."""

    async def main() -> None:
        waiters = Waiters()
        idle = asyncio.ensure_future(waiters.wait("idle", 20))
        for _ in range(1_000):
            wait = asyncio.ensure_future(waiters.wait("q", 20))
            await asyncio.sleep(0)
            waiters.wake("q", 1)
            assert await wait

        assert len(waiters._ends) < 150
        assert not waiters.is_waited_for("q")
        idle.cancel()

    asyncio.run(main())


def test_nobody_waits_at_the_end() -> None:
    """Those who wait go without a task, and so does whoever comes then."""

    async def main() -> None:
        waiters = Waiters()
        waits = [asyncio.ensure_future(waiters.wait(queue, 20)) for queue in ("p", "q")]
        await asyncio.sleep(0)
        waiters.close()
        assert [False, False] == [await wait for wait in waits]
        assert not await waiters.wait("q", 20)
        assert not waiters.is_waited_for("q")

    asyncio.run(main())
