"""Tests of gorego_tw.reapi.cas: FindMissingBlobs."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gorego_tw.digest import DigestFunction, digest_of, empty_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import PIECE, Turns
from tests.reapi.fakes import SHA256, FakeBlobs, FakeCall, ServiceTestCase, message_of
from tests.test_turns import turns_taken

CALL = FakeCall()


class CASTestCase(ServiceTestCase):
    """A service with one blob."""

    def setUp(self) -> None:
        """One blob."""
        self.blobs = FakeBlobs()
        self.here = self.blobs.add(b"here")
        self.gone = digest_of(b"gone", SHA256)
        self.service = ContentAddressableStorage(self.blobs, Limits())


class FindMissingBlobsTests(CASTestCase):
    """FindMissingBlobs."""

    def missing(self, *messages: pb.Digest, function: int = 0) -> list[pb.Digest]:
        """The digests in the reply."""
        request = pb.FindMissingBlobsRequest(blob_digests=messages)
        request.digest_function = function  # type: ignore[assignment]
        reply = self.result_of(self.service.find_missing_blobs(request, CALL))
        return list(reply.missing_blob_digests)

    def test_missing(self) -> None:
        """Those that are absent are listed, in order."""
        other = message_of(digest_of(b"other", SHA256))
        gone, here = message_of(self.gone), message_of(self.here)
        self.assertEqual(self.missing(other, here, gone), [other, gone])
        self.assertEqual(self.missing(gone, other), [gone, other])
        self.assertEqual(self.missing(here), [])
        self.assertEqual(self.missing(), [])

    def test_duplicates(self) -> None:
        """One that is asked for twice is listed once."""
        gone = message_of(self.gone)
        self.assertEqual(self.missing(gone, message_of(self.here), gone), [gone])

    def test_wrong_size(self) -> None:
        """A blob with another size is absent."""
        wrong = pb.Digest(hash=self.here.hash, size_bytes=5)
        self.assertEqual(self.missing(wrong), [wrong])

    def test_empty_blob(self) -> None:
        """The empty blob is never missing, in any function."""
        for function in DigestFunction:
            empty = message_of(empty_digest(function))
            self.assertEqual(self.missing(empty, function=function), [])

    def test_functions(self) -> None:
        """SHA-256 is asked for by its number or by none; BLAKE3 with the same hash is another."""
        here = message_of(self.here)
        self.assertEqual(self.missing(here, function=pb.DigestFunction.SHA256), [])
        self.assertEqual(self.missing(here, function=pb.DigestFunction.BLAKE3), [here])

    def test_one_question(self) -> None:
        """Ten thousand digests are one question to the store."""
        digests = [digest_of(b"%d" % n, SHA256) for n in range(10_000)]
        self.assertEqual(len(self.missing(*map(message_of, digests))), 10_000)
        self.assertEqual(self.blobs.questions, [digests])

    def test_in_turns(self) -> None:
        """Of many, some are looked at in each turn of the reactor, for the reply too."""
        clock = Clock()
        self.service = ContentAddressableStorage(self.blobs, Limits(), turns=Turns(clock))
        gone = [message_of(digest_of(b"%d" % n, SHA256)) for n in range(4 * PIECE)]
        asked = [*gone[:1000], message_of(self.here), *gone[1000:], *gone[:PIECE]]
        request = pb.FindMissingBlobsRequest(blob_digests=asked)
        call = Deferred.fromCoroutine(self.service.find_missing_blobs(request, CALL))
        self.assertGreaterEqual(turns_taken(clock, call), 8)
        self.assertEqual(list(self.successResultOf(call).missing_blob_digests), gone)

    def test_malformed_among_many(self) -> None:
        """It is told which one it is."""
        asked = [message_of(self.gone)] * (PIECE + 10)
        asked[PIECE + 5] = pb.Digest(hash="ABC", size_bytes=1)
        request = pb.FindMissingBlobsRequest(blob_digests=asked)
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, f"blob_digests[{PIECE + 5}]")

    def test_malformed(self) -> None:
        """One malformed digest fails the call, as the reply has no place to say which."""
        bad = pb.Digest(hash="ABC", size_bytes=1)
        request = pb.FindMissingBlobsRequest(blob_digests=[message_of(self.here), bad])
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "blob_digests[1]", "'ABC'", "64 (SHA256)")

    def test_function_not_served(self) -> None:
        """A digest function that is not served fails the call."""
        request = pb.FindMissingBlobsRequest(digest_function=pb.DigestFunction.MD5)
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "MD5", "SHA256")

    def test_instance_name(self) -> None:
        """An instance name with a keyword in it fails the call."""
        request = pb.FindMissingBlobsRequest(instance_name="a/uploads")
        call = self.service.find_missing_blobs(request, CALL)
        self.assert_fails(call, InvalidArgument, "'uploads'")
