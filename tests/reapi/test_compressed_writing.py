"""Tests of gorego_tw.reapi.compressed_writing, through ByteStream.Write."""

from __future__ import annotations

import zstandard
from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.digest import Digest, DigestFunction, digest_of, empty_digest
from gorego_tw.errors import DigestMismatch, InvalidArgument
from gorego_tw.interfaces import IBlobBody
from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    RequestMetadata,
    ToolDetails,
)
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.request_metadata import HEADERS
from tests.reapi.fakes import SHA256, FakeBlobs, FakeCall
from tests.reapi.test_writing import WriteTestCase, message

DATA = b"text " * 100
DIGEST = digest_of(DATA, SHA256)
NAME = f"uploads/u-1/compressed-blobs/zstd/{DIGEST}"
COMPRESSED = zstandard.ZstdCompressor().compress(DATA)


class DiscardingBlobs(FakeBlobs):
    """Learns that it has a blob when it is put."""

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Let it go."""
        body.discard()


class CompressedWriteTests(WriteTestCase):
    """compressed-blobs/zstd."""

    def test_whole(self) -> None:
        """The blob is kept expanded; the reply counts the compressed bytes."""
        size = self.committed(message(COMPRESSED, name=NAME, finish=True))
        self.assertEqual(size, len(COMPRESSED))
        self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_small_messages(self) -> None:
        """Offsets after the first count compressed bytes."""
        messages = [message(COMPRESSED[:1], 0, NAME)]
        messages += [message(COMPRESSED[n : n + 1], n) for n in range(1, len(COMPRESSED))]
        messages.append(message(b"", len(COMPRESSED), finish=True))
        self.assertEqual(self.committed(*messages), len(COMPRESSED))
        self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_several_frames(self) -> None:
        """Several frames are one blob."""
        compress = zstandard.ZstdCompressor().compress
        frames = compress(DATA[:100]) + compress(DATA[100:])
        self.committed(message(frames, name=NAME, finish=True))
        self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_blake3(self) -> None:
        """The digest function is a segment here too."""
        digest = digest_of(DATA, DigestFunction.BLAKE3)
        name = f"uploads/u/compressed-blobs/zstd/blake3/{digest}"
        self.committed(message(COMPRESSED, name=name, finish=True))
        self.assertEqual(self.blobs.held, {digest: DATA})

    def test_siso(self) -> None:
        """A client that wants the size of the blob gets it."""
        metadata = RequestMetadata(tool_details=ToolDetails(tool_name="siso"))
        call = FakeCall(binary={HEADERS[0]: metadata.SerializeToString()})
        reply = self.write(message(COMPRESSED, name=NAME, finish=True), call=call)
        self.assertEqual(self.result_of(reply).committed_size, len(DATA))

    def test_exists(self) -> None:
        """A blob that exists is answered with -1, and nothing more is read."""
        self.blobs.add(DATA)
        reply = self.write(message(COMPRESSED[:1], name=NAME), AssertionError("was read on"))
        self.assertEqual(self.result_of(reply).committed_size, -1)

    def test_exists_meanwhile(self) -> None:
        """A store that turns out not to need the data ends the write with -1 as well."""
        self.service = ByteStream(DiscardingBlobs(), self.uploads, Limits())
        self.assertEqual(self.committed(message(COMPRESSED, name=NAME, finish=True)), -1)

    def test_empty_blob(self) -> None:
        """The empty blob is there already."""
        name = f"uploads/u/compressed-blobs/zstd/{empty_digest(SHA256)}"
        self.assertEqual(self.committed(message(name=name, finish=True)), -1)

    def refused(self, kind: type[InvalidArgument], data: bytes, *fragments: str) -> None:
        """The data is refused and nothing is kept."""
        call = self.write(message(data, name=NAME, finish=True))
        self.assert_fails(call, kind, *fragments)
        self.assertEqual((self.blobs.held, self.uploads.held), ({}, {}))

    def test_wrong_data(self) -> None:
        """Hash and size are those of the expanded data."""
        compress = zstandard.ZstdCompressor().compress
        self.refused(DigestMismatch, compress(b"tixt " * 100), DIGEST.hash)
        self.refused(DigestMismatch, compress(DATA[1:]), "499 bytes", "announces 500")
        self.refused(DigestMismatch, compress(DATA + b"x"), "more than the 500 bytes")

    def test_bomb(self) -> None:
        """Data that expands far beyond what is announced is refused."""
        bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
        self.refused(DigestMismatch, bomb, "more than the 500 bytes")

    def test_malformed(self) -> None:
        """Garbage, trailing garbage and half a frame are refused."""
        self.refused(InvalidArgument, DATA, "at the start")
        self.refused(InvalidArgument, COMPRESSED + b"garbage", "after the last frame")
        self.refused(InvalidArgument, COMPRESSED[:-1], "middle of a frame")
        self.refused(InvalidArgument, b"", "middle of a frame")

    def test_not_resumed(self) -> None:
        """A first offset other than 0 is refused."""
        call = self.write(message(COMPRESSED, 5, NAME, finish=True))
        self.assert_fails(call, InvalidArgument, "write_offset 5", "begin at 0")

    def test_gap(self) -> None:
        """A later offset that is not the next is refused."""
        call = self.write(message(COMPRESSED[:5], 0, NAME), message(COMPRESSED[5:], 6))
        self.assert_fails(call, InvalidArgument, "write_offset 6", "that at 5")

    def test_no_finish(self) -> None:
        """A stream that ends without finish_write is refused and nothing is kept."""
        call = self.write(message(COMPRESSED, 0, NAME))
        self.assert_fails(call, InvalidArgument, "without finish_write")
        self.assertEqual(self.blobs.held, {})

    def test_after_finish(self) -> None:
        """A message after finish_write is refused and nothing is kept."""
        last = message(COMPRESSED, 0, NAME, finish=True)
        call = self.write(last, message(b"x", len(COMPRESSED)))
        self.assert_fails(call, InvalidArgument, "after the one with finish_write")
        self.assertEqual(self.blobs.held, {})

    def test_client_goes_away(self) -> None:
        """If the call is cancelled nothing is kept."""
        call = Deferred.fromCoroutine(self.write(message(COMPRESSED[:9], 0, NAME), Deferred()))
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual((self.blobs.held, self.uploads.held), ({}, {}))
