"""Tests of gorego_tw.storage.background_thread."""

from __future__ import annotations

import os
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.storage.background_thread import BackgroundThread


class BackgroundThreadTests(SynchronousTestCase):
    def priorities(self) -> tuple[int, int]:
        """How nice this thread is, and one in the background."""
        found: list[int] = []

        def note() -> None:
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

        thread = BackgroundThread(target=note)
        thread.start()
        thread.join()
        note()
        background, here = found
        return here, background

    def test_low_priority(self) -> None:
        """All other threads go first, and stay as they are."""
        if sys.platform != "linux":
            self.skipTest("threads have no priorities of their own here")
        before = os.getpriority(os.PRIO_PROCESS, 0)
        here, background = self.priorities()
        self.assertEqual(here, before)
        self.assertGreater(background, here)

    def test_not_allowed(self) -> None:
        """Where that cannot be set the thread runs as any other."""

        def fail(*_: int) -> None:
            raise PermissionError

        self.patch(os, "setpriority", fail)
        here, background = self.priorities()
        self.assertEqual(background, here)
