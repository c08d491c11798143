"""Tests of gorego_tw.reapi.reading, through ByteStream.Read."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import zstandard
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import InvalidArgument, NotFound, OutOfRange, Unavailable
from gorego_tw.grpc.router import Buffers
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadRequest, ReadResponse
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.limits import Limits
from gorego_tw.zstd.seekable import FRAME_BYTES
from tests.reapi.fakes import SHA256, FakeBlobs, FakeCall, FakeUploads, ServiceTestCase, collect
from tests.storage.compression import CompressingTestCase

DATA = random.Random(2).randbytes(70_000)


@implementer(IBlobBody)
class PiecewiseBody:
    """A body that overwrites a chunk when the next is asked for, as a reused buffer is."""

    def __init__(self, data: bytes, size: int) -> None:
        self.size_bytes = len(data)
        self.closed = False
        self.discarded = False
        self._data = data
        self._size = size

    async def chunks(
        self, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes | memoryview]:
        """Chunks of ``size`` bytes, all in one buffer."""
        buffer = bytearray(self._size)
        try:
            data = self._data[:end]
            for start in range(offset, len(data), self._size):
                part = data[start : start + self._size]
                buffer[: len(part)] = part
                yield memoryview(buffer)[: len(part)]
                buffer[:] = bytes(self._size)
        finally:
            self.closed = True

    async def read_all(self) -> bytes:
        """All of it."""
        return self._data

    def discard(self) -> None:
        """Not read."""
        self.discarded = True


class PiecewiseBlobs(FakeBlobs):
    """Gives the one body."""

    def __init__(self, body: PiecewiseBody) -> None:
        super().__init__()
        self.body = body

    async def get(self, digest: Digest) -> IBlobBody:
        """The body."""
        return self.body


class ReadTestCase(ServiceTestCase):
    """Calls Read."""

    def setUp(self) -> None:
        """One blob."""
        self.blobs = FakeBlobs()
        self.digest = self.blobs.add(DATA)

    def service(self) -> ByteStream:
        """The service."""
        return ByteStream(self.blobs, FakeUploads(self.blobs), Limits())

    def replies(
        self, name: str, offset: int = 0, limit: int = 0, call: FakeCall | None = None
    ) -> AsyncIterator[Buffers]:
        """What Read gives."""
        request = ReadRequest(resource_name=name, read_offset=offset, read_limit=limit)
        return self.service().read(request, call or FakeCall())

    async def joined(self, replies: AsyncIterator[Buffers]) -> bytes:
        """The data of the replies, each parsed while it is valid."""
        data = b""
        async for pieces in replies:
            data += ReadResponse.FromString(b"".join(pieces)).data
        return data

    def read(self, name: str, offset: int = 0, limit: int = 0) -> bytes:
        """The bytes that Read gives."""
        return self.result_of(self.joined(self.replies(name, offset, limit)))


class IdentityReadTests(ReadTestCase):
    """Blobs as they are."""

    def test_whole(self) -> None:
        """A blob is read by its name."""
        self.assertEqual(self.read(f"some/instance/blobs/{self.digest}"), DATA)
        self.assertEqual(self.read(f"/blobs/{self.digest}"), DATA)

    def test_parts(self) -> None:
        """An offset and a limit cut the blob; a limit beyond the end is no error."""
        name = f"blobs/{self.digest}"
        for offset, limit in ((0, 1), (5, 0), (5, 10), (69_999, 100), (0, 70_000), (1, 70_000)):
            expected = DATA[offset : offset + limit] if limit else DATA[offset:]
            self.assertEqual(self.read(name, offset, limit), expected)

    def test_end(self) -> None:
        """At the end of the blob there are no bytes, and that is no error."""
        self.assertEqual(self.read(f"blobs/{self.digest}", len(DATA)), b"")
        self.assertEqual(self.read(f"blobs/{self.digest}", len(DATA), 5), b"")

    def test_empty_blob(self) -> None:
        """The empty blob of every digest function is read without having been written."""
        for function in DigestFunction:
            segment = f"{function.segment}/" if function.segment else ""
            self.assertEqual(self.read(f"blobs/{segment}{empty_digest(function)}"), b"")

    def test_blake3(self) -> None:
        """A BLAKE3 blob is another than the one with the same hash under SHA-256."""
        digest = self.blobs.add(b"data", DigestFunction.BLAKE3)
        self.assertEqual(self.read(f"blobs/blake3/{digest}"), b"data")
        self.assert_fails(collect(self.replies(f"blobs/{digest}")), NotFound)

    def test_offset_out_of_range(self) -> None:
        """An offset beyond the end or before the beginning is OUT_OF_RANGE."""
        for offset in (-1, len(DATA) + 1):
            replies = self.replies(f"blobs/{self.digest}", offset)
            self.assert_fails(
                collect(replies), OutOfRange, f"read_offset {offset}", f"0 to {len(DATA)}"
            )

    def test_negative_limit(self) -> None:
        """A negative limit is INVALID_ARGUMENT."""
        replies = self.replies(f"blobs/{self.digest}", 0, -1)
        self.assert_fails(collect(replies), InvalidArgument, "read_limit -1", "0 (none) or more")

    def test_absent(self) -> None:
        """A blob that is absent is NOT_FOUND, and so is one of another size."""
        other = digest_of(b"other", SHA256)
        self.assert_fails(collect(self.replies(f"blobs/{other}")), NotFound, str(other))
        wrong = f"blobs/{self.digest.hash}/{len(DATA) - 1}"
        self.assert_fails(collect(self.replies(wrong)), NotFound)

    def test_trouble(self) -> None:
        """A store in trouble is not absence."""
        self.blobs.failures[self.digest] = Unavailable("backing cache: no route")
        replies = self.replies(f"blobs/{self.digest}")
        self.assert_fails(collect(replies), Unavailable, "no route")

    def test_malformed_name(self) -> None:
        """A malformed name is refused, a hash of one character among them."""
        self.assert_fails(collect(self.replies("blobs/a/1")), InvalidArgument, "1 characters")
        self.assert_fails(collect(self.replies("")), InvalidArgument, "{hash}/{size}")

    def test_header(self) -> None:
        """The resource name in a header has to be that of the message."""
        header = "build.bazel.remote.execution.v2.resource-name"
        name = f"blobs/{self.digest}"
        same = self.replies(name, call=FakeCall({header: name}))
        self.assertEqual(self.result_of(self.joined(same)), DATA)
        other = self.replies(name, call=FakeCall({header: "blobs/other"}))
        self.assert_fails(collect(other), InvalidArgument, "'blobs/other'", name)


class ChunkTests(ReadTestCase):
    """Chunks on their way through."""

    def body(self, size: int) -> PiecewiseBody:
        """The body that Read will get, with chunks of that size."""
        body = PiecewiseBody(DATA, size)
        self.blobs = PiecewiseBlobs(body)
        return body

    def test_not_copied(self) -> None:
        """A chunk is given out itself, and used until the next is asked for only."""
        body = self.body(1000)
        self.assertEqual(self.read(f"blobs/{self.digest}"), DATA)
        self.assertTrue(body.closed)
        chunk = b"chunk" * 100
        self.blobs = FakeBlobs()
        digest = self.blobs.add(chunk)
        ((_, piece),) = self.result_of(collect(self.replies(f"blobs/{digest}")))
        self.assertIs(piece, chunk)

    def test_lengths(self) -> None:
        """The length before the data is right wherever its varint grows."""
        for size in (1, 127, 128, 16_383, 16_384, 70_000):
            self.body(size)
            self.assertEqual(self.read(f"blobs/{self.digest}", len(DATA) - size), DATA[-size:])

    def test_limits_across_chunks(self) -> None:
        """A limit that ends before, at and after the end of a chunk is kept."""
        for limit in (1, 99, 100, 101, 199, 200, 201):
            body = self.body(100)
            self.assertEqual(self.read(f"blobs/{self.digest}", 3, limit), DATA[3 : 3 + limit])
            self.assertTrue(body.closed)

    def test_left_early(self) -> None:
        """If the client goes away the body is closed."""
        for name in (f"blobs/{self.digest}", f"compressed-blobs/zstd/{self.digest}"):
            body = self.body(1000)

            async def first(name: str) -> None:
                async with aclosing(self.replies(name)) as replies:  # type: ignore[type-var]
                    async for _ in replies:
                        return

            self.result_of(first(name))
            self.assertTrue(body.closed)

    def test_discarded(self) -> None:
        """At the end of the blob the body is let go unread."""
        body = self.body(1000)
        self.assertEqual(self.read(f"blobs/{self.digest}", len(DATA)), b"")
        self.assertTrue(body.discarded)


class CompressedReadTests(ReadTestCase):
    """compressed-blobs/zstd."""

    def expanded(self, digest: Digest, offset: int = 0) -> bytes:
        """What the reply expands to."""
        data = self.read(f"compressed-blobs/zstd/{digest}", offset)
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)

    def test_whole(self) -> None:
        """A blob that was kept as it is can be read compressed."""
        self.assertEqual(self.expanded(self.digest), DATA)
        text = self.blobs.add(b"text " * 100_000)
        self.assertEqual(self.expanded(text), b"text " * 100_000)
        self.assertLess(len(self.read(f"compressed-blobs/zstd/{text}")), 10_000)

    def test_offset(self) -> None:
        """An offset counts the bytes before compression."""
        for offset in (1, 12_345, len(DATA) - 1, len(DATA)):
            self.assertEqual(self.expanded(self.digest, offset), DATA[offset:])

    def test_empty_blob(self) -> None:
        """The empty blob is a valid frame of nothing."""
        data = self.read(f"compressed-blobs/zstd/{empty_digest(SHA256)}")
        self.assertNotEqual(data, b"")
        self.assertEqual(zstandard.ZstdDecompressor().decompress(data), b"")

    def test_limit(self) -> None:
        """A limit other than 0 is INVALID_ARGUMENT, a negative one as well."""
        for limit in (1, -1):
            replies = self.replies(f"compressed-blobs/zstd/{self.digest}", 0, limit)
            self.assert_fails(
                collect(replies), InvalidArgument, f"read_limit {limit}", "has to be 0"
            )

    def test_offset_out_of_range(self) -> None:
        """An offset that is not in the blob is OUT_OF_RANGE."""
        replies = self.replies(f"compressed-blobs/zstd/{self.digest}", len(DATA) + 1)
        self.assert_fails(collect(replies), OutOfRange, f"0 to {len(DATA)}")


class KeptCompressedTests(CompressingTestCase):
    """Blobs that the local tier keeps compressed."""

    def setUp(self) -> None:
        super().setUp()
        self.digest, self.data = self.put_text(700_000)
        self.service = ByteStream(self.tier.blobs, self.tier.uploads, Limits())

    def read(self, name: str, offset: int = 0, limit: int = 0) -> bytes:
        """The bytes that Read gives."""

        async def joined() -> bytes:
            data = b""
            request = ReadRequest(resource_name=name, read_offset=offset, read_limit=limit)
            async for pieces in self.service.read(request, FakeCall()):
                data += ReadResponse.FromString(b"".join(pieces)).data
            return data

        return self.successResultOf(Deferred.fromCoroutine(joined()))

    def test_as_they_are_kept(self) -> None:
        """Who asks for zstd gets the bytes of the file, but for the table at its end."""
        data = self.read(f"compressed-blobs/zstd/{self.digest}")
        self.assertTrue(self.path(self.digest).read_bytes().startswith(data))

    def test_offsets(self) -> None:
        """An offset counts the bytes before compression, for either form of a reply."""
        for offset in (0, 1, 300_000, FRAME_BYTES, 699_999, 700_000):
            rest = self.data[offset:]
            data = self.read(f"compressed-blobs/zstd/{self.digest}", offset)
            reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
            self.assertEqual(reader.read(), rest)
            self.assertEqual(self.read(f"blobs/{self.digest}", offset), rest)
            self.assertEqual(self.read(f"blobs/{self.digest}", offset, 1000), rest[:1000])

    def test_incompressible(self) -> None:
        """What is kept as it is is compressed on the way, if only by name."""
        digest, data = self.put(700_000)
        frame = self.read(f"compressed-blobs/zstd/{digest}")
        self.assertEqual(zstandard.ZstdDecompressor().decompress(frame), data)
