"""Tests of gorego_tw.reapi.writing, through ByteStream.Write and QueryWriteStatus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gorego_tw.digest import DigestFunction, digest_of, empty_digest
from gorego_tw.errors import Aborted, DigestMismatch, InvalidArgument, ResourceExhausted
from gorego_tw.pb.google.bytestream.bytestream_pb2 import (
    QueryWriteStatusRequest,
    QueryWriteStatusResponse,
    WriteRequest,
    WriteResponse,
)
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import (
    SHA256,
    FakeBlobs,
    FakeCall,
    FakeUpload,
    FakeUploads,
    ServiceTestCase,
    stream,
)

DATA = b"0123456789"
DIGEST = digest_of(DATA, SHA256)
NAME = f"uploads/u-1/blobs/{DIGEST}"


def message(
    data: bytes = b"", offset: int = 0, name: str = "", *, finish: bool = False
) -> WriteRequest:
    """One message of a Write."""
    return WriteRequest(resource_name=name, write_offset=offset, finish_write=finish, data=data)


class WriteTestCase(ServiceTestCase):
    """Calls Write and QueryWriteStatus."""

    def setUp(self) -> None:
        """Empty stores."""
        self.blobs = FakeBlobs()
        self.uploads = FakeUploads(self.blobs)
        self.service = ByteStream(self.blobs, self.uploads, Limits(max_blob_size_bytes=1000))

    async def write(
        self, *items: WriteRequest | Exception | Deferred[Any], call: FakeCall | None = None
    ) -> WriteResponse:
        """The reply to these messages."""
        messages: Iterable[WriteRequest | Exception | Deferred[Any]] = items
        return await self.service.write(stream(messages), call or FakeCall())

    def committed(self, *items: WriteRequest | Exception) -> int:
        """The committed_size of the reply."""
        return self.result_of(self.write(*items)).committed_size

    def query(self, name: str) -> QueryWriteStatusResponse:
        """How far that upload has come."""
        request = QueryWriteStatusRequest(resource_name=name)
        return self.result_of(self.service.query_write_status(request, FakeCall()))

    @property
    def upload(self) -> FakeUpload:
        """The upload that was opened last."""
        return self.uploads.opened[-1]


class WriteTests(WriteTestCase):
    """Uploads from beginning to end."""

    def test_one_message(self) -> None:
        """All in one message."""
        self.assertEqual(self.committed(message(DATA, name=NAME, finish=True)), 10)
        self.assertEqual(self.blobs.held, {DIGEST: DATA})
        self.assertEqual(self.upload.end, "committed")

    def test_several_messages(self) -> None:
        """Later messages have no name or the same, and finish_write may come without data."""
        size = self.committed(
            message(DATA[:3], 0, NAME),
            message(DATA[3:8], 3),
            message(DATA[8:], 8, NAME),
            message(b"", 10, finish=True),
        )
        self.assertEqual(size, 10)
        self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_not_copied(self) -> None:
        """The store gets the very bytes of the message."""
        request = message(DATA, name=NAME, finish=True)
        self.committed(request)
        self.assertIsInstance(self.upload.pieces[0], bytes)
        self.assertEqual(self.upload.pieces, [DATA])

    def test_names(self) -> None:
        """A leading slash, an instance name and metadata are understood."""
        for name in (f"/{NAME}", f"a/b/{NAME}", f"{NAME}/out/name.o"):
            self.blobs.held.clear()
            self.assertEqual(self.committed(message(DATA, name=name, finish=True)), 10)
            self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_every_function(self) -> None:
        """Blobs of every digest function are written."""
        for function in DigestFunction:
            digest = digest_of(DATA, function)
            segment = f"{function.segment}/" if function.segment else ""
            name = f"uploads/u/blobs/{segment}{digest}"
            self.assertEqual(self.committed(message(DATA, name=name, finish=True)), 10)
            self.assertIn(digest, self.blobs.held)

    def test_empty_blob(self) -> None:
        """The empty blob is there already."""
        name = f"uploads/u/blobs/{empty_digest(SHA256)}"
        self.assertEqual(self.committed(message(name=name, finish=True)), 0)
        self.assertEqual(self.uploads.opened, [])

    def test_exists(self) -> None:
        """A blob that exists is answered with its size, and nothing more is read."""
        self.blobs.add(DATA)
        response = self.write(message(DATA[:1], name=NAME), AssertionError("was read on"))
        self.assertEqual(self.result_of(response).committed_size, 10)
        self.assertEqual(self.uploads.opened, [])

    def test_no_message(self) -> None:
        """A stream without a message is refused."""
        self.assert_fails(self.write(), InvalidArgument, "no message", "resource_name")

    def test_malformed_name(self) -> None:
        """The first message has to name an upload."""
        for name in ("", f"blobs/{DIGEST}", "uploads/u/blobs/a/1"):
            self.assert_fails(self.write(message(DATA, name=name)), InvalidArgument)

    def test_other_name_later(self) -> None:
        """A later message with another name is refused; what came stays."""
        other = NAME.replace("u-1", "u-2")
        call = self.write(message(DATA[:5], 0, NAME), message(DATA[5:], 5, other, finish=True))
        self.assert_fails(call, InvalidArgument, "u-2", "that of the first message, or empty")
        self.assertEqual(self.upload.end, "suspended")

    def test_header(self) -> None:
        """The resource name in a header has to be that of the first message."""
        call = FakeCall({"build.bazel.remote.execution.v2.resource-name": "uploads/other"})
        write = self.write(message(DATA, name=NAME, finish=True), call=call)
        self.assert_fails(write, InvalidArgument, "'uploads/other'", NAME)

    def test_too_large(self) -> None:
        """A blob larger than the limit is INVALID_ARGUMENT before any data."""
        name = f"uploads/u/blobs/{DIGEST.hash}/1001"
        self.assert_fails(self.write(message(name=name)), InvalidArgument, "1001", "1000")
        self.assertEqual(self.uploads.opened, [])

    def test_wrong_hash(self) -> None:
        """Data of another hash is INVALID_ARGUMENT and not kept."""
        call = self.write(message(b"9876543210", name=NAME, finish=True))
        self.assert_fails(call, DigestMismatch, DIGEST.hash)
        self.assertEqual((self.upload.end, self.blobs.held), ("dropped", {}))

    def test_too_much(self) -> None:
        """More data than announced is INVALID_ARGUMENT at once, and not kept."""
        call = self.write(message(DATA, 0, NAME), message(b"x", 10), AssertionError("was read on"))
        self.assert_fails(call, DigestMismatch, str(DIGEST))
        self.assertEqual((self.upload.end, self.uploads.held), ("dropped", {}))

    def test_too_little(self) -> None:
        """finish_write before all data came is INVALID_ARGUMENT, and not kept."""
        call = self.write(message(DATA[:9], name=NAME, finish=True))
        self.assert_fails(call, DigestMismatch, "after 9 bytes", "announces 10")
        self.assertEqual((self.upload.end, self.uploads.held), ("dropped", {}))

    def test_no_room(self) -> None:
        """A full disk is told as it is; what came stays."""
        self.uploads.failure = ResourceExhausted("disk: full")
        self.assert_fails(self.write(message(DATA, name=NAME)), ResourceExhausted, "full")
        self.assertEqual(self.upload.end, "suspended")


class OffsetTests(WriteTestCase):
    """Where data has to be."""

    def test_gap(self) -> None:
        """A beginning beyond what is held is refused; the message says where to go on."""
        self.uploads.hold(NAME, DATA[:3])
        call = self.write(message(DATA[5:], 5, NAME, finish=True))
        self.assert_fails(call, InvalidArgument, "write_offset 5", "3 bytes are held")
        self.assertEqual(self.uploads.held[NAME], DATA[:3])

    def test_gap_of_nothing(self) -> None:
        """An offset of an upload never heard of is a gap."""
        call = self.write(message(DATA[5:], 5, NAME, finish=True))
        self.assert_fails(call, InvalidArgument, "0 bytes are held")

    def test_negative(self) -> None:
        """A negative offset is refused."""
        call = self.write(message(DATA, -1, NAME))
        self.assert_fails(call, InvalidArgument, "write_offset -1")

    def test_later_offsets(self) -> None:
        """A later offset that is not the next is refused in both directions."""
        for offset in (0, 4, 6):
            call = self.write(message(DATA[:5], 0, NAME), message(DATA[5:], offset))
            self.assert_fails(call, InvalidArgument, f"write_offset {offset}", "that at 5")
            self.assertEqual(self.uploads.held.pop(NAME), DATA[:5])

    def test_after_finish(self) -> None:
        """A message after finish_write is refused and nothing is committed."""
        call = self.write(message(DATA, 0, NAME, finish=True), message(b"x", 10))
        self.assert_fails(call, InvalidArgument, "after the one with finish_write")
        self.assertEqual((self.upload.end, self.blobs.held), ("suspended", {}))

    def test_no_finish(self) -> None:
        """A stream that ends without finish_write is INVALID_ARGUMENT; what came stays."""
        call = self.write(message(DATA, 0, NAME))
        self.assert_fails(call, InvalidArgument, "without finish_write", "offset 10")
        self.assertEqual((self.upload.end, self.blobs.held), ("suspended", {}))
        self.assertEqual(self.uploads.held, {NAME: DATA})


class ResumptionTests(WriteTestCase):
    """Uploads in several calls."""

    def test_go_on(self) -> None:
        """An upload goes on where QueryWriteStatus says; the name may look different."""
        self.assert_fails(self.write(message(DATA[:4], 0, f"/{NAME}/a.o")), InvalidArgument)
        self.assertEqual(self.query(NAME).committed_size, 4)
        self.assertEqual(self.committed(message(DATA[4:], 4, NAME, finish=True)), 10)
        self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_skips_what_is_held(self) -> None:
        """A client that begins earlier than it could is fine: what is held is not taken again."""
        for offset, cut in ((0, 3), (0, 5), (0, 7), (2, 5), (4, 6)):
            self.blobs.held.clear()
            self.uploads.hold(NAME, DATA[:5])
            size = self.committed(
                message(DATA[offset:cut], offset, NAME), message(DATA[cut:], cut, finish=True)
            )
            self.assertEqual(size, 10)
            self.assertEqual(b"".join(map(bytes, self.upload.pieces)), DATA[5:])
            self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_all_held(self) -> None:
        """If everything came but finish_write, that alone completes the upload."""
        for offset, data in ((0, DATA), (10, b"")):
            self.blobs.held.clear()
            self.uploads.hold(NAME, DATA)
            self.assertEqual(self.committed(message(data, offset, NAME, finish=True)), 10)
            self.assertEqual(self.blobs.held, {DIGEST: DATA})

    def test_what_is_held_is_wrong(self) -> None:
        """If what is held is not of the blob, the hash tells, and the next attempt is clean."""
        self.uploads.hold(NAME, b"wrong")
        self.assert_fails(self.write(message(DATA, 0, NAME, finish=True)), DigestMismatch)
        self.assertEqual(self.committed(message(DATA, 0, NAME, finish=True)), 10)

    def test_finish_below_what_is_held(self) -> None:
        """A client that finishes before the end is wrong, even if all bytes are held."""
        self.uploads.hold(NAME, DATA)
        call = self.write(message(DATA[:5], 0, NAME, finish=True))
        self.assert_fails(call, DigestMismatch, "after 5 bytes")

    def test_client_goes_away(self) -> None:
        """If the call is cancelled while it waits, what came stays."""
        call = Deferred.fromCoroutine(self.write(message(DATA[:4], 0, NAME), Deferred()))
        self.assertNoResult(call)
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(self.uploads.held, {NAME: DATA[:4]})

    def test_stream_fails(self) -> None:
        """If the messages end in a failure, what came stays."""
        call = self.write(message(DATA[:4], 0, NAME), ResourceExhausted("message too large"))
        self.assert_fails(call, ResourceExhausted)
        self.assertEqual(self.uploads.held, {NAME: DATA[:4]})

    def test_taken_over(self) -> None:
        """A call whose upload another one took over leaves it alone."""
        self.uploads.failure = Aborted("taken over")
        self.assert_fails(self.write(message(DATA, 0, NAME)), Aborted)
        self.assertEqual(self.upload.end, "aborted")


class QueryWriteStatusTests(WriteTestCase):
    """How far an upload has come."""

    def status(self, name: str) -> tuple[int, bool]:
        """committed_size and complete."""
        reply = self.query(name)
        return reply.committed_size, reply.complete

    def test_unknown(self) -> None:
        """An upload never heard of has no bytes; that is not NOT_FOUND."""
        self.assertEqual(self.status(NAME), (0, False))

    def test_part(self) -> None:
        """What is held under that uuid counts, under any form of the name."""
        self.uploads.hold(NAME, DATA[:4])
        self.assertEqual(self.status(NAME), (4, False))
        self.assertEqual(self.status(f"/{NAME}/metadata"), (4, False))
        self.assertEqual(self.status(NAME.replace("u-1", "u-2")), (0, False))

    def test_complete(self) -> None:
        """A blob that exists is complete, whoever uploaded it."""
        self.blobs.add(DATA)
        self.assertEqual(self.status(NAME), (10, True))
        compressed = NAME.replace("/blobs", "/compressed-blobs/zstd")
        self.assertEqual(self.status(compressed), (10, True))
        self.assertEqual(self.status(f"uploads/u/blobs/{empty_digest(SHA256)}"), (0, True))

    def test_compressed(self) -> None:
        """A compressed upload begins at 0 again."""
        compressed = NAME.replace("/blobs", "/compressed-blobs/zstd")
        self.uploads.hold(compressed, DATA[:4])
        self.assertEqual(self.status(compressed), (0, False))

    def test_malformed(self) -> None:
        """A malformed name is refused."""
        request = QueryWriteStatusRequest(resource_name=f"blobs/{DIGEST}")
        call = self.service.query_write_status(request, FakeCall())
        self.assert_fails(call, InvalidArgument, "uploads/{uuid}")
