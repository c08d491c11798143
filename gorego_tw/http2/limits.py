"""What one peer may make us hold or do; every bound of the connection in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """A token bucket: ``burst`` at once, then ``per_second``."""

    burst: int
    per_second: float


@dataclass(frozen=True)
class Limits:
    """The bounds of one connection."""

    #: Streams open at once. Bazel opens one per action input or output and uses a single connection.
    max_concurrent_streams: int = 1000

    #: Bytes a peer may send on one stream ahead of its reader: some 10 ms at 1 Gbit/s.
    initial_window_size: int = 1024 * 1024

    #: The same for the connection: sixteen streams of full windows.
    connection_window_size: int = 16 * 1024 * 1024

    #: The largest frame taken (RFC 9113 section 4.2); larger ones would be held while incomplete.
    max_frame_size: int = 16_384

    #: Bytes of a decoded header list. gRPC's default is 8 KiB; request metadata may be larger.
    max_header_list_size: int = 64 * 1024

    #: CONTINUATION frames of one block: the header list limit cut into 1 KiB pieces.
    max_continuations: int = 64

    #: Bytes of one compressed block: compression never makes more of it than the list is.
    max_header_block_size: int = 64 * 1024

    #: Streams that were reset and are remembered, so that a late frame is told from a wrong one: more
    #: than may be reset at once.
    max_closed_streams: int = 4000

    #: Streams that the peer opened and reset (CVE-2023-44487). A cancelled build resets all it has open.
    resets: Rate = Rate(2000, 200.0)

    #: PINGs. Clients with keep-alive send one in some seconds, some send one per window of data.
    pings: Rate = Rate(2000, 200.0)

    #: SETTINGS. One at the start and a few later.
    settings: Rate = Rate(200, 10.0)

    #: Frames that carry nothing: empty DATA without END_STREAM, PRIORITY, unknown types.
    idle_frames: Rate = Rate(5000, 500.0)


class Budget:
    """What is left of a :class:`Rate`."""

    __slots__ = ("_rate", "_then", "_tokens")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._then = 0.0

    def spend(self, now: float) -> bool:
        """Take one; False if there is none. ``now`` is in seconds and never goes back."""
        rate = self._rate
        gained = (now - self._then) * rate.per_second
        self._then = now
        self._tokens = min(float(rate.burst), self._tokens + gained) - 1.0
        return self._tokens >= 0.0
