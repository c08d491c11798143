"""Small blobs come back from an index that was set aside, and nothing that may be wrong does."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import NotFound
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.disk_threads import HeldDiskThreads
from gorego_tw.storage.index_opening import Ending
from gorego_tw.storage.lmdb_pages import newest_meta
from gorego_tw.storage.records import INLINE_LIMIT
from gorego_tw.storage.salvage import PIECE_PAGES, Salvage
from tests.storage.test_index_opening import PAGE, OpeningTestCase
from tests.storage.tiers import LIMIT_BYTES, blob, put, read


def without_its_root(data: bytes) -> bytes:
    """An index whose trees cannot be found."""
    meta, _ = newest_meta(data)
    return data[: meta.root * PAGE] + b"?" * PAGE + data[(meta.root + 1) * PAGE :]


class SalvageTestCase(OpeningTestCase):
    def setUp(self) -> None:
        super().setUp()
        for function in DigestFunction:
            for size in (1, 21, 29, 300, 2500, INLINE_LIMIT):
                for seed in range(5):
                    digest, data = blob(size, seed, function)
                    self.successResultOf(put(self.tier.blobs, digest, data))
                    self.blobs[digest] = data
        self.action = ActionKey("", next(iter(self.blobs)))
        self.successResultOf(
            self.tier.action_results.put(self.action, StoredActionResult(b"result", ()))
        )

    @property
    def small(self) -> set[Digest]:
        """The blobs that are in the index."""
        return set(self.blobs) - self.files

    def salvage(self) -> Salvage:
        """Let it come to its end."""
        salvage = self.tier.salvage
        salvage.startService()
        self.clock.pump([1.0, *[0.005] * 5000])
        self.successResultOf(salvage.stopService())
        return salvage

    def told(self) -> list[tuple[int, int]]:
        """What the log says came back, and what was left out."""
        return [(event["found"], event["left_out"]) for event in self.events if "left_out" in event]


class SalvageTests(SalvageTestCase):
    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.tier.salvage)

    def test_nothing_to_do(self) -> None:
        """Without a damaged index nothing is read nor told."""
        self.assertEqual(self.salvage().found, 0)
        self.assertEqual(self.told(), [])

    def test_all_small_blobs(self) -> None:
        """All come back of an index whose pages are whole but not to be found from the root on; with
        the files everything is served again.
        """
        tallies = dict(self.tier.index.tallies)
        self.change(without_its_root)
        self.assertIs(self.tier.ending, Ending.LOST)
        self.compare()
        self.assertEqual(self.served(), self.files)
        self.assertEqual(self.salvage().found, len(self.small))
        self.assertEqual(self.served(), set(self.blobs))
        self.assertEqual(self.told(), [(len(self.small), 0)])
        del tallies[0]
        self.assertEqual(self.tier.index.tallies, tallies)
        self.reopen()
        self.assertEqual(self.served(), set(self.blobs))

    def test_no_action_results(self) -> None:
        """Action results do not come back, whole though they are: nothing tells an old one."""
        self.change(without_its_root)
        self.salvage()
        result = Deferred.fromCoroutine(self.tier.action_results.get(self.action))
        self.failureResultOf(result, NotFound)

    def test_truncated(self) -> None:
        """Of the first half of the file what is in it comes back, and is right."""
        self.change(lambda data: data[: len(data) // 2])
        found = self.salvage().found
        self.assertTrue(0 < found < len(self.small))
        self.assertEqual(len(self.served()), found)

    def test_garbage(self) -> None:
        """Of something else nothing comes back, whatever it is."""
        self.change(lambda data: os.urandom(len(data)))
        self.assertEqual(self.salvage().found, 0)
        self.assertEqual(self.told(), [(0, 0)])

    def test_first_pages(self) -> None:
        """It needs no meta page, nor a record of a checkpoint."""
        self.close_tier(self.tier)
        (self.folder / "index" / "checkpoint").unlink()
        self.data.write_bytes(bytes(2 * PAGE) + self.data.read_bytes()[2 * PAGE :])
        self.open_tier()
        self.assertIs(self.tier.ending, Ending.LOST)
        self.assertEqual(self.salvage().found, len(self.small))

    def test_flipped(self) -> None:
        """A blob with another byte in it stays away; its neighbours in the same page come."""
        damaged = [digest for digest in self.small if digest.size_bytes in (300, 2500)]

        def flip(data: bytes) -> bytes:
            changed = bytearray(without_its_root(data))
            for digest in damaged:
                at = changed.find(self.blobs[digest])
                while at >= 0:  # in pages that were freed, too
                    changed[at + 100] ^= 1
                    at = changed.find(self.blobs[digest])
            return bytes(changed)

        self.change(flip)
        self.salvage()
        self.assertEqual(self.served(), self.small - set(damaged))

    def test_damaged_node(self) -> None:
        """A page in which one entry points beyond its end gives the others."""

        def point_beyond(data: bytes) -> bytes:
            changed = bytearray(without_its_root(data))
            for at in range(2 * PAGE, len(changed), PAGE):
                if changed[at + 10] & 2 and changed[at + 12] > 16:  # a leaf with an entry
                    changed[at + 16 : at + 18] = b"\xff\xff"
            return bytes(changed)

        self.change(point_beyond)
        found = self.salvage().found
        self.assertTrue(len(self.small) // 2 < found < len(self.small))
        self.assertEqual(len(self.served()), found)

    def test_evicted_before(self) -> None:
        """What was evicted may come back, as it was: its bytes are its name."""
        gone = next(digest for digest in self.small if digest.size_bytes == INLINE_LIMIT)
        self.tier.inventory.evict([gone.key])
        self.change(without_its_root)
        self.salvage()
        self.assertEqual(self.served() | {gone}, self.small)


class KeepingTests(SalvageTestCase):
    def test_there_already(self) -> None:
        """A blob that was put again meanwhile stays as it is, and is not counted twice."""
        self.change(without_its_root)
        digest = next(iter(self.small))
        self.clock.advance(50)
        self.tier.last_use.tick()
        self.successResultOf(put(self.tier.blobs, digest, self.blobs[digest]))
        record = self.tier.inventory.record(digest.key)
        self.assertEqual(self.salvage().found, len(self.small) - 1)
        self.assertEqual(self.tier.inventory.record(digest.key), record)

    def test_last_use(self) -> None:
        """What comes back counts as used when the index was last written, and never later than now."""
        self.close_tier(self.tier)
        self.data.write_bytes(without_its_root(self.data.read_bytes()))
        os.utime(self.data, (900_000, 900_000))
        self.open_tier()
        self.salvage()
        uses = {
            record.last_used
            for digest in self.small
            if (record := self.tier.inventory.record(digest.key)) is not None
        }
        self.assertEqual(uses, {900_000})

    def test_no_room(self) -> None:
        """Nothing has to be evicted for what comes back: what there is no room for is left out."""
        self.close_tier(self.tier)
        self.data.write_bytes(without_its_root(self.data.read_bytes()))
        self.open_tier(limit_bytes=150_000)
        salvage = self.salvage()
        self.assertTrue(0 < salvage.found < len(self.small))
        self.assertGreater(salvage.left_out, 0)
        # Half-empty pages are not foreseen.
        used = self.tier.space.used_bytes - self.tier.set_aside.size_bytes
        self.assertLess(used, 150_000 + 8 * 4096)
        self.assertEqual(self.told(), [(salvage.found, salvage.left_out)])

    def test_once(self) -> None:
        """What was evicted after it had come back does not come back at the next start."""
        self.change(without_its_root)
        self.salvage()
        digest = next(iter(self.small))
        self.tier.inventory.evict([digest.key])
        self.reopen()
        self.assertEqual(self.salvage().found, 0)
        self.assertNotIn(digest, self.served())

    def test_two_indexes(self) -> None:
        """If the new index is damaged before all has come back, the rest comes from the first."""
        self.change(without_its_root)
        self.change(without_its_root)
        self.assertEqual(len(self.set_aside()), 2)
        self.salvage()
        self.assertEqual(self.served(), self.small)


class ProcessTests(SalvageTestCase):
    def begin(self) -> HeldDiskThreads:
        """Start one that waits for its disk."""
        threads = HeldDiskThreads()
        self.reopen(LIMIT_BYTES, threads)
        self.tier.salvage.startService()
        self.clock.advance(1)
        return threads

    def stop(self, threads: HeldDiskThreads) -> None:
        stopped = self.tier.salvage.stopService()
        threads.release()
        self.clock.pump([0.005] * 5)
        threads.release()
        self.successResultOf(stopped)

    def test_goes_on_after_a_restart(self) -> None:
        """Pages that were read before a restart are not read again."""
        self.change(without_its_root)
        pages = len((self.set_aside()[0] / "data.mdb").read_bytes()) // PAGE
        self.assertGreater(pages, 2 * PIECE_PAGES)
        threads = self.begin()
        for _ in range(400):
            if threads.held:
                threads.held.pop(0)()
            self.clock.advance(0.005)
            if self.tier.salvage._position(self.set_aside()[0]) == PIECE_PAGES:
                break
        self.stop(threads)
        before = self.tier.salvage.found
        self.assertTrue(0 < before < len(self.small))
        self.reopen()
        read_before: list[int] = []
        preadv = os.preadv

        def noted(fd: int, buffers: Sequence[memoryview], offset: int, *flags: int) -> int:
            read_before.append(offset)
            return preadv(fd, buffers, offset, *flags)

        patch = self.patch(os, "preadv", noted)
        after = self.salvage().found
        patch.restore()
        self.assertGreaterEqual(min(read_before), PIECE_PAGES * PAGE)
        self.assertEqual(before + after, len(self.small))
        self.assertEqual(self.served() - self.files, self.small)

    def test_slices(self) -> None:
        """While it is at work others have their turn all the time."""
        self.change(without_its_root)
        self.tier.salvage.startService()
        self.addCleanup(self.tier.salvage.stopService)
        seconds = self.clock.seconds

        def slow() -> float:
            self.clock.rightNow += 0.0004
            return seconds()

        self.patch(self.clock, "seconds", slow)
        self.clock.advance(1)
        self.assertEqual(self.tier.salvage.found, 0)
        found = []
        for _ in range(1000):
            self.clock.advance(0.005)
            found.append(self.tier.salvage.found)
        self.assertGreater(len(set(found)), 3)
        self.assertEqual(found[-1], len(self.small))

    def test_unreadable_pages(self) -> None:
        """Where the disk cannot be read the rest of the file is."""
        self.change(without_its_root)
        preadv = os.preadv

        def broken(fd: int, buffers: Sequence[memoryview], offset: int, *flags: int) -> int:
            if offset <= 40 * PAGE < offset + len(buffers[0]):
                raise OSError(errno.EIO, "bad sector")
            return preadv(fd, buffers, offset, *flags)

        self.patch(os, "preadv", broken)
        found = self.salvage().found
        self.assertTrue(0 < found <= len(self.small))
        self.assertGreater(found, len(self.small) // 2)

    def test_deleted(self) -> None:
        """A damaged index that somebody has deleted meanwhile is no trouble."""
        self.change(without_its_root)
        (self.set_aside()[0] / "data.mdb").unlink()
        self.assertEqual(self.salvage().found, 0)
        self.assertEqual(self.salvage().failures, 0)

    def test_reads_are_served_meanwhile(self) -> None:
        """A blob that is put while it waits for its disk is served at once."""
        self.change(without_its_root)
        threads = self.begin()
        digest, data = blob(200, 77)
        self.successResultOf(put(self.tier.blobs, digest, data))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)
        self.stop(threads)
