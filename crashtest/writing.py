"""What a build client writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from random import Random

import grpc
import zstandard

from crashtest.experiment import Experiment
from crashtest.findings import SHRUNK, UNEXPECTED
from crashtest.ledger import Interrupted
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.client import Client, digest_of, write_name, write_requests

#: How many action results each client updates, so that most updates replace one.
ACTIONS_OF_A_CLIENT = 25

#: How long an upload may stay open that will be broken off, in seconds: as long as any daemon lives.
_INTERRUPT_SECONDS = 10.0


class Writing:
    """One client's writes. Each method is one of them.

    :param client: its connection.
    :param number: its number, from 0.
    """

    def __init__(
        self,
        client: Client,
        number: int,
        experiment: Experiment,
        random: Random,
    ) -> None:
        self._client = client
        self._actions = range(number * ACTIONS_OF_A_CLIENT, (number + 1) * ACTIONS_OF_A_CLIENT)
        conditions, self._content, self._ledger, self._findings = experiment
        self._is_tight = conditions.is_tight
        self._random = random

    def upload(self) -> None:
        """A blob by ByteStream, in pieces, compressed now and then."""
        number, data, digest = self._begin()
        compressed = self._random.random() < 0.25
        kind = "compressed-blobs/zstd" if compressed else "blobs"
        sent = zstandard.compress(data, 1) if compressed else data
        name = write_name(digest, kind=kind)
        self._client.byte_stream.Write(write_requests(name, sent, piece=self._piece()))
        self._ledger.acknowledge(number)
        self._findings.count("uploads acknowledged")

    def upload_again(self) -> None:
        """A blob that is stored already, or is being stored at the moment."""
        for number, digest in self._ledger.some(self._random, 1):
            data = self._content.blob(number)
            self._client.byte_stream.Write(write_requests(write_name(digest), data))
            self._findings.count("uploads acknowledged")

    def batch_update(self) -> None:
        """Small blobs in one call."""
        request = reapi.BatchUpdateBlobsRequest()
        numbers: dict[str, int] = {}
        total = 0
        for _ in range(self._random.randint(1, 20)):
            number, data, digest = self._begin()
            total += len(data)
            if total > 2 << 20:
                break
            numbers[digest.hash] = number
            request.requests.add(digest=digest, data=data)
        for response in self._client.cas.BatchUpdateBlobs(request).responses:
            if response.status.code == 0:
                self._ledger.acknowledge(numbers[response.digest.hash])
                self._findings.count("batch updates of blobs acknowledged")
            elif response.status.code != grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
                self._findings.fault(UNEXPECTED, f"BatchUpdateBlobs: {response.status}")

    def update_action_result(self) -> None:
        """The result of an action: files and a directory of blobs that are stored."""
        outputs = self._ledger.some(self._random, self._random.randint(1, 30))
        if not outputs:
            return
        action = self._random.choice(self._actions)
        result = reapi.ActionResult(exit_code=self._random.randrange(1 << 30))
        for number, digest in outputs[1:]:
            result.output_files.add(path=f"out/{number}", digest=digest)
        result.output_directories.add(path="dir", tree_digest=self._tree(outputs[:1]))
        self._ledger.send_result(action, result)
        self._client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(
                action_digest=action_digest(action), action_result=result
            )
        )
        self._ledger.acknowledge_result(action, result)
        self._findings.count("action results acknowledged")

    def break_off(self) -> None:
        """An upload that ends half-way, with what the daemon says that it holds of it.

        Every other one ends no earlier than the daemon, which has not heard then that it was broken
        off.
        """
        number, data, digest = self._begin()
        name = write_name(digest)
        part, over = self._random.randint(1, len(data)), threading.Event()

        def half() -> Iterator[bytestream.WriteRequest]:
            yield from write_requests(name, data[:part], finish=False, piece=self._piece())
            over.wait(_INTERRUPT_SECONDS)

        call = self._client.byte_stream.Write.future(half())
        try:
            over.wait(self._random.random() * 0.1)
            told, _ = self._client.committed_size(name)
        finally:
            if self._random.random() < 0.5:
                over.set()
                call.cancel()
        # What is in memory alone is told only of what will be in the index: no promise.
        self._ledger.interrupt(Interrupted(name, number, told if len(data) > 4080 else 0))
        self._findings.count("uploads broken off")

    def resume(self) -> None:
        """An upload that was broken off, perhaps before the daemon was killed."""
        upload = self._ledger.take_interrupted(self._random)
        if upload is None:
            return
        data = self._content.blob(upload.number)
        held, complete = self._client.committed_size(upload.resource_name)
        # Where there is too little room it may be gone, as if it had never been begun; but no part of it.
        if held < upload.told and (held or not self._is_tight):
            self._findings.fault(SHRUNK, f"{upload}: {held}")
        if not complete:
            self._client.byte_stream.Write(
                write_requests(upload.resource_name, data, start=held, piece=self._piece())
            )
        self._ledger.acknowledge(upload.number)
        self._findings.count("uploads gone on with")

    def _tree(self, outputs: list[tuple[int, reapi.Digest]]) -> reapi.Digest:
        tree = reapi.Tree()
        for number, digest in outputs:
            tree.root.files.add(name=str(number), digest=digest)
        request = reapi.BatchUpdateBlobsRequest()
        data = tree.SerializeToString()
        request.requests.add(digest=digest_of(data), data=data)
        self._client.cas.BatchUpdateBlobs(request)
        return digest_of(data)

    def _begin(self) -> tuple[int, bytes, reapi.Digest]:
        number = self._ledger.new_number()
        data = self._content.blob(number)
        digest = digest_of(data)
        self._ledger.begin(number, digest)
        return number, data, digest

    def _piece(self) -> int:
        return self._random.choice((1000, 16_384, 100_000, 1 << 20))


def action_digest(action: int) -> reapi.Digest:
    """The digest of the action of that number."""
    return digest_of(b"action %d" % action)


def references(result: reapi.ActionResult) -> list[reapi.Digest]:
    """What the result itself names."""
    trees = [directory.tree_digest for directory in result.output_directories]
    return [file.digest for file in result.output_files] + trees
