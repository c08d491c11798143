"""Small synthetic entries: each is known by its number, and found again without a list of them."""

from __future__ import annotations

from hashlib import sha256
from time import time

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.storage.index import Index
from gorego_tw.storage.local import action_key
from gorego_tw.storage.records import INLINE, BlobRecord, pack_action

#: How many entries one transaction takes while the index is built.
_BATCH = 200_000

#: How long ago they were last used, in seconds.
_AGE_SECONDS = 86400


class Content:
    """So many entries: half blobs, half action results.

    :ivar count: of each.
    """

    def __init__(self, entries: int) -> None:
        self.count = entries // 2

    @staticmethod
    def blob(number: int) -> tuple[Digest, bytes]:
        """A blob of some 100 bytes."""
        data = b"%0100d" % number
        return digest_of(data, DigestFunction.SHA256), data

    @staticmethod
    def action(number: int) -> ActionKey:
        """The name of an action result."""
        return ActionKey("bench", digest_of(b"action %d" % number, DigestFunction.SHA256))

    def result(self, number: int) -> StoredActionResult:
        """An action result that refers to three blobs of those up to its own number."""
        head = sha256(b"result %d" % number).digest()
        numbers = (int.from_bytes(head[n : n + 8], "big") % (number + 1) for n in (0, 8, 16))
        data = reapi.ActionResult(stdout_raw=head * 7).SerializeToString()
        return StoredActionResult(data, tuple(self.blob(n)[0] for n in numbers))

    def fill(self, index: Index) -> None:
        """Put all of them, also those that were evicted meanwhile."""
        last_used = int(time()) - _AGE_SECONDS
        for start in range(0, self.count, _BATCH // 2):
            numbers = range(start, min(start + _BATCH // 2, self.count))
            blobs = sorted(map(self.blob, numbers))
            actions = sorted(
                (action_key(self.action(n)), pack_action(self.result(n), last_used))
                for n in numbers
            )
            with index.write() as txn:
                for digest, data in blobs:
                    record = BlobRecord(last_used, INLINE, len(data), 0)
                    txn.put_blob(digest.key, record, data)
                for key, value in actions:
                    txn.put_action(key, value)
