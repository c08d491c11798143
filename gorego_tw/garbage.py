"""The interpreter's search for cyclic garbage, made rare."""

from __future__ import annotations

import gc

from twisted.application.service import Service

#: Young objects before a search, and searches before older ones are searched too. Calls leave no
#: cycles behind, so the default of 700 finds nothing 20 times in a thousand calls; this is some
#: 10 MB of garbage at most, and 4 % more calls in a second.
THRESHOLDS = (20_000, 20, 20)


class SettledHeap(Service):
    """Takes what exists when it starts out of every search: modules, services, open stores.

    It starts when everything else has, and ends with the process's old ways.
    """

    def __init__(self) -> None:
        self._before = gc.get_threshold()

    def startService(self) -> None:
        """Search once, then never again in what is left."""
        super().startService()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def stopService(self) -> None:
        """As it was before."""
        super().stopService()
        gc.set_threshold(*self._before)
        gc.unfreeze()
