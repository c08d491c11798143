"""Many readers of one blob that only the backing cache has."""

from __future__ import annotations

import asyncio
import os
import time

import grpc

from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.backing import PIECE_BYTES, Backing
from tests.end_to_end.client import MIB, Stubs, asyncio_channel, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase

READERS = 200
CHANNELS = 4


class CoalescingTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.daemon: Daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=self.backing.target
        ).start()

    async def read(self, stubs: Stubs, data: bytes) -> float:
        """Read the blob.

        :returns: when its first byte was here (time.monotonic).
        """
        request = bytestream.ReadRequest(resource_name=read_name(digest_of(data)))
        first_at, at = 0.0, 0
        async for reply in stubs.byte_stream.Read(request):
            first_at = first_at or time.monotonic()
            self.assertEqual(reply.data, data[at : at + len(reply.data)])
            at += len(reply.data)
        self.assertEqual(at, len(data))
        return first_at

    async def read_all(self, data: bytes, readers: int) -> list[float]:
        """Read it so many times at once."""
        channels = [asyncio_channel(self.daemon.target) for _ in range(CHANNELS)]
        stubs = [Stubs(channel) for channel in channels]
        reads = [self.read(stubs[n % CHANNELS], data) for n in range(readers)]
        firsts = await asyncio.gather(*reads)
        for channel in channels:
            await channel.close()
        return list(firsts)

    def test_one_fetch(self) -> None:
        """Two hundred readers make one read upstream, and all of them have their bytes while they arrive."""
        data = os.urandom(2 * MIB)
        digest = self.backing.keep(data)
        self.backing.script.bytes_per_second = 1 * MIB
        self.daemon.reset_peak_memory()
        before = self.daemon.memory_bytes("VmRSS")
        began = time.monotonic()
        firsts = asyncio.run(self.read_all(data, READERS))
        took = time.monotonic() - began
        self.assertEqual(self.backing.reads[digest.hash], 1)
        # The last byte of the blob cannot have left before: first bytes came while it arrived.
        self.assertLess(max(firsts) - began, len(data) / MIB * 0.9)
        self.assertGreater(took, (len(data) - PIECE_BYTES) / MIB)
        self.assertLess(self.daemon.memory_bytes("VmHWM") - before, 100 * MIB)

    def test_faults_are_everybodys(self) -> None:
        """A stream that breaks off is gone on with for all readers; wrong bytes are nobody's."""
        right, wrong = os.urandom(MIB), os.urandom(MIB)
        self.backing.script.bytes_per_second = 4 * MIB
        digest = self.backing.keep(right)
        self.backing.script.cuts = [MIB // 3, MIB // 2]
        asyncio.run(self.read_all(right, 50))
        self.assertEqual(self.backing.reads[digest.hash], 3)
        digest = self.backing.keep(wrong)
        self.backing.script.flip = True

        async def refused(stubs: Stubs) -> grpc.StatusCode:
            with self.assertRaises(grpc.RpcError) as caught:
                await self.read(stubs, wrong)
            code: grpc.StatusCode = caught.exception.code()
            return code

        async def codes() -> list[grpc.StatusCode]:
            async with asyncio_channel(self.daemon.target) as channel:
                return await asyncio.gather(*(refused(Stubs(channel)) for _ in range(50)))

        self.assertEqual(set(asyncio.run(codes())), {grpc.StatusCode.DATA_LOSS})
        self.assertEqual(self.backing.reads[digest.hash], 1)

    def test_late_and_leaving_readers(self) -> None:
        """A reader that comes late has the beginning at once; one that leaves takes nothing along."""
        data = os.urandom(2 * MIB)
        digest = self.backing.keep(data)
        self.backing.script.bytes_per_second = 1 * MIB

        async def scenario() -> tuple[float, float]:
            async with asyncio_channel(self.daemon.target) as channel:
                stubs = Stubs(channel)
                leaving = asyncio.ensure_future(self.read(stubs, data))
                await asyncio.sleep(0.5)
                late_began = time.monotonic()
                late = asyncio.ensure_future(self.read(stubs, data))
                await asyncio.sleep(0.3)
                leaving.cancel()
                return late_began, await late

        late_began, late_first = asyncio.run(scenario())
        self.assertLess(late_first - late_began, 0.4)
        self.assertEqual(self.backing.reads[digest.hash], 1)

    def test_nobody_is_left(self) -> None:
        """A fetch that nobody reads any more goes on within its grace, and the blob is here then."""
        data = os.urandom(MIB)
        digest = self.backing.keep(data)
        self.backing.script.bytes_per_second = 2 * MIB

        async def leave() -> None:
            async with asyncio_channel(self.daemon.target) as channel:
                leaving = asyncio.ensure_future(self.read(Stubs(channel), data))
                await asyncio.sleep(0.2)
                leaving.cancel()

        asyncio.run(leave())
        time.sleep(0.8)
        client = self.connect(self.daemon)
        self.assertEqual(client.read(read_name(digest)), data)
        self.assertEqual(self.backing.reads[digest.hash], 1)
