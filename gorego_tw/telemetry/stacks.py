"""What the threads of this process are doing."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import FrameType
from typing import NamedTuple, TypeAlias

#: Stacks deeper than this are cut at their root: each sample holds so many frames at most.
MOST_FRAMES = 200


class Frame(NamedTuple):
    """A function that is being carried out, and where it is."""

    name: str
    file: str
    line: int


#: Of one thread, the outermost frame first.
Stack: TypeAlias = tuple[Frame, ...]


def current_stacks() -> dict[str, Stack]:
    """The stack of every thread, by its name."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(ident, 'unknown')} ({ident})": _stack(frame)
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way
    }


def _stack(frame: FrameType | None) -> Stack:
    frames: list[Frame] = []
    while frame is not None and len(frames) < MOST_FRAMES:
        code = frame.f_code
        frames.append(Frame(code.co_qualname, code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(frames))


class Sampling:
    """Looks at the stacks again and again, for a while. It runs in a thread of its own.

    :param hertz: how often in a second.
    :ivar samples: how often each thread was found with each stack.
    :ivar stopped: set by anybody who wants it to end now.
    """

    def __init__(
        self,
        hertz: float,
        *,
        look: Callable[[], Mapping[str, Stack]] = current_stacks,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.samples: Counter[tuple[str, Stack]] = Counter()
        self.stopped = False
        self._period = 1 / hertz
        self._look = look
        self._clock = clock
        self._sleep = sleep

    def run(self, seconds: float) -> None:
        """Look for so many seconds."""
        own = f"({threading.get_ident()})"
        end = self._clock() + seconds
        while not self.stopped and self._clock() < end:
            for name, stack in self._look().items():
                if not name.endswith(own):
                    self.samples[name, stack] += 1
            self._sleep(self._period)
