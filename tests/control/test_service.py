"""The control service on a tier."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import zlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from gorego_tw.concurrency import closing
from gorego_tw.control.names import message_of
from gorego_tw.control.service import Control
from gorego_tw.digest import Digest
from gorego_tw.errors import (
    Code,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from gorego_tw.eviction.janitor import LOOK_SECONDS, Janitor
from gorego_tw.grpc.router import IRPCService
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.gorego.control.v1 import control_pb2 as pb
from gorego_tw.storage.inventory import Inventory
from gorego_tw.storage.local import LocalBlobs, action_key
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.records import COMPRESSED, BlobRecord, Tally, pack_action, pack_tally
from tests.storage.tiers import PiecesBody, TierTestCase, blob, read


async def no_pause(seconds: float) -> None:
    """Nobody else wants a turn."""


async def all_of(replies: AsyncIterator[Any]) -> list[Any]:
    """What a stream brings, as it was when it came."""
    found = []
    async with closing(replies):
        async for reply in replies:
            copy = type(reply)()
            copy.CopyFrom(reply)
            found.append(copy)
    return found


async def given(requests: Iterable[pb.WriteRequest]) -> AsyncIterator[pb.WriteRequest]:
    """A stream of requests."""
    for request in requests:
        yield request


class ControlTestCase(TierTestCase):
    """Has a service."""

    def setUp(self) -> None:
        super().setUp()
        self.control = Control(self.tier, Random(1), no_pause)

    def waiting_control(self) -> tuple[Control, list[float]]:
        """Another one, and how long it waits each time, in seconds."""
        waits: list[float] = []

        async def pause(seconds: float) -> None:
            waits.append(seconds)

        return Control(self.tier, Random(1), pause), waits

    def stream(self, replies: AsyncIterator[Any]) -> list[Any]:
        """What comes."""
        found: list[Any] = self.successResultOf(all_of(replies))
        return found

    def put_result(self, *references: Digest) -> bytes:
        """Keep an action result; its key in the index."""
        key = ActionKey("", blob(3)[0])
        result = StoredActionResult(b"result", references)
        self.successResultOf(self.tier.action_results.put(key, result))
        return action_key(key)

    def flip(self, digest: Digest) -> None:
        """Damage the file of a blob."""
        path = self.path(digest)
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)


class StatTests(ControlTestCase):
    def test_interface(self) -> None:
        """It is a service of gRPC."""
        verifyObject(IRPCService, self.control)

    def test_figures(self) -> None:
        """Entries and bytes are told by kind, and ages in the order of the parts."""
        self.put(10)
        self.clock.advance(100)
        self.tier.last_use.tick()
        digest, _ = self.put(5000)
        self.put_result(digest)
        stat = self.successResultOf(self.control.stat(pb.StatRequest(), None))
        kinds = {kind.name: (kind.entries, kind.file_bytes) for kind in stat.kinds}
        self.assertEqual(kinds, {"action results": (1, 0), "SHA256": (2, 8192)})
        self.assertEqual(stat.limit_bytes, self.tier.space.limit_bytes)
        self.assertEqual(stat.used_bytes, self.tier.space.used_bytes)
        self.assertEqual((stat.age_seconds[0], stat.age_seconds[100]), (0, 100))

    def test_turns(self) -> None:
        """Others have their turn while entries are looked at for their ages."""
        self.put(10)
        control, waits = self.waiting_control()
        self.successResultOf(control.stat(pb.StatRequest(), None))
        self.assertEqual(waits, [0.0] * 8)

    def test_nothing_stored(self) -> None:
        """A cache without an entry has no ages."""
        stat = self.successResultOf(self.control.stat(pb.StatRequest(), None))
        self.assertEqual(dict(stat.age_seconds), {})


class ListTests(ControlTestCase):
    def test_blobs(self) -> None:
        """Each comes with its last use and with where it is."""
        small, large = self.put(10)[0], self.put(5000)[0]
        (page,) = self.stream(self.control.list(pb.ListRequest(), None))
        found = {found.name.hash: (found.is_file, found.last_used) for found in page.blobs}
        now = self.tier.last_use.now
        self.assertEqual(found, {small.key[1:]: (False, now), large.key[1:]: (True, now)})


class VerifyTests(ControlTestCase):
    def verify(self, *, repair: bool = False) -> list[tuple[str, bool]]:
        """What is damaged and whether it was dropped."""
        replies = self.stream(self.control.verify(pb.VerifyRequest(repair=repair), None))
        self.assertEqual(replies[-1].entries, replies[-1].all_entries)
        return [(damage.reason, damage.dropped) for reply in replies for damage in reply.damages]

    def test_all_is_well(self) -> None:
        """What is right is counted, and nothing else."""
        self.put(10)
        self.put(5000)
        self.put_result()
        self.assertEqual(self.verify(), [])

    def test_damage_is_told_and_left(self) -> None:
        """Without repair nothing is dropped, however often it is found."""
        digest, _ = self.put(5000)
        self.flip(digest)
        self.assertEqual(self.verify(), [("wrong hash", False)])
        self.assertEqual(self.verify(), [("wrong hash", False)])

    def test_damage_is_counted(self) -> None:
        """Damage is counted once, and told in the log, whether it is dropped or left."""
        digest, _ = self.put(5000)
        self.flip(digest)
        for repair, told in ((False, "left {} as it is"), (True, "dropped {}")):
            before = self.tier.inventory.damaged
            with capturedLogs() as events:
                self.verify(repair=repair)
            (line,) = map(formatEvent, events)
            self.assertEqual(line, f"{told.format(digest.hash)}: wrong hash")
            self.assertEqual(self.tier.inventory.damaged, before + 1)

    def test_repair(self) -> None:
        """What is damaged is absent afterwards."""
        digest, _ = self.put(5000)
        self.flip(digest)
        self.assertEqual(self.verify(repair=True), [("wrong hash", True)])
        self.assertEqual(self.verify(), [])
        self.failureResultOf(Deferred.fromCoroutine(self.tier.blobs.get(digest)), NotFound)

    def test_disk_away_for_a_moment(self) -> None:
        """What the disk cannot read for now is told, and dropped by nobody before it was looked at again."""
        # What is damaged beside it is dropped, whether it is looked at before or after.
        before, (digest, data), after = sorted(self.put(size) for size in (5000, 6000, 7000))
        self.flip(before[0])
        self.flip(after[0])
        opened, path = os.open, str(self.path(digest))

        def away(name: str, *arguments: int) -> int:
            if name == path:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return opened(name, *arguments)

        patch = self.patch(os, "open", away)
        self.assertEqual(
            sorted(self.verify(repair=True)),
            [("[Errno 5] Input/output error", False), ("wrong hash", True), ("wrong hash", True)],
        )
        patch.restore()
        self.assertTrue(self.tier.unreadable.is_noted(digest))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_a_file_that_is_gone(self) -> None:
        """A blob without its file is damaged."""
        digest, _ = self.put(5000)
        self.path(digest).unlink()
        ((reason, _),) = self.verify()
        self.assertIn("No such file", reason)

    def test_damage_in_the_index(self) -> None:
        """Small blobs and action results are compared too."""
        digest, _ = self.put(10)
        key = self.put_result()
        environment = self.tier.environment
        with environment.begin(write=True) as txn:
            txn.put(digest.key, b"other data", db=environment.small)
            txn.put(key, b"a value of no result", db=environment.actions)
        self.assertEqual(
            self.verify(), [("wrong hash in the index", False), ("wrong checksum", False)]
        )

    def test_damaged_entries(self) -> None:
        """Records and keys of whatever form are found, and dropped, and nobody who lists blobs ends at them."""
        good, data = self.put(10)
        large, large_data = self.put(5000)
        kept = self.tier.environment
        with kept.begin(write=True) as txn:
            record = txn.get(good.key, db=kept.blobs)
            assert record is not None
            for number, damaged in enumerate((b"", record[:5], record + b"?", bytes(25))):
                txn.put(b"\1" + bytes([number]) * 32, damaged, db=kept.blobs)
                txn.put(b"tally:\1", pack_tally(Tally(9, 8192)), db=kept.meta)
            for key in (b"\x81" + bytes(32), b"\1", b"\1" + bytes(20), b"\xff"):
                txn.put(key, record, db=kept.blobs)
        listed = self.stream(self.control.list(pb.ListRequest(), None))
        names = [blob.name.hash for page in listed for blob in page.blobs]
        self.assertEqual(sorted(names), sorted(digest.key[1:] for digest in (good, large)))
        read_all = self.stream(self.control.read_all(pb.ReadAllRequest(), None))
        self.assertIn(
            b"".join(reply.data for reply in read_all), (data + large_data, large_data + data)
        )
        for digest in (Digest(b"\1" + bytes([1]) * 32, 10), Digest(b"\1" + bytes(32), 0)):
            self.assertEqual(self.tier.inventory.missing([digest, good]), [digest])
            self.failureResultOf(
                Deferred.fromCoroutine(
                    self.control.remove(pb.RemoveRequest(name=message_of(digest)), None)
                ),
                NotFound,
            )
        replies = self.stream(self.control.verify(pb.VerifyRequest(repair=True), None))
        self.assertEqual(sum(len(reply.damages) for reply in replies), 8)
        replies = self.stream(self.control.verify(pb.VerifyRequest(), None))
        self.assertEqual(sum(len(reply.damages) for reply in replies), 0)
        self.assertEqual(replies[-1].entries, 2)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, large)), large_data)

    def test_uses_are_not_noted(self) -> None:
        """What is verified is evicted no later than before."""
        digest, _ = self.put(5000)
        self.successResultOf(self.tier.flush())
        before = self.tier.inventory.find(digest)
        self.clock.advance(100)
        self.tier.last_use.tick()
        self.verify()
        self.successResultOf(self.tier.flush())
        self.assertEqual(self.tier.inventory.find(digest), before)

    def test_pace(self) -> None:
        """A bound on the speed is kept by waiting."""
        self.put(5000)
        control, waits = self.waiting_control()
        self.stream(control.verify(pb.VerifyRequest(bytes_per_second=1000), None))
        self.assertEqual(sum(waits), 5)

    def test_pace_within_a_blob(self) -> None:
        """A large blob is waited for piece by piece, and not when all of it was read."""
        self.put(10_000_000)
        control, waits = self.waiting_control()
        self.stream(control.verify(pb.VerifyRequest(bytes_per_second=1_000_000), None))
        self.assertAlmostEqual(sum(waits), 10)
        self.assertLess(max(waits), 2)

    def test_large_results(self) -> None:
        """After each large action result others have their turn."""
        for number in range(3):
            key = ActionKey("", blob(3, number)[0])
            result = StoredActionResult(bytes(100_000), ())
            self.successResultOf(self.tier.action_results.put(key, result))
        control, waits = self.waiting_control()
        self.stream(control.verify(pb.VerifyRequest(), None))
        self.assertEqual(waits, [0.0] * 3)


class BlobTests(ControlTestCase):
    def write(self, digest: Digest, *pieces: bytes) -> Deferred[pb.WriteResponse]:
        requests = [pb.WriteRequest(name=message_of(digest))]
        requests += [pb.WriteRequest(data=piece) for piece in pieces]
        return Deferred.fromCoroutine(self.control.write(given(requests), None))

    def read(self, name: pb.BlobName) -> Deferred[list[pb.ReadResponse]]:
        replies = self.control.read(pb.ReadRequest(name=name), None)
        return Deferred.fromCoroutine(all_of(replies))

    def remove(self, name: pb.BlobName) -> Deferred[pb.RemoveResponse]:
        request = pb.RemoveRequest(name=name)
        return Deferred.fromCoroutine(self.control.remove(request, None))

    def test_read(self) -> None:
        """A blob comes after its name, whether its size was known or not."""
        digest, data = self.put(5000)
        name = message_of(digest)
        for size in (5000, -1):
            asked = pb.BlobName(digest_function=1, hash=name.hash, size_bytes=size)
            first, *rest = self.successResultOf(self.read(asked))
            self.assertEqual(first.name, name)
            self.assertEqual(b"".join(reply.data for reply in rest), data)

    def test_read_what_is_absent(self) -> None:
        """A blob of another size is another one."""
        digest, _ = self.put(10)
        self.failureResultOf(self.read(message_of(blob(11)[0])), NotFound)
        self.failureResultOf(self.read(message_of(digest._replace(size_bytes=9))), NotFound)

    def test_read_what_is_damaged(self) -> None:
        """Damage is told as such, and left for who repairs."""
        digest, _ = self.put(5000)
        self.flip(digest)
        self.failureResultOf(self.read(message_of(digest)), DataLoss)
        self.failureResultOf(self.read(message_of(digest)), DataLoss)

    def test_damage_is_counted(self) -> None:
        """Damage that is met on the way is counted, and told in the log, as when a client meets it."""
        digest, _ = self.put(5000)
        gone, _ = self.put(6000)
        self.flip(digest)
        self.path(gone).unlink()
        with capturedLogs() as events:
            for damaged in (digest, gone):
                self.failureResultOf(self.read(message_of(damaged)), DataLoss)
            self.stream(self.control.read_all(pb.ReadAllRequest(), None))
        told = sorted(formatEvent(event).partition(": ")[0] for event in events)
        expected = sorted(f"left {damaged.hash} as it is" for damaged in (digest, gone) * 2)
        self.assertEqual(told, expected)
        self.assertEqual(self.tier.inventory.damaged, 4)

    def test_read_all(self) -> None:
        """Every blob comes after its name, and of one that is damaged what is wrong."""
        small, large, damaged = (self.put(size) for size in (10, 1_500_000, 5000))
        self.flip(damaged[0])
        found: dict[bytes, bytes] = {}
        damages: dict[bytes, str] = {}
        name = b""
        for reply in self.stream(self.control.read_all(pb.ReadAllRequest(), None)):
            name = reply.name.hash or name
            if reply.damage:
                damages[name] = reply.damage
            else:
                found[name] = found.get(name, b"") + reply.data
        self.assertEqual(found, {d.key[1:]: data for d, data in (small, large)})
        self.assertEqual(list(damages), [damaged[0].key[1:]])

    def test_read_all_with_a_damaged_record(self) -> None:
        """A blob whose record is damaged is told as such, and counted; the others come."""
        key = b"\1" + bytes(32)
        with self.tier.environment.begin(write=True) as txn:
            txn.put(key, b"no record", db=self.tier.environment.blobs)
        digest, data = self.put(10)
        replies = self.stream(self.control.read_all(pb.ReadAllRequest(), None))
        damages = {reply.name.hash: reply.damage for reply in replies if reply.damage}
        self.assertEqual(list(damages), [key[1:]])
        self.assertEqual(b"".join(reply.data for reply in replies), data)
        self.assertIn(digest.key[1:], [reply.name.hash for reply in replies])
        self.assertEqual(self.tier.inventory.damaged, 1)

    def guess_size(self) -> tuple[Digest, bytes]:
        """Keep a blob that looks as if it were compressed, and let it be taken for that."""
        digest, data = self.put(5000)
        guess = BlobRecord(self.tier.last_use.now, COMPRESSED, 20_000, 0, len(data))
        self.tier.inventory.restamp(digest.key, guess)
        return digest, data

    def test_guessed_size(self) -> None:
        """A blob of which only a guess is known is read, exported and verified as what it is."""
        for size in (5000, -1):
            digest, data = self.guess_size()
            asked = pb.BlobName(digest_function=1, hash=digest.key[1:], size_bytes=size)
            first, *rest = self.successResultOf(self.read(asked))
            self.assertEqual(first.name, message_of(digest))
            self.assertEqual(b"".join(reply.data for reply in rest), data)
        digest, data = self.guess_size()
        replies = self.stream(self.control.read_all(pb.ReadAllRequest(), None))
        self.assertEqual([reply.name for reply in replies], [message_of(digest)])
        self.assertEqual(b"".join(reply.data for reply in replies), data)
        self.guess_size()
        replies = self.stream(self.control.verify(pb.VerifyRequest(repair=True), None))
        self.assertEqual([d for reply in replies for d in reply.damages], [])
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_write(self) -> None:
        """A blob in pieces is kept; one that is there already is not taken again."""
        digest, data = blob(5000)
        self.assertFalse(self.successResultOf(self.write(digest, data[:1], data[1:])).existed)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.assertTrue(self.successResultOf(self.write(digest)).existed)

    def test_write_after_a_kill(self) -> None:
        """What another process has left of a blob when it was killed is not taken for the beginning of one."""
        digest, data = blob(2_000_000)

        async def for_ever() -> AsyncIterator[pb.WriteRequest]:
            yield pb.WriteRequest(name=message_of(digest))
            yield pb.WriteRequest(data=data[:1_000_000])
            await Deferred[None]()

        writing = Deferred.fromCoroutine(self.control.write(for_ever(), None))
        killed = Path(self.mktemp())
        shutil.copytree(self.folder, killed)
        writing.cancel()
        self.failureResultOf(writing, CancelledError)
        self.close_tier(self.tier)
        self.folder = killed
        self.control = Control(self.open_tier(), Random(1), no_pause)
        self.assertEqual(len(list((killed / "uploads").iterdir())), 1)
        other, its_data = blob(1_500_000, 1)
        self.assertFalse(self.successResultOf(self.write(other, its_data)).existed)

    def test_write_while_others_are_evicted(self) -> None:
        """Blobs and action results wait for eviction where there is some; alone they are refused."""
        self.reopen(limit_bytes=1_000_000)
        self.put(600_000)
        digest, data = blob(700_000)
        self.control = Control(self.tier, Random(1), no_pause)
        self.failureResultOf(self.write(digest, data), ResourceExhausted)
        janitor = Janitor(self.tier, Random(1))
        janitor.startService()
        self.addCleanup(janitor.stopService)
        self.failureResultOf(self.write(*blob(990_000)), ResourceExhausted)  # it will never fit
        writing = self.write(digest, data)
        self.assertNoResult(writing)
        self.clock.pump([LOOK_SECONDS] * 20)
        self.successResultOf(writing)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_newer_while_others_are_evicted(self) -> None:
        """An action result that a client brings while one from elsewhere waits for room stays."""
        self.reopen(limit_bytes=1_000_000)
        key = ActionKey("", blob(1)[0])
        self.control = Control(self.tier, Random(1), no_pause)
        at_once, room = self.tier.space.room, Deferred[None]()
        self.tier.space.room = lambda _: room
        old = StoredActionResult(b"old", ())
        request = pb.WriteSeveralRequest(
            results=[pb.StoredResult(key=action_key(key), value=pack_action(old, 0))]
        )
        writing = Deferred.fromCoroutine(self.control.write_several(request, None))
        self.assertNoResult(writing)
        new = StoredActionResult(b"new", ())
        self.tier.space.room = at_once
        self.successResultOf(self.tier.action_results.put(key, new))
        room.callback(None)
        (outcome,) = self.successResultOf(writing).outcomes
        self.assertTrue(outcome.existed)
        self.assertEqual(self.successResultOf(self.tier.action_results.get(key)), new)

    def test_write_something_else(self) -> None:
        """What does not have the digest is not kept, nor is a part of it."""
        digest, data = blob(5000)
        self.failureResultOf(self.write(digest, data[1:]), InvalidArgument)
        self.failureResultOf(self.write(digest, data[1:], b"x"), InvalidArgument)
        self.failureResultOf(self.write(digest._replace(size_bytes=0)), InvalidArgument)
        self.assertEqual(self.left_behind(), [])

    def test_write_without_a_name(self) -> None:
        """A stream that says nothing is an error of who sends it."""
        self.failureResultOf(
            Deferred.fromCoroutine(self.control.write(given([]), None)), InvalidArgument
        )
        self.failureResultOf(
            Deferred.fromCoroutine(self.control.write(given([pb.WriteRequest()]), None)),
            InvalidArgument,
        )

    def test_remove(self) -> None:
        """A blob that is removed is absent, for removing too."""
        digest, _ = self.put(5000)
        removals = self.tier.index.removals.count
        self.assertEqual(self.successResultOf(self.remove(message_of(digest))).freed_bytes, 8192)
        self.assertGreater(self.tier.index.removals.count, removals)
        self.failureResultOf(self.remove(message_of(digest)), NotFound)

    def test_remove_what_has_to_be_uploaded(self) -> None:
        """A blob that the backing cache has still to get stays."""
        digest, _ = self.put(5000)
        pending = Pending(self.tier.environment, self.clock, max_bytes=1 << 20)
        pending.add_blob(digest)
        self.failureResultOf(self.remove(message_of(digest)), FailedPrecondition)


class ActionResultTests(ControlTestCase):
    def listed(self) -> list[pb.StoredResult]:
        replies = self.stream(self.control.list_action_results(pb.ListActionResultsRequest(), None))
        return [result for reply in replies for result in reply.results]

    def write(self, result: pb.StoredResult) -> int:
        """Why it was not kept; 0 if it was."""
        request = pb.WriteSeveralRequest(results=[result])
        writing = Deferred.fromCoroutine(self.control.write_several(request, None))
        (outcome,) = self.successResultOf(writing).outcomes
        return outcome.code

    def test_there_and_back(self) -> None:
        """What is listed can be written elsewhere, and is the same there."""
        digest, _ = self.put(10)
        key = ActionKey("", blob(3)[0])
        self.put_result(digest)
        (result,) = self.listed()
        self.tier.inventory.evict([action_key(key)])
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.write(result), 0)
        found = self.successResultOf(self.tier.action_results.get(key))
        self.assertEqual(found, StoredActionResult(b"result", (digest,)))

    def test_damaged(self) -> None:
        """What does not have its checksum, its form, or a key of an action result, is refused."""

        def sealed(covered: bytes) -> bytes:
            return struct.pack("<II", 0, zlib.crc32(covered)) + covered

        self.put_result()
        (result,) = self.listed()
        for key, value in (
            (result.key, result.value[:-1]),
            (result.key, b""),
            (result.key, sealed(b"\1\0\0\0\x21\0" + bytes(32))),  # one reference, cut short
            (result.key, sealed(b"\1\0\0\0\0\0" + bytes(8))),  # one of no key
            (result.key[1:], result.value),
            (b"\1" + result.key[1:], result.value),
        ):
            refused = self.write(pb.StoredResult(key=key, value=value))
            self.assertEqual(refused, Code.INVALID_ARGUMENT)


class SeveralTests(ControlTestCase):
    def test_each_for_itself(self) -> None:
        """Of blobs and action results in one message each is kept or not, whatever the others are."""
        there, there_data = self.put(10)
        good, good_data = blob(5000)
        small, small_data = blob(20)
        bad, _ = blob(30)
        self.put_result(there)
        listing = self.control.list_action_results(pb.ListActionResultsRequest(), None)
        ((result,),) = (reply.results for reply in self.stream(listing))
        request = pb.WriteSeveralRequest(
            blobs=[
                pb.WriteRequest(name=message_of(there), data=there_data),
                pb.WriteRequest(name=message_of(bad), data=b"?" * 30),
                pb.WriteRequest(name=message_of(bad), data=b"?" * 29),
                pb.WriteRequest(name=pb.BlobName(digest_function=99)),
                pb.WriteRequest(name=message_of(good), data=good_data),
                pb.WriteRequest(name=message_of(small), data=small_data),
            ],
            results=[pb.StoredResult(key=result.key, value=b"?"), result],
        )
        writing = Deferred.fromCoroutine(self.control.write_several(request, None))
        outcomes = self.successResultOf(writing).outcomes
        wrong = Code.INVALID_ARGUMENT
        self.assertEqual(
            [outcome.code for outcome in outcomes], [0, wrong, wrong, wrong, 0, 0, wrong, 0]
        )
        self.assertEqual([outcome.existed for outcome in outcomes], [True, *[False] * 6, True])
        self.assertTrue(all(bool(outcome.message) == bool(outcome.code) for outcome in outcomes))
        missing = self.successResultOf(self.tier.blobs.find_missing([there, bad, good, small]))
        self.assertEqual(missing, [bad])
        self.assertEqual(self.left_behind(), [])


class FoundOnTheWayTests(ControlTestCase):
    def test_read_all(self) -> None:
        """Of a blob whose damage is found when some of it has been sent the length stays right, and then the
        damage is told: the others follow.
        """
        others = {self.put(10)[0].key[1:], self.put(20)[0].key[1:]}
        digest, data = self.put(3_000_000)
        get = LocalBlobs.get

        async def found_late(blobs: LocalBlobs, asked: Digest) -> Any:
            if asked == digest:
                return PiecesBody(len(data), data[:100_000], error=DataLoss("wrong hash"))
            return await get(blobs, asked)

        self.patch(LocalBlobs, "get", found_late)
        replies = self.stream(self.control.read_all(pb.ReadAllRequest(), None))
        named = {reply.name.hash for reply in replies if reply.HasField("name")}
        self.assertEqual(named, {*others, digest.key[1:]})
        self.assertEqual(sum(len(reply.data) for reply in replies), 10 + 20 + len(data))
        self.assertEqual([reply.damage for reply in replies if reply.damage], ["wrong hash"])
        self.assertEqual(self.tier.inventory.damaged, 1)

    def test_not_dropped(self) -> None:
        """What could not be dropped is not said to be."""
        digest, _ = self.put(5000)
        self.flip(digest)

        def fail(*_: object) -> None:
            raise ResourceExhausted("local tier: index: No space left on device")

        self.patch(Inventory, "evict", fail)
        replies = self.stream(self.control.verify(pb.VerifyRequest(repair=True), None))
        (damage,) = (damage for reply in replies for damage in reply.damages)
        self.assertFalse(damage.dropped)
