"""What a build client reads, while it writes."""

from __future__ import annotations

from random import Random

import grpc
import zstandard

from crashtest.experiment import Experiment
from crashtest.findings import INCOMPLETE, LOST, OTHER_RESULTS, WRONG_BYTES
from crashtest.writing import action_digest, references
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, read_name

_NOT_FOUND = grpc.StatusCode.NOT_FOUND


class Reading:
    """One client's reads. Each method is one of them.

    :param client: its connection.
    :param actions: how many actions there are.
    """

    def __init__(
        self,
        client: Client,
        actions: int,
        experiment: Experiment,
        random: Random,
    ) -> None:
        self._client = client
        conditions, self._content, self._ledger, self._findings = experiment
        self._random = random
        self._actions = actions
        self._evicts = conditions.evicts

    def read(self) -> None:
        """A part of a blob, or all of it."""
        for number, digest in self._ledger.some(self._random, 1):
            data = self._content.blob(number)
            offset = self._random.choice((0, self._random.randint(0, len(data))))
            limit = self._random.choice((0, self._random.randint(0, len(data))))
            try:
                found = self._client.read(read_name(digest), offset, limit)
            except grpc.RpcError as error:
                self._missed(error, digest)
            else:
                expected = data[offset : offset + limit] if limit else data[offset:]
                self._compare(found, expected, digest)

    def read_compressed(self) -> None:
        """A whole blob, compressed with zstd."""
        for number, digest in self._ledger.some(self._random, 1):
            name = read_name(digest, kind="compressed-blobs/zstd")
            try:
                found = self._client.read(name)
            except grpc.RpcError as error:
                self._missed(error, digest)
            else:
                expanded = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
                self._compare(expanded.decompress(found), self._content.blob(number), digest)

    def find_missing(self) -> None:
        """Blobs that are stored, and one that never was."""
        stored = [digest for _, digest in self._ledger.some(self._random, 100)]
        never = reapi.Digest(hash=self._random.randbytes(32).hex(), size_bytes=1000)
        missing = self._client.find_missing([*stored, never])
        if never not in missing:
            self._findings.fault(WRONG_BYTES, f"FindMissingBlobs knows {never}")
        if not self._evicts and len(missing) > 1:
            self._findings.fault(LOST, f"FindMissingBlobs while it runs: {missing}")
        self._findings.count("blobs asked for by FindMissingBlobs", len(stored) + 1)

    def get_action_result(self) -> None:
        """An action result, and whether what it refers to is there."""
        action = self._random.randrange(self._actions)
        request = reapi.GetActionResultRequest(action_digest=action_digest(action))
        try:
            result = self._client.action_cache.GetActionResult(request)
        except grpc.RpcError as error:
            if error.code() is not _NOT_FOUND:
                raise
            return
        self._findings.count("action results read")
        if not self._ledger.was_sent(action, result):
            self._findings.fault(OTHER_RESULTS, f"action {action}")
        # Where things are evicted, one may be gone just after the answer.
        if not self._evicts and (missing := self._client.find_missing(references(result))):
            self._findings.fault(INCOMPLETE, f"action {action} while it runs: {missing}")

    def _missed(self, error: grpc.RpcError, digest: reapi.Digest) -> None:
        if error.code() is not _NOT_FOUND:
            raise error
        if not self._evicts:
            self._findings.fault(LOST, f"{digest.hash}/{digest.size_bytes} while it runs: {error}")

    def _compare(self, found: bytes, expected: bytes, digest: reapi.Digest) -> None:
        self._findings.count("blobs checked")
        if found != expected:
            self._findings.fault(
                WRONG_BYTES,
                f"{digest.hash}/{digest.size_bytes}: {len(found)} bytes, expected {len(expected)}",
            )
