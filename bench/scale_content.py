"""Small synthetic entries: each is known by its number, and found again without a list of them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from time import time

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.storage.index import Index
from gorego_tw.storage.local import action_key
from gorego_tw.storage.records import INLINE, BlobRecord, pack_action

#: Transactions while the index is built, unless that makes them too small or too large.
_BATCHES = 25
_LEAST_BATCH, _MOST_BATCH = 5_000, 100_000

#: How long ago they were last used, in seconds: at least, and how much longer at most.
_AGE_SECONDS = 86_400
_SPREAD_SECONDS = 30 * 86_400


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

    def fill(self, index: Index, checkpoint: Callable[[], object]) -> None:
        """Put all of them, also those that were evicted meanwhile.

        :param checkpoint: takes one, as often as a daemon would for so much; without, no page that was
            freed meanwhile would be used again.
        """
        now = int(time()) - _AGE_SECONDS
        batch = min(max(_LEAST_BATCH, self.count // _BATCHES), _MOST_BATCH)
        for start in range(0, self.count, batch):
            numbers = range(start, min(start + batch, self.count))
            blobs = sorted((*self.blob(n), now - _age(n)) for n in numbers)
            actions = sorted(
                (action_key(self.action(n)), pack_action(self.result(n), now - _age(n)))
                for n in numbers
            )
            with index.write() as txn:
                for digest, data, last_used in blobs:
                    record = BlobRecord(last_used, INLINE, len(data), 0)
                    txn.put_blob(digest.key, record, data)
                for key, value in actions:
                    txn.put_action(key, value)
            checkpoint()


def _age(number: int) -> int:
    """How much longer ago than the least, in seconds."""
    return number * 1_000_003 % _SPREAD_SECONDS
