"""Blobs by number: whoever knows the number and the seed has the bytes."""

from __future__ import annotations

from random import Random

#: Sizes of blobs, in bytes: the most and the least of each class, and how often it comes. They are on
#: both sides of what is kept in the index, of one message, and of one write to the disk.
_SIZES = (
    (1, 4000, 40),
    (4078, 4083, 10),
    (4084, 65_536, 32),
    (65_536, 1 << 20, 15),
    (1 << 20, 4 << 20, 3),
)
_WEIGHTS = [weight for _, _, weight in _SIZES]

#: A piece that compresses well when it is repeated, in bytes.
_REPEATED_BYTES = 509


class Content:
    """All blobs of one run.

    :param seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def blob(self, number: int) -> bytes:
        """The blob of that number. Every other one can be compressed."""
        random = Random(f"{self._seed} {number}")
        ((least, most, _),) = random.choices(_SIZES, _WEIGHTS)
        size = random.randint(least, most)
        if number % 2:
            return random.randbytes(size)
        piece = random.randbytes(_REPEATED_BYTES)
        return (piece * (size // len(piece) + 1))[:size]
