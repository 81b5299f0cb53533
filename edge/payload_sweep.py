"""The sweep of payload files: what no execution needs any more goes, and nothing before.

Which files are written is not decided here.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from edge.clock import stamp_before
from edge.engine import Engine
from edge.model.errors import Overloaded, StorageUnavailable
from edge.store import files, payloads
from edge.uploads import Uploads

_EVERY_S = 300.0
"""Between two sweeps. A file lies around for so long, which costs room and nothing else."""

_AT_ONCE = 200
"""Files that are looked at and removed in one hop to the disk thread; others wait so long."""

_UPLOAD_AGE_S = 86_400.0
"""An upload that nobody has referred to within a day was given up."""

_log = structlog.get_logger(__name__)


class PayloadSweep:
    """Removes files of payloads. One for each daemon.

    Args:
        engine: whose executions need them.
        uploads: what clients have sent.
        kept: files that workers hand each other; None = there are none.
    """

    def __init__(self, engine: Engine, uploads: Uploads, kept: Uploads | None = None) -> None:
        self._engine = engine
        self._uploads = uploads
        self._kept = kept

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                removed = await self.sweep()
            except (OSError, Overloaded, StorageUnavailable) as error:
                # A disk that fails here fails the engine's next commit too, which tells clients.
                _log.error("payloads_not_swept", reason=str(error))
            else:
                if removed:
                    _log.info("payloads_removed", files=removed)
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> int:
        """Remove what nobody needs; returns how many files.

        A file that a power cut left behind, written for a record that never was, is one of these.
        """
        database, stored = self._engine.database, self._engine.payloads.files
        await self._engine.request(lambda t: payloads.drop_orphans(t.connection))
        digests = await asyncio.to_thread(list, stored.all())
        removed = 0
        for start in range(0, len(digests), _AT_ONCE):
            page = digests[start : start + _AT_ONCE]
            # Between two transactions, on the thread that writes: no file can have been written
            # whose row is still to come.
            removed += len(await database.hop(partial(payloads.sweep, files=stored, digests=page)))
        removed += await self._sweep_kept()
        now_s = self._engine.clock.now_ms() / 1000
        return removed + await asyncio.to_thread(self._uploads.sweep, now_s, _UPLOAD_AGE_S)

    async def _sweep_kept(self) -> int:
        """Remove the files whose execution is gone, or never was, and that a day has passed over."""
        if self._kept is None:
            return 0
        before_ms = stamp_before(self._engine.clock, int(_UPLOAD_AGE_S * 1000))
        gone = await self._engine.database.read(lambda c: files.abandoned(c, before_ms))
        # The content first: only the row knows of it, and leads the next sweep to what is left.
        for file_id in gone:
            await asyncio.to_thread(self._kept.drop, file_id)
        await self._engine.request(lambda t: files.drop_files(t.connection, gone, before_ms))
        return len(gone)
