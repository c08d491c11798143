"""What was written last."""

from __future__ import annotations

#: How many are known.
MOST_ENTRIES = 64


class Newest:
    """The last entries that were written, in their order."""

    def __init__(self) -> None:
        # How much had been written when each of them was, itself included.
        self._written: dict[bytes, int] = {}
        self._total_bytes = 0

    def note(self, key: bytes, size_bytes: int) -> None:
        """The entry with that key is written now."""
        written = self._written
        written.pop(key, None)
        self._total_bytes += size_bytes
        written[key] = self._total_bytes
        if len(written) > MOST_ENTRIES:
            del written[next(iter(written))]

    def has(self, key: bytes, within_bytes: float) -> bool:
        """Whether an entry is one of the last that were written, and those that came after it have less than so much
        together, in bytes.
        """
        written = self._written.get(key)
        return written is not None and self._total_bytes - written < within_bytes
