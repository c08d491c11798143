"""Flow control (RFC 9113 section 5.2): how much may be sent, and when to let the peer send more."""

from __future__ import annotations

#: No window may grow beyond this (RFC 9113 section 6.9.1).
MAX_WINDOW = 2**31 - 1


class WindowOverflow(ValueError):
    """A window beyond :data:`MAX_WINDOW`: FLOW_CONTROL_ERROR."""


class SendWindow:
    """What the peer lets us send, in bytes; negative after it has lowered its setting."""

    __slots__ = ("_granted", "size")

    def __init__(self, size: int) -> None:
        self.size = self._granted = size

    @property
    def sent(self) -> int:
        """The bytes that were taken from it so far."""
        return self._granted - self.size

    def grow(self, n: int) -> bool:
        """Add ``n`` (negative after a lowered setting); whether the window opened by it.

        :raises WindowOverflow: it became too large.
        """
        before = self.size
        self.size = before + n
        self._granted += n
        if self.size > MAX_WINDOW:
            raise WindowOverflow(f"a window of {self.size} bytes; at most {MAX_WINDOW} are allowed")
        return before <= 0 < self.size


class ReceiveWindow:
    """What we let the peer send, in bytes.

    :param size: the window it starts with.
    """

    __slots__ = ("_consumed", "_left", "_size")

    def __init__(self, size: int) -> None:
        self._left = self._size = size
        self._consumed = 0

    def receive(self, n: int) -> bool:
        """``n`` bytes came; False if the peer was not allowed to send them."""
        self._left -= n
        return self._left >= 0

    def consume(self, n: int) -> int:
        """``n`` bytes were consumed; the increment to announce now, 0 for none yet."""
        self._consumed += n
        # Updates of less than a quarter of the window are held back: few frames, and no stall.
        if self._consumed * 4 < self._size:
            return 0
        increment, self._consumed = self._consumed, 0
        self._left += increment
        return increment

    def shrink(self, n: int) -> None:
        """Take ``n`` bytes away, as a lower setting does when the peer has acknowledged it."""
        self._left -= n
        self._size -= n
