"""Tests of gorego_tw.remote.bridge, on the loop of the reactor."""

from __future__ import annotations

import asyncio

from twisted.internet.defer import CancelledError

from gorego_tw.errors import Unavailable
from gorego_tw.remote.bridge import deferred
from tests.remote.peer import PeerTestCase


class DeferredTests(PeerTestCase):
    async def test_result(self) -> None:
        """What asyncio gives is what Twisted gets."""
        self.assertEqual(await deferred(asyncio.sleep(0, "done")), "done")

    async def test_failure(self) -> None:
        """So is what it raises."""

        async def fail() -> None:
            raise ValueError("no")

        await self.failed(deferred(fail()), ValueError)

    async def test_cancel(self) -> None:
        """Cancelling cancels the task, whatever it then does, and ends in Twisted's own exception."""
        ended = []

        async def wait() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append(True)
                raise ValueError("too late for anybody") from None

        waiting = deferred(wait())
        await self.turns(0.001)
        waiting.cancel()
        await self.failed(waiting, CancelledError)
        await self.turns(0.001)
        self.assertEqual(ended, [True])

    async def test_cancelled_by_others(self) -> None:
        """What somebody else cancels is trouble, and no sign that our caller has left."""
        task = asyncio.ensure_future(asyncio.sleep(60))
        waiting = deferred(task)
        task.cancel()
        await self.failed(waiting, Unavailable)
