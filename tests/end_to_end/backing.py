"""A backing cache made of grpcio's server, on a socket, that does as the test wants."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2_grpc as services
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.google.bytestream import bytestream_pb2_grpc as bytestream_services
from tests.end_to_end.client import digest_of

Key = tuple[str, int]

#: How much of a blob is in one message of a Read, in bytes.
PIECE_BYTES = 64 * 1024


@dataclass
class Script:
    """What the server does, beside what it should.

    :ivar failures: the status that the next calls of a method end with, by the method's name.
    :ivar cuts: after how many bytes the next Reads break off with UNAVAILABLE.
    :ivar stalls: after how many bytes the next Reads stand still until they are cancelled.
    :ivar write_cuts: after how many bytes the next Writes break off with UNAVAILABLE.
    :ivar write_stalls: after how many bytes the next Writes are not read any more.
    :ivar ends: after how many bytes the next Reads end, as if that were all.
    :ivar extra: what is sent after a blob's last byte.
    :ivar flip: whether the last byte of what is read is another one.
    :ivar bytes_per_second: of each Read; 0 for as fast as it goes.
    :ivar hang: set, calls wait until it is cleared.
    """

    failures: dict[str, list[grpc.StatusCode]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)
    write_cuts: list[int] = field(default_factory=list)
    write_stalls: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    extra: bytes = b""
    flip: bool = False
    bytes_per_second: float = 0
    hang: threading.Event = field(default_factory=threading.Event)


class Backing:
    """The server and what it has.

    :param credentials: for TLS.
    :ivar blobs: the blobs.
    :ivar results: the action results, by the hash of the action.
    :ivar counts: how often each method was called.
    :ivar reads: how often a Read of each blob was begun.
    :ivar written_from: at which offset each Write of a blob began, by its hash.
    :ivar order: what arrived, blobs and action results by their hashes, in its order.
    :ivar partial: what is here of uploads that are not complete, by their resource names.
    :ivar metadata: of each call its method and metadata.
    :ivar first_byte_at: when the first byte of a blob left, by its hash (time.monotonic).
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.script = Script()
        self.blobs: dict[Key, bytes] = {}
        self.results: dict[str, reapi.ActionResult] = {}
        self.counts: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.written_from: dict[str, list[int]] = {}
        self.order: list[str] = []
        self.metadata: list[tuple[str, dict[str, Any]]] = []
        self.first_byte_at: dict[str, float] = {}
        self.partial: dict[str, bytearray] = {}
        self._server = grpc.server(ThreadPoolExecutor(64))
        services.add_CapabilitiesServicer_to_server(_Capabilities(self), self._server)
        services.add_ContentAddressableStorageServicer_to_server(_CAS(self), self._server)
        services.add_ActionCacheServicer_to_server(_ActionCache(self), self._server)
        bytestream_services.add_ByteStreamServicer_to_server(_ByteStream(self), self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._scheme = "grpc" if credentials is None else "grpcs"
        self._server.start()

    @property
    def target(self) -> str:
        """Where it is, as the configuration has it."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it and its calls."""
        self.script.hang.clear()
        self._server.stop(0).wait()

    def keep(self, data: bytes) -> reapi.Digest:
        """A blob that it has."""
        digest = digest_of(data)
        self.blobs[_key(digest)] = data
        return digest

    def take(self, hash_hex: str, data: bytes) -> bool:
        """A blob that somebody brings.

        :returns: whether it has that hash; else it is not taken.
        """
        digest = digest_of(data)
        if digest.hash != hash_hex:
            return False
        self.blobs[_key(digest)] = data
        self.order.append(hash_hex)
        return True

    def begin(self, method: str, context: grpc.ServicerContext) -> None:
        """A call has come: count it, and let it fail if it is to."""
        self.counts[method] += 1
        self.metadata.append((method, dict(context.invocation_metadata())))
        while self.script.hang.is_set() and context.is_active():
            time.sleep(0.01)
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "nobody waits for it any more")
        failures = self.script.failures.get(method)
        if failures:
            context.abort(failures.pop(0), "as the test wants it")


class _Capabilities(services.CapabilitiesServicer):
    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def GetCapabilities(self, request: Any, context: Any) -> reapi.ServerCapabilities:
        self._backing.begin("GetCapabilities", context)
        cache = reapi.CacheCapabilities(
            digest_functions=["SHA256"],
            action_cache_update_capabilities=reapi.ActionCacheUpdateCapabilities(
                update_enabled=True
            ),
        )
        return reapi.ServerCapabilities(cache_capabilities=cache)


class _CAS(services.ContentAddressableStorageServicer):
    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def FindMissingBlobs(self, request: Any, context: Any) -> reapi.FindMissingBlobsResponse:
        self._backing.begin("FindMissingBlobs", context)
        missing = [d for d in request.blob_digests if _key(d) not in self._backing.blobs]
        return reapi.FindMissingBlobsResponse(missing_blob_digests=missing)

    def BatchUpdateBlobs(self, request: Any, context: Any) -> reapi.BatchUpdateBlobsResponse:
        self._backing.begin("BatchUpdateBlobs", context)
        answer = reapi.BatchUpdateBlobsResponse()
        for one in request.requests:
            response = answer.responses.add(digest=one.digest)
            if not self._backing.take(one.digest.hash, one.data):
                response.status.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
        return answer

    def BatchReadBlobs(self, request: Any, context: Any) -> reapi.BatchReadBlobsResponse:
        self._backing.begin("BatchReadBlobs", context)
        answer = reapi.BatchReadBlobsResponse()
        for digest in request.digests:
            self._backing.reads[digest.hash] += 1
            data = self._backing.blobs.get(_key(digest))
            if data is None:
                answer.responses.add(digest=digest).status.code = 5
            else:
                answer.responses.add(digest=digest, data=_spoiled(data, self._backing.script))
        return answer


class _ActionCache(services.ActionCacheServicer):
    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def GetActionResult(self, request: Any, context: Any) -> reapi.ActionResult:
        self._backing.begin("GetActionResult", context)
        result = self._backing.results.get(request.action_digest.hash)
        if result is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such result")
        assert result is not None  # abort raises
        return result

    def UpdateActionResult(self, request: Any, context: Any) -> reapi.ActionResult:
        self._backing.begin("UpdateActionResult", context)
        self._backing.results[request.action_digest.hash] = request.action_result
        self._backing.order.append(request.action_digest.hash)
        result: reapi.ActionResult = request.action_result
        return result


class _ByteStream(bytestream_services.ByteStreamServicer):
    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def Read(self, request: Any, context: Any) -> Iterator[bytestream.ReadResponse]:
        backing, script = self._backing, self._backing.script
        backing.begin("Read", context)
        *_, hash_hex, size = request.resource_name.split("/")
        backing.reads[hash_hex] += 1
        data = backing.blobs.get((hash_hex, int(size)))
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such blob")
            return
        whole = _spoiled(data, script)
        cut = script.cuts.pop(0) if script.cuts else None
        end = script.ends.pop(0) if script.ends else None
        stall = script.stalls.pop(0) if script.stalls else None
        stop = min(x for x in (cut, end, stall, len(whole)) if x is not None)
        began, sent = time.monotonic(), 0
        for at in range(request.read_offset, stop, PIECE_BYTES):
            piece = whole[at : min(stop, at + PIECE_BYTES)]
            sent += len(piece)
            if script.bytes_per_second:
                time.sleep(max(0, began + sent / script.bytes_per_second - time.monotonic()))
            backing.first_byte_at.setdefault(hash_hex, time.monotonic())
            yield bytestream.ReadResponse(data=piece)
        if cut is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"cut at {cut}")
        if stall is not None:
            _wait_until_cancelled(context)

    def Write(self, requests: Any, context: Any) -> bytestream.WriteResponse:
        backing, script = self._backing, self._backing.script
        backing.begin("Write", context)
        first = next(requests)
        *_, hash_hex, size = first.resource_name.split("/")
        backing.written_from.setdefault(hash_hex, []).append(first.write_offset)
        held = backing.partial.setdefault(first.resource_name, bytearray())
        cut = script.write_cuts.pop(0) if script.write_cuts else int(size) + 1
        stall = script.write_stalls.pop(0) if script.write_stalls else int(size) + 1
        for request in itertools.chain([first], requests):
            if request.write_offset != len(held):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not at {request.write_offset}")
            held += request.data
            if len(held) >= cut:
                del held[cut:]  # as if the message had been cut too
                context.abort(grpc.StatusCode.UNAVAILABLE, f"cut at {cut}")
            if len(held) >= stall:
                _wait_until_cancelled(context)
        if not backing.take(hash_hex, bytes(held)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not blob {hash_hex}")
        del backing.partial[first.resource_name]
        return bytestream.WriteResponse(committed_size=len(held))

    def QueryWriteStatus(self, request: Any, context: Any) -> bytestream.QueryWriteStatusResponse:
        self._backing.begin("QueryWriteStatus", context)
        *_, hash_hex, size = request.resource_name.split("/")
        if (hash_hex, int(size)) in self._backing.blobs:
            return bytestream.QueryWriteStatusResponse(committed_size=int(size), complete=True)
        held = self._backing.partial.get(request.resource_name, b"")
        return bytestream.QueryWriteStatusResponse(committed_size=len(held))


def _wait_until_cancelled(context: grpc.ServicerContext) -> None:
    cancelled = threading.Event()
    if context.add_callback(cancelled.set):
        cancelled.wait()


def _key(digest: reapi.Digest) -> Key:
    return digest.hash, digest.size_bytes


def _spoiled(data: bytes, script: Script) -> bytes:
    if script.flip:
        data = data[:-1] + bytes([data[-1] ^ 1])
    return data + script.extra


#: l_onoff and l_linger of socket(7).
NO_LINGERING = struct.pack("ii", 1, 0)


class Resetting:
    """Stands between, and breaks connections as no server would: with a reset.

    :param port: where bytes go.
    :ivar after: after how many bytes from there the next connections are reset.
    :ivar upward: after how many bytes to there the next connections are reset.
    """

    def __init__(self, port: int) -> None:
        self.after: list[int] = []
        self.upward: list[int] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)

    @property
    def target(self) -> str:
        """Where it is, as the configuration has it."""
        return f"grpc://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _run(self, work: Callable[..., None], *args: object) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._run(self._copy, client, server, self.upward.pop(0) if self.upward else None)
                self._run(self._copy, server, client, self.after.pop(0) if self.after else None)

    def _copy(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        # Closing without lingering is a reset (RFC 9293 section 3.10.4).
                        for end in (source, sink):
                            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
                        break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR) if left is None else end.close()
