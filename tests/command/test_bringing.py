"""Tests of gorego_tw.command.bringing: what is imported, in as few calls as that takes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Iterator
from io import BytesIO, StringIO
from random import Random

import lmdb
from google.protobuf.message import Message

from gorego_tw.command.archive import MOST_RESULT_BYTES, Data
from gorego_tw.command.bringing import SMALL_BYTES, Bringing
from gorego_tw.command.connection import Refused, ReplyT
from gorego_tw.command.direct import Direct, sleep
from gorego_tw.control.names import message_of
from gorego_tw.control.service import Control
from gorego_tw.digest import Digest
from gorego_tw.errors import Code
from gorego_tw.interfaces import StoredActionResult
from gorego_tw.storage.environment import LEAST_GROWTH_BYTES
from gorego_tw.storage.records import pack_action, unpack_action
from tests.storage.tiers import TierTestCase, blob


class Counted:
    """A connection to the tier of a test.

    :ivar calls: how often each method was called.
    """

    def __init__(self, direct: Direct) -> None:
        self.calls: Counter[str] = Counter()
        self._direct = direct

    def ask(self, method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
        self.calls[method] += 1
        return self._direct.ask(method, request, reply)

    def stream(self, method: str, request: Message, reply: type[ReplyT]) -> Generator[ReplyT]:
        self.calls[method] += 1
        return self._direct.stream(method, request, reply)

    def send(self, method: str, requests: Iterator[Message], reply: type[ReplyT]) -> ReplyT:
        self.calls[method] += 1
        return self._direct.send(method, requests, reply)


class BringingTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        control = Control(self.tier, Random(1), sleep)
        self.connection = Counted(Direct(control, self.settle))
        self.bringing = Bringing(self.connection)

    async def settle(self) -> None:
        """As the command does."""
        await self.tier.checkpoints.take_if_due(self.tier.threads)

    def take(self, size_bytes: int, seed: int = 0) -> Digest:
        digest, data = blob(size_bytes, seed)
        self.bringing.take(message_of(digest), size_bytes, Data(BytesIO(data)))
        return digest

    def take_result(self, number: int, value: bytes) -> None:
        key = b"\0" + number.to_bytes(32, "big")
        self.bringing.take(key, len(value), Data(BytesIO(value)))

    def missing(self, digests: list[Digest]) -> list[Digest]:
        return self.successResultOf(self.tier.blobs.find_missing(digests))

    def test_few_calls(self) -> None:
        """A thousand small blobs and action results come in a few calls, and all are kept."""
        digests = [self.take(100 + number) for number in range(500)]
        packed = pack_action(StoredActionResult(b"result", ()), 0)
        for number in range(500):
            self.take_result(number, packed)
        self.bringing.send()
        self.assertEqual(self.bringing.counts, {"blobs": 500, "action_results": 500})
        self.assertEqual(self.connection.calls, {"WriteSeveral": 4})
        self.assertEqual(self.missing(digests), [])
        self.assertEqual(self.tier.index.tallies[0].entries, 500)

    def test_more_than_a_checkpoint(self) -> None:
        """However much comes, the index takes it: its pages are brought to the disk in between."""
        self.tier.environment.growth_bytes = LEAST_GROWTH_BYTES
        for number in range(4000):
            self.take(1000, number)
        for number in range(3):
            self.take(20 * SMALL_BYTES, number)
        self.bringing.send()
        self.assertEqual(self.bringing.counts, {"blobs": 4003})
        self.assertGreater(self.tier.checkpoints.taken, 3)

    def test_bounded_messages(self) -> None:
        """Blobs that are not that small fill more messages; none is lost between two."""
        digests = [self.take(SMALL_BYTES, number) for number in range(40)]
        self.bringing.send()
        self.assertEqual(self.connection.calls, {"WriteSeveral": 3})
        self.assertEqual(self.missing(digests), [])

    def test_large(self) -> None:
        """A large blob has a call of its own."""
        digest = self.take(SMALL_BYTES + 1)
        self.assertEqual(self.connection.calls, {"Write": 1})
        self.assertEqual(self.missing([digest]), [])

    def test_there_already(self) -> None:
        """What is there already is counted as such, in a message of several or alone."""
        for size in (10, SMALL_BYTES + 1) * 2:
            self.take(size)
            self.bringing.send()
        self.assertEqual(self.bringing.counts, {"blobs": 2, "existed": 2})

    def test_results_there_already(self) -> None:
        """An action result that is there stays: it is newer than what comes, or the same."""
        for data in (b"newer", b"older"):
            self.take_result(1, pack_action(StoredActionResult(data, ()), 0))
            self.bringing.send()
        self.assertEqual(self.bringing.counts, {"action_results": 1, "existed": 1})
        value = self.tier.index.action(b"\0" + (1).to_bytes(32, "big"))
        assert value is not None
        self.assertEqual(unpack_action(value).data, b"newer")

    def test_refused(self) -> None:
        """What is wrong is refused, which is told, and all others are kept."""
        self.patch(sys, "stderr", told := StringIO())
        good = [self.take(10), self.take(SMALL_BYTES + 1)]
        for size in (20, SMALL_BYTES + 2):
            digest, data = blob(size)
            wrong = Data(BytesIO(data[:-1] + b"?"))
            self.bringing.take(message_of(digest), size, wrong)
        self.take_result(1, b"?")
        self.bringing.send()
        self.assertEqual(self.bringing.counts, {"blobs": 2, "refused": 3})
        self.assertEqual(told.getvalue().count("refused: "), 3)
        self.assertEqual(self.missing(good), [])

    def test_too_large(self) -> None:
        """An action result that no message takes is refused before it is read, with what would be allowed."""
        self.patch(sys, "stderr", told := StringIO())
        self.bringing.take(bytes(33), MOST_RESULT_BYTES + 1, Data(BytesIO()))
        self.assertIn(f": 67108865 bytes; allowed: {MOST_RESULT_BYTES} at most", told.getvalue())

    def test_nothing_more_will_be_kept(self) -> None:
        """When the disk fails the import ends at the first that was not kept."""
        self.patch(self.tier.environment, "begin", self.broken)
        self.patch(self.tier.index, "_begin", self.broken)
        self.take(10)
        error = self.assertRaises(Refused, self.bringing.send)
        self.assertIs(error.code, Code.UNAVAILABLE)

    def broken(self, *_: object, **__: object) -> None:
        """As LMDB is on a disk that fails."""
        raise lmdb.DiskError("no disk")
