"""A thread for what nobody waits for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import Thread, get_native_id

#: How far others go first (nice(2)): with it a busy processor gives 1 part of 10 to the thread.
_NICENESS = 10


class BackgroundThread(Thread):
    """A thread of low priority. Elsewhere than on Linux threads have none of their own."""

    def run(self) -> None:
        """As any thread, after all others."""
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICENESS)
        super().run()
