"""Memory that the bytes of a blob go to as they come."""

from __future__ import annotations

from collections.abc import Callable

#: How much is taken at once where nobody has memory for it, in bytes.
OWN_BYTES = 256 * 1024


class Room:
    """Gives memory for each piece: that of whoever keeps the blob, or else its own, again and again."""

    def __init__(self) -> None:
        self._give: Callable[[], memoryview] | None = None
        self._own: memoryview | None = None

    def take_from(self, give: Callable[[], memoryview]) -> None:
        """From now on ``give`` gives the memory for the next piece, a byte at least."""
        self._give = give
        self._own = None

    def __call__(self) -> memoryview:
        """Memory for the next piece. That of the piece before may be the same."""
        if self._give is not None:
            return self._give()
        if self._own is None:
            self._own = memoryview(bytearray(OWN_BYTES))
        return self._own
