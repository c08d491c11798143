"""Files that the disk cannot read, until it is known whether that was for a moment."""

from __future__ import annotations

import errno
import os

from twisted.application.service import IService
from twisted.python.monkey import MonkeyPatcher
from zope.interface.verify import verifyObject

from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.storage import unreadable
from gorego_tw.storage.unreadable import LOOK_SECONDS, PASSING_SECONDS
from tests.storage.test_local import failing
from tests.storage.tiers import TierTestCase, put, read


class UnreadableTests(TierTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.digest, self.data = self.put(10_000)
        self.service = self.tier.unreadable
        self.service.startService()

    def fail_once(self) -> None:
        """A reader meets a disk that is away."""
        patch = self.patch(os, "open", failing(errno.EIO))
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        patch.restore()

    def lose_file(self) -> MonkeyPatcher:
        """The disk cannot read that file from now on."""
        opened, path = os.open, str(self.path(self.digest))

        def away(name: str, *arguments: int) -> int:
            if name == path:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return opened(name, *arguments)

        patch: MonkeyPatcher = self.patch(os, "open", away)
        return patch

    def wait(self, seconds: float) -> None:
        self.clock.pump([LOOK_SECONDS] * int(seconds / LOOK_SECONDS))

    def test_interface(self) -> None:
        """It is a service."""
        verifyObject(IService, self.service)

    def test_for_a_moment(self) -> None:
        """What can be read again stays, however often that happens."""
        for _ in range(3):
            self.fail_once()
            self.wait(2 * PASSING_SECONDS)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_for_longer(self) -> None:
        """What still cannot be read after a minute is dropped, and not before."""
        self.lose_file()
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        self.wait(PASSING_SECONDS - LOOK_SECONDS)
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        self.wait(2 * LOOK_SECONDS)
        self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
        self.assertEqual(self.tier.inventory.damaged, 1)

    def test_nothing_can_be_written_either(self) -> None:
        """What cannot be read while the disk takes nothing either stays, for however long that is."""
        patches = [self.lose_file(), self.patch(os, "fsync", failing(errno.EIO))]
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)
        self.wait(10 * PASSING_SECONDS)
        self.assertTrue(self.service.is_noted(self.digest))
        for patch in patches:
            patch.restore()
        self.wait(LOOK_SECONDS)
        self.assertFalse(self.service.is_noted(self.digest))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_damaged_meanwhile(self) -> None:
        """What can be read again and is another blob is dropped."""
        self.fail_once()
        self.path(self.digest).write_bytes(b"?" * 10_000)
        self.wait(2 * PASSING_SECONDS)
        self.assertIsNone(self.tier.inventory.record(self.digest.key))

    def test_another_one_by_now(self) -> None:
        """A blob that was evicted and put again is not dropped for what was wrong with the first."""
        self.fail_once()
        self.tier.inventory.evict([self.digest.key])
        self.put(10_000)
        self.patch(os, "open", failing(errno.EIO))
        self.wait(PASSING_SECONDS + LOOK_SECONDS)
        self.assertEqual(self.tier.inventory.damaged, 0)
        self.failureResultOf(self.tier.blobs.get(self.digest), Unavailable)

    def test_sent_again(self) -> None:
        """A blob that is sent again meanwhile takes the place of what cannot be read, and stays."""
        self.fail_once()
        self.assertFalse(self.successResultOf(self.tier.uploads.is_needless(self.digest)))
        self.successResultOf(put(self.tier.blobs, self.digest, self.data))
        self.path(self.digest).write_bytes(self.data)  # the disk is away for longer for the old one
        self.successResultOf(read(self.tier.blobs, self.digest))
        self.wait(2 * PASSING_SECONDS)
        self.assertEqual(self.successResultOf(read(self.tier.blobs, self.digest)), self.data)
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_too_many_open_files(self) -> None:
        """What keeps this process from looking is no damage; it looks again."""
        self.fail_once()
        patch = self.patch(os, "open", failing(errno.EMFILE))
        self.wait(2 * PASSING_SECONDS)
        patch.restore()
        self.assertTrue(self.service.is_noted(self.digest))
        self.wait(LOOK_SECONDS)
        self.assertFalse(self.service.is_noted(self.digest))
        self.assertEqual(self.tier.inventory.damaged, 0)

    def test_many(self) -> None:
        """Those beyond what is remembered are trouble, too."""
        self.patch(unreadable, "MOST_NOTED", 0)
        self.fail_once()
        self.wait(2 * PASSING_SECONDS)
        self.fail_once()

    def test_of_the_file(self) -> None:
        """A file that is gone does not come back by waiting."""
        self.path(self.digest).unlink()
        self.failureResultOf(self.tier.blobs.get(self.digest), NotFound)
