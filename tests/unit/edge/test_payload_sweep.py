"""The sweep: files whose last execution is gone, uploads that nobody took up, and nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import payload_sweep
from edge.engine import Engine
from edge.lookups import Lookups
from edge.model.executions import parse_uuid
from edge.model.payload_limits import PayloadLimits
from edge.payload_sweep import PayloadSweep
from edge.store.files import StoredFile, put_file, read_file
from edge.uploads import Uploads
from tests.unit.edge.engine_house import answer, claim, define, run, simple, start

SMALL = Lookups(limits=PayloadLimits(task_file=100, workflow_file=100))
LARGE = {"x": "y" * 200}


async def _part() -> AsyncIterator[bytes]:
    yield b"{}"


def test_files_go_with_their_last_execution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page at a time; what a running or an ended execution needs stays."""
    monkeypatch.setattr(payload_sweep, "_AT_ONCE", 2)

    async def body(engine: Engine) -> None:
        sweep = PayloadSweep(engine, Uploads(tmp_path / "up", 1_000))
        await define(engine, "w", simple("a"))
        ids = [await start(engine, "w", input={"n": n, **LARGE}) for n in range(3)]
        await answer(engine, await claim(engine, "a"), output=LARGE)
        assert 0 == await sweep.sweep()
        assert 4 == len(list(engine.payloads.files.all()))

        await engine.remove(ids[0])
        assert 2 == await sweep.sweep()
        assert {"n": 1, **LARGE} == (await _input(engine, ids[1]))
        for one in ids[1:]:
            await engine.remove(one)
        assert 2 == await sweep.sweep()
        assert [] == list(engine.payloads.files.all())

    run(tmp_path, body, lookups=SMALL)


async def _input(engine: Engine, workflow_id: str) -> object:
    parsed = parse_uuid(workflow_id)
    assert parsed is not None
    return await engine.request(lambda t: t.snapshot(parsed[0]).parsed(0, "input"))


def test_an_orphan_of_a_power_cut_goes(tmp_path: Path) -> None:
    """A file whose COMMIT never came has no row; a row whose execution is gone has no use."""

    async def body(engine: Engine) -> None:
        engine.payloads.files.put(b"orphan")
        await engine.request(
            lambda t: t.connection.execute(
                "INSERT INTO payload (holder, part, digest) VALUES (?, 'input', ?)",
                (99 << 24, engine.payloads.files.put(b"of an older release")),
            )
        )

        assert 2 == await PayloadSweep(engine, Uploads(tmp_path / "up", 1_000)).sweep()

    run(tmp_path, body)


def test_uploads_are_given_a_day(tmp_path: Path) -> None:
    """After that whoever uploaded them has given up."""

    async def body(engine: Engine) -> None:
        uploads = Uploads(tmp_path / "up", 1_000)
        now_s = engine.clock.now_ms() / 1000
        for name, age_s in (("young", 86_000), ("old", 87_000)):
            await uploads.take(name, _part())
            os.utime(uploads.path_of(name), (now_s - age_s,) * 2)

        assert 1 == await PayloadSweep(engine, uploads).sweep()
        assert uploads.find("young") is not None

    run(tmp_path, body)


def test_the_loop_goes_on_when_the_disk_fails(tmp_path: Path) -> None:
    """It is told and tried again; the engine's own commits tell clients."""

    async def body(engine: Engine) -> None:
        (tmp_path / "payloads").mkdir()
        tries = 0

        class Failing(Uploads):
            """A disk that fails."""

            def sweep(self, now_s: float, max_age_s: float) -> int:
                nonlocal tries
                tries += 1
                raise OSError("worn out")

        loop = asyncio.ensure_future(PayloadSweep(engine, Failing(tmp_path / "up", 1)).run())
        while not tries:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert not loop.done()
        loop.cancel()

    run(tmp_path, body)


def test_a_file_that_could_not_be_removed_is_found_again(tmp_path: Path) -> None:
    """What is known of it goes last, so that whatever stops a sweep leaves no stray content."""

    class Failing(Uploads):
        """A disk that fails once."""

        failed = False

        def drop(self, name: str) -> None:
            if not self.failed:
                self.failed = True
                raise OSError("worn out")
            super().drop(name)

    async def body(engine: Engine) -> None:
        kept = Failing(tmp_path / "kept", 1_000)
        await kept.take("f", _part())
        file = StoredFile("f", "nobody", None, None, "text/plain", "UPLOADED", 2, None, 1, 1)
        await engine.request(lambda t: put_file(t.connection, file))
        sweep = PayloadSweep(engine, Uploads(tmp_path / "up", 1_000), kept)
        with pytest.raises(OSError, match="worn out"):
            await sweep.sweep()

        assert 1 == await sweep.sweep()
        assert 0 == kept.used_bytes()
        assert await engine.database.read(lambda c: read_file(c, "f")) is None

    run(tmp_path, body)


def test_a_file_that_is_sent_again_while_it_is_swept_stays_known(tmp_path: Path) -> None:
    """What was noted of it since leads a later sweep to the new content."""

    async def body(engine: Engine) -> None:
        async def note(updated_ms: int) -> None:
            file = StoredFile(
                "f", "nobody", None, None, "text/plain", "UPLOADING", 2, None, 1, updated_ms
            )
            await engine.request(lambda t: put_file(t.connection, file))

        async def send() -> None:
            await kept.take("f", _part(), lambda _: note(engine.clock.now_ms()))

        class Crossed(Uploads):
            """Whoever sends the file comes right after its content was removed."""

            def drop(self, name: str) -> None:
                super().drop(name)
                asyncio.run_coroutine_threadsafe(send(), loop).result()

        loop = asyncio.get_running_loop()
        kept = Crossed(tmp_path / "kept", 1_000)
        await note(1)
        await PayloadSweep(engine, Uploads(tmp_path / "up", 1_000), kept).sweep()

        assert kept.find("f") is not None
        assert await engine.database.read(lambda c: read_file(c, "f")) is not None

    run(tmp_path, body)
