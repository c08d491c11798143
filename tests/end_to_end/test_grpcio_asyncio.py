"""Every kind of RPC driven by grpcio's asyncio stubs, and many at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.grpc.health.v1 import health_pb2
from gorego_tw.pb.grpc.reflection.v1 import reflection_pb2
from gorego_tw.pb.grpc.reflection.v1.reflection_pb2_grpc import ServerReflectionStub
from tests.end_to_end.client import (
    MIB,
    Stubs,
    asyncio_channel,
    digest_of,
    read_name,
    write_name,
    write_requests,
)
from tests.end_to_end.daemon import SharedDaemonTestCase

IN_FLIGHT = 1000


class AsyncioTests(SharedDaemonTestCase):
    """grpc.aio."""

    def test_every_kind_of_call(self) -> None:
        """Unary, client-streaming, server-streaming and bidirectional calls work."""
        asyncio.run(self.every_kind_of_call())

    async def every_kind_of_call(self) -> None:
        data = os.urandom(3 * MIB)
        digest = digest_of(data)
        async with asyncio_channel(self.daemon.target) as channel:
            stubs = Stubs(channel)
            written = await stubs.byte_stream.Write(write_requests(write_name(digest), data))
            self.assertEqual(written.committed_size, len(data))
            self.assertEqual(await read(stubs, digest), data)
            missing = await stubs.cas.FindMissingBlobs(
                reapi.FindMissingBlobsRequest(blob_digests=[digest])
            )
            self.assertFalse(missing.missing_blob_digests)
            talk = ServerReflectionStub(channel).ServerReflectionInfo()
            for _ in range(3):
                await talk.write(reflection_pb2.ServerReflectionRequest(list_services=""))
                self.assertTrue((await talk.read()).list_services_response.service)
            await talk.done_writing()
            self.assertIs(await talk.read(), grpc.aio.EOF)

    def test_a_thousand_unary_calls(self) -> None:
        """A thousand calls started at once on one connection are all answered."""
        asyncio.run(self.thousand_unary_calls())

    async def thousand_unary_calls(self) -> None:
        (here,) = self.client.batch_update(b"asked for a thousand times")
        absent = digest_of(b"absent")
        request = reapi.FindMissingBlobsRequest(blob_digests=[here, absent])
        async with asyncio_channel(self.daemon.target) as channel:
            stubs = Stubs(channel)
            calls = [stubs.cas.FindMissingBlobs(request) for _ in range(IN_FLIGHT)]
            for answer in await asyncio.gather(*calls):
                self.assertEqual(list(answer.missing_blob_digests), [absent])

    def test_a_thousand_streams(self) -> None:
        """A thousand streams stay open at once on ten connections, and cost little memory."""
        before = self.daemon.memory_bytes("VmRSS")
        asyncio.run(self.thousand_streams())
        self.assertLess(self.daemon.memory_bytes("VmHWM") - before, 50 * MIB)

    async def thousand_streams(self) -> None:
        channels = [asyncio_channel(self.daemon.target) for _ in range(10)]
        stubs = [Stubs(channel) for channel in channels]
        watches = [
            stubs[n % 10].health.Watch(health_pb2.HealthCheckRequest()) for n in range(IN_FLIGHT)
        ]
        for watch in watches:
            self.assertEqual((await watch.read()).status, health_pb2.HealthCheckResponse.SERVING)
        self.assertTrue(self.client.is_serving())
        for watch in watches:
            watch.cancel()
        for channel in channels:
            await channel.close()

    def test_many_uploads_and_downloads(self) -> None:
        """Uploads and downloads side by side on one connection do not mix."""
        asyncio.run(self.many_uploads_and_downloads())

    async def many_uploads_and_downloads(self) -> None:
        blobs = [os.urandom(300_000 + n) for n in range(100)]
        async with asyncio_channel(self.daemon.target) as channel:
            stubs = Stubs(channel)

            async def there_and_back(data: bytes) -> bool:
                digest = digest_of(data)
                await stubs.byte_stream.Write(write_requests(write_name(digest), data))
                return await read(stubs, digest) == data

            self.assertTrue(all(await asyncio.gather(*map(there_and_back, blobs))))

    def test_same_blob_from_many(self) -> None:
        """Uploads of one blob at the same time all end well, and the blob is right."""
        asyncio.run(self.same_blob_from_many())

    async def same_blob_from_many(self) -> None:
        data = os.urandom(MIB)
        digest = digest_of(data)
        async with asyncio_channel(self.daemon.target) as channel:
            stubs = Stubs(channel)
            answers = await asyncio.gather(
                *(
                    stubs.byte_stream.Write(write_requests(write_name(digest), data, piece=50_000))
                    for _ in range(30)
                )
            )
            self.assertEqual({answer.committed_size for answer in answers}, {MIB})
            self.assertEqual(await read(stubs, digest), data)

    def test_cancelled_uploads(self) -> None:
        """Uploads whose client goes away half-way are not stored, and others go on."""
        asyncio.run(self.cancelled_uploads())

    async def cancelled_uploads(self) -> None:
        data = os.urandom(2 * MIB)
        digest = digest_of(data)

        async def half(name: str) -> AsyncIterator[bytestream.WriteRequest]:
            for request in write_requests(name, data[:MIB], finish=False):
                yield request
            await asyncio.Event().wait()

        async with asyncio_channel(self.daemon.target) as channel:
            stubs = Stubs(channel)
            calls = [stubs.byte_stream.Write(half(write_name(digest))) for _ in range(20)]
            await asyncio.gather(*(call.wait_for_connection() for call in calls))
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            request = reapi.FindMissingBlobsRequest(blob_digests=[digest])
            missing = await stubs.cas.FindMissingBlobs(request)
            self.assertEqual(list(missing.missing_blob_digests), [digest])
            await stubs.byte_stream.Write(write_requests(write_name(digest), data))
            self.assertEqual(await read(stubs, digest), data)


async def read(stubs: Stubs, digest: reapi.Digest) -> bytes:
    """The blob, by ByteStream.Read."""
    request = bytestream.ReadRequest(resource_name=read_name(digest))
    return b"".join([response.data async for response in stubs.byte_stream.Read(request)])
