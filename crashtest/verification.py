"""All that a daemon should know, asked of it after a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import grpc

from crashtest.experiment import Experiment
from crashtest.findings import (
    INCOMPLETE,
    LOST,
    LOST_RESULTS,
    OTHER_RESULTS,
    UNEXPECTED,
    WRONG_BYTES,
)
from crashtest.ledger import Versions
from crashtest.writing import action_digest, references
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, read_name

#: Blobs of up to this many bytes are read in batches, of up to so many bytes and blobs.
_SMALL_BYTES = 65_536
_BATCH_BYTES = 2 << 20
_BATCH_BLOBS = 500

_NOT_FOUND = grpc.StatusCode.NOT_FOUND


class Verification:
    """Reads everything while nobody writes.

    :param client: on a connection to the daemon.
    """

    def __init__(self, client: Client, experiment: Experiment) -> None:
        self._client = client
        conditions, _, self._ledger, self._findings = experiment
        self._evicts = conditions.evicts

    def run(self) -> None:
        """Blobs, then action results."""
        acknowledged = self._ledger.acknowledged()
        for number in self._absent(acknowledged):
            if self._evicts:
                self._findings.count("blobs evicted")
                self._ledger.forget(number)
            else:
                digest = acknowledged[number]
                self._findings.fault(LOST, f"{number}: {digest.hash}/{digest.size_bytes}")
        for _ in self._absent(self._ledger.uncertain()):
            self._findings.count("blobs not acknowledged and not stored")
        for action, versions in self._ledger.results().items():
            self._check_result(action, versions)

    def _absent(self, blobs: dict[int, reapi.Digest]) -> Iterator[int]:
        """The numbers of those that are not there; the others have their digests."""
        for batch in _batches(blobs):
            digests = [blobs[number] for number in batch]
            missing = {digest.hash for digest in self._client.find_missing(digests)}
            there = {digest.hash for digest in self._present(digests)}
            if not self._evicts and missing & there:
                self._findings.fault(UNEXPECTED, f"missing and readable: {missing & there}")
            for number in batch:
                if blobs[number].hash not in there:
                    yield number

    def _present(self, digests: list[reapi.Digest]) -> Iterator[reapi.Digest]:
        small = [digest for digest in digests if digest.size_bytes <= _SMALL_BYTES]
        if small:
            request = reapi.BatchReadBlobsRequest(digests=small)
            for response in self._client.cas.BatchReadBlobs(request).responses:
                if response.status.code == 0:
                    self._check_bytes(response.digest, [response.data])
                    yield response.digest
                elif response.status.code != _NOT_FOUND.value[0]:
                    self._findings.fault(UNEXPECTED, f"BatchReadBlobs: {response.status}")
        for digest in digests:
            if digest.size_bytes > _SMALL_BYTES and self._is_readable(digest):
                yield digest

    def _is_readable(self, digest: reapi.Digest) -> bool:
        try:
            data = self._client.read(read_name(digest))
        except grpc.RpcError as error:
            if error.code() is not _NOT_FOUND:
                self._findings.fault(UNEXPECTED, f"Read: {error.code()}: {error.details()}")
            return False
        self._check_bytes(digest, [data])
        return True

    def _check_bytes(self, digest: reapi.Digest, pieces: Iterable[bytes]) -> None:
        hasher, size = hashlib.sha256(), 0
        for piece in pieces:
            hasher.update(piece)
            size += len(piece)
        self._findings.count("blobs checked")
        if (hasher.hexdigest(), size) != (digest.hash, digest.size_bytes):
            self._findings.fault(WRONG_BYTES, f"{digest.hash}/{digest.size_bytes}: {size} bytes")

    def _check_result(self, action: int, versions: Versions) -> None:
        result = self._result(action)
        if result is None:
            if versions.acknowledged and not self._evicts:
                self._findings.fault(LOST_RESULTS, f"action {action}")
            self._ledger.forget_result(action)
            return
        self._findings.count("action results checked")
        if result not in versions.possible:
            self._findings.fault(OTHER_RESULTS, f"action {action}: {result}")
        missing = self._client.find_missing(references(result))
        # What is evicted between the two answers takes the result with it.
        if missing and self._result(action) == result:
            self._findings.fault(INCOMPLETE, f"action {action}: {len(missing)} blobs are gone")

    def _result(self, action: int) -> reapi.ActionResult | None:
        request = reapi.GetActionResultRequest(action_digest=action_digest(action))
        try:
            result: reapi.ActionResult = self._client.action_cache.GetActionResult(request)
        except grpc.RpcError as error:
            if error.code() is not _NOT_FOUND:
                self._findings.fault(
                    UNEXPECTED, f"GetActionResult: {error.code()}: {error.details()}"
                )
            return None
        return result


def _batches(blobs: dict[int, reapi.Digest]) -> Iterator[list[int]]:
    batch: list[int] = []
    total = 0
    for number, digest in blobs.items():
        if digest.size_bytes <= _SMALL_BYTES:
            total += digest.size_bytes
        batch.append(number)
        if total >= _BATCH_BYTES or len(batch) == _BATCH_BLOBS:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
