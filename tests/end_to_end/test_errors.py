"""The codes that the protocols name, as grpcio's client sees them."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import zstandard

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import (
    MIB,
    Client,
    digest_of,
    read_name,
    write_name,
    write_requests,
)
from tests.end_to_end.daemon import SharedDaemonTestCase

INVALID = grpc.StatusCode.INVALID_ARGUMENT
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
NOT_FOUND = grpc.StatusCode.NOT_FOUND
HERE = b"a blob that is here"
ABSENT = digest_of(b"a blob that is not here")
ZSTD = "compressed-blobs/zstd"


def write(name: str, data: bytes, start: int = 0) -> Callable[[Client], object]:
    """A Write of ``data[start:]`` under a resource name."""
    return lambda c: c.byte_stream.Write(write_requests(name, data, start=start))


def read(name: str, offset: int = 0, limit: int = 0) -> Callable[[Client], object]:
    """A Read to its end."""
    return lambda c: c.read(name, offset, limit)


def find(hash_hex: str, size_bytes: int) -> Callable[[Client], object]:
    """A FindMissingBlobs of one digest."""
    return lambda c: c.find_missing([reapi.Digest(hash=hash_hex, size_bytes=size_bytes)])


def get_result(digest: reapi.Digest) -> Callable[[Client], object]:
    """A GetActionResult."""
    request = reapi.GetActionResultRequest(action_digest=digest)
    return lambda c: c.action_cache.GetActionResult(request)


CASES: dict[str, tuple[grpc.StatusCode, Callable[[Client], object]]] = {
    "an upper-case hash": (INVALID, find(ABSENT.hash.upper(), 1)),
    "a hash of one character": (INVALID, find("a", 1)),
    "a hash that is not hexadecimal": (INVALID, find("g" * 64, 1)),
    "a negative size": (INVALID, find(ABSENT.hash, -1)),
    "an action digest without a hash": (INVALID, get_result(reapi.Digest())),
    "an action result that is absent": (NOT_FOUND, get_result(ABSENT)),
    "a resource name of one character": (INVALID, read("a")),
    "a resource name with a short hash": (INVALID, read("blobs/a/1")),
    "a resource name without a size": (INVALID, read(f"blobs/{ABSENT.hash}")),
    "a compressor that is not served": (
        INVALID,
        read(read_name(ABSENT, kind="compressed-blobs/x")),
    ),
    "a read of an absent blob": (NOT_FOUND, read(read_name(ABSENT))),
    "a read beyond the end": (OUT_OF_RANGE, read(read_name(digest_of(HERE)), len(HERE) + 1)),
    "a read from a negative offset": (OUT_OF_RANGE, read(read_name(digest_of(HERE)), -1)),
    "a read with a negative limit": (INVALID, read(read_name(digest_of(HERE)), 0, -1)),
    "a compressed read with a limit": (INVALID, read(read_name(digest_of(HERE), kind=ZSTD), 0, 1)),
    "a write under a read's name": (INVALID, write(read_name(ABSENT), b"x")),
    "a write of other data": (INVALID, write(write_name(ABSENT), b"x" * ABSENT.size_bytes)),
    "a write of too little": (INVALID, write(write_name(ABSENT), b"short")),
    "a write of too much": (INVALID, write(write_name(ABSENT), b"x" * 10_000)),
    "a compressed write of other data": (
        INVALID,
        write(write_name(ABSENT, kind=ZSTD), zstandard.compress(b"x" * ABSENT.size_bytes)),
    ),
    "a compressed write of no zstd": (INVALID, write(write_name(ABSENT, kind=ZSTD), b"x" * 99)),
    "a tree whose root is absent": (
        NOT_FOUND,
        lambda c: list(c.cas.GetTree(reapi.GetTreeRequest(root_digest=ABSENT))),
    ),
}


class CodeTests(SharedDaemonTestCase):
    """One case after the other on one daemon, which survives them all."""

    def test_codes(self) -> None:
        """Each wrong request ends with the code its protocol names and a message that says why."""
        self.client.batch_update(HERE)
        for what, (code, call) in CASES.items():
            with self.assertRaises(grpc.RpcError, msg=what) as raised:
                call(self.client)
            self.assertEqual(raised.exception.code(), code, f"{what}: {raised.exception}")
            self.assertGreater(len(raised.exception.details()), 10, what)
        self.assertEqual(self.client.find_missing([ABSENT]), [ABSENT])

    def test_gap(self) -> None:
        """A Write that starts where nothing is held is refused with a code of the protocol."""
        data = b"x" * 1000
        with self.assertRaises(grpc.RpcError) as raised:
            write(write_name(digest_of(data)), data, start=500)(self.client)
        self.assertIn(raised.exception.code(), {INVALID, OUT_OF_RANGE})

    def test_message_says_which_blob(self) -> None:
        """The message of a mismatch names the digest that was announced."""
        with self.assertRaises(grpc.RpcError) as raised:
            write(write_name(ABSENT), b"x" * ABSENT.size_bytes)(self.client)
        self.assertIn(ABSENT.hash, raised.exception.details())

    def test_wrong_size_is_not_the_blob(self) -> None:
        """A hash that is here with another size is missing, and reads as absent."""
        (here,) = self.client.batch_update(HERE)
        other = reapi.Digest(hash=here.hash, size_bytes=here.size_bytes + 1)
        self.assertEqual(self.client.find_missing([other]), [other])
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.read(read_name(other))
        self.assertEqual(raised.exception.code(), NOT_FOUND)

    def test_unknown_method(self) -> None:
        """A method that does not exist is UNIMPLEMENTED."""
        method = self.client.channel.unary_unary("/no.such.Service/Method")
        with self.assertRaises(grpc.RpcError) as raised:
            method(b"")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_malformed_message(self) -> None:
        """Bytes that are no message of the method fail that call alone."""
        path = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult"
        with self.assertRaises(grpc.RpcError) as raised:
            self.client.channel.unary_unary(path)(b"\xff" * 20)
        self.assertIn(raised.exception.code(), {INVALID, grpc.StatusCode.INTERNAL})
        self.assertTrue(self.client.is_serving())

    def test_blob_over_the_limit(self) -> None:
        """A blob over max_blob_size_bytes is INVALID_ARGUMENT before its data is asked for."""
        daemon = self.make_daemon(GOREGO_MAX_BLOB_SIZE_BYTES=str(MIB)).start()
        client = self.connect(daemon)
        capabilities = client.capabilities.GetCapabilities(reapi.GetCapabilitiesRequest())
        self.assertEqual(capabilities.cache_capabilities.max_cas_blob_size_bytes, MIB)
        digest = reapi.Digest(hash=ABSENT.hash, size_bytes=MIB + 1)
        with self.assertRaises(grpc.RpcError) as raised:
            write(write_name(digest), b"")(client)
        self.assertEqual(raised.exception.code(), INVALID)
