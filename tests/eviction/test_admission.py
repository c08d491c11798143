"""Tests of gorego_tw.eviction.admission."""

from __future__ import annotations

from errno import EIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.eviction.admission import ROOM_SECONDS, Admission
from gorego_tw.storage.space import Space
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.span import ROOM
from tests.telemetry.recording import Recording

PAGE = 4096


class AdmissionTests(SynchronousTestCase):
    """A cache that is full, of whose 100 pages none is in use but by what is stored."""

    def setUp(self) -> None:
        self.stored = 100 * PAGE
        self.crowds = 0
        self.clock = Clock()
        self.space = Space(
            100 * PAGE,
            0,
            stored=lambda: self.stored,
            in_files=lambda: self.stored,
            free=self.free,
            clock=self.clock,
        )
        self.space.crowded = self.crowd
        self.space.evicts = True
        self.admission = Admission(self.space, self.clock)
        self.admitted: list[int] = []
        self.is_failing = False

    def free(self) -> int:
        """What the file system has left."""
        if self.is_failing:
            raise OSError(EIO, "fails")
        return 1 << 40

    def crowd(self) -> None:
        self.crowds += 1

    def write(self, pages: int) -> Deferred[None]:
        """Begin to write so much."""

        async def write() -> None:
            await self.admission.admit(pages * PAGE)
            self.space.check(pages * PAGE)
            self.stored += pages * PAGE
            self.admitted.append(pages)

        return Deferred.fromCoroutine(write())

    def evict(self, pages: int) -> None:
        """So much has gone."""
        self.stored -= pages * PAGE
        self.admission.look()

    def test_room(self) -> None:
        """Where there is room nobody waits."""
        self.stored = 90 * PAGE
        self.successResultOf(self.write(10))
        self.assertEqual(self.clock.calls, [])

    def test_waits(self) -> None:
        """Where there is none it is asked for, and waited for."""
        write = self.write(3)
        self.assertEqual((self.space.wanted_bytes, self.crowds > 0), (3 * PAGE, True))
        self.evict(2)
        self.assertNoResult(write)
        self.evict(1)
        self.successResultOf(write)
        self.assertEqual((self.space.wanted_bytes, self.clock.calls), (0, []))

    def test_recorded(self) -> None:
        """The span of who waits tells for how long."""
        recording = Recording()
        root = recording.root()
        current.set(root)
        write = self.write(1)
        current.set(None)
        recording.clock.advance(2)
        self.evict(1)
        self.successResultOf(write)
        self.assertEqual(root.details.spent, {ROOM: 2})

    def test_order(self) -> None:
        """They are let in in their order: nobody passes one who needs more."""
        writes = [self.write(pages) for pages in (5, 1, 2)]
        self.evict(3)
        self.assertEqual(self.admitted, [])
        self.assertNoResult(self.write(1))
        self.evict(3)
        self.assertEqual(self.admitted, [5, 1])
        self.assertNoResult(writes[2])
        self.evict(20)
        self.assertEqual(self.admitted, [5, 1, 2, 1])

    def test_large(self) -> None:
        """While a large one waits others pass, as long as they do not need the headroom."""
        large = self.write(50)
        self.evict(20)
        while self.space.has_room(self.space.headroom_bytes + PAGE):
            self.successResultOf(self.write(1))
        small = self.write(1)
        for one in (large, small):
            self.assertNoResult(one)
        self.evict(60)
        for one in (large, small):
            self.successResultOf(one)

    def test_wanted_again(self) -> None:
        """What the next one needs is asked for as long as it waits."""
        self.write(2)
        self.write(7)
        self.space.freed = self.admission.look
        self.space.made_room()
        self.assertEqual(self.space.wanted_bytes, 2 * PAGE)
        self.evict(2)
        self.space.made_room()
        self.assertEqual(self.space.wanted_bytes, 7 * PAGE)

    def test_left(self) -> None:
        """Who is cancelled keeps nobody waiting."""
        first, second = self.write(50), self.write(1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.evict(1)
        self.successResultOf(second)

    def test_too_slow(self) -> None:
        """If nobody is let in for long all are refused, and others too, until there is room again."""
        writes = [self.write(1) for _ in range(40)]
        self.clock.advance(ROOM_SECONDS - 1)
        self.evict(1)
        self.successResultOf(writes[0])
        self.clock.advance(ROOM_SECONDS - 1)
        self.assertNoResult(writes[1])
        self.clock.pump([1, 0, 0])
        for write in writes[1:]:
            self.failureResultOf(write, ResourceExhausted)
        self.failureResultOf(self.write(1), ResourceExhausted)
        self.evict(1)
        self.successResultOf(self.write(1))
        self.assertNoResult(self.write(1))

    def test_no_use(self) -> None:
        """Nobody waits for what eviction cannot make: where it is not at work, has nothing, or may not write."""
        self.failureResultOf(self.write(101), ResourceExhausted)
        self.space.is_held_back = lambda: True
        self.failureResultOf(self.write(1), ResourceExhausted)
        self.space.is_held_back = bool
        self.space.made_room(nothing_left=True)
        self.failureResultOf(self.write(1), ResourceExhausted)
        self.space.made_room()
        self.space.evicts = False
        self.failureResultOf(self.write(1), ResourceExhausted)

    def test_no_use_any_more(self) -> None:
        """Who waits already is told so, too."""
        write = self.write(1)
        self.space.freed = self.admission.look
        self.space.made_room(nothing_left=True)
        self.failureResultOf(write, ResourceExhausted)

    def test_disk_that_fails(self) -> None:
        """Nobody waits while the file system cannot say what it has, and those who come later wait as ever."""
        write = self.write(1)
        self.is_failing = True
        self.space.freed = self.admission.look
        self.space.made_room()
        self.failureResultOf(write, Unavailable)
        self.failureResultOf(self.write(1), Unavailable)
        self.is_failing = False
        later = self.write(1)
        self.assertNoResult(later)
        self.evict(1)
        self.successResultOf(later)
