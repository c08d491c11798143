"""What a connection tells: frozen, and complete when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from gorego_tw.http2.errors import ErrorCode
from gorego_tw.http2.headers import Headers


class RequestStarted(NamedTuple):
    """The header block of a request; ``ended`` if nothing follows it."""

    stream_id: int
    headers: Headers
    ended: bool


class DataReceived(NamedTuple):
    """Bytes of a request. ``flow_size``, with padding, is to be acknowledged once they are consumed."""

    stream_id: int
    data: bytes
    flow_size: int
    ended: bool


class TrailersReceived(NamedTuple):
    """A second header block; it ends the request."""

    stream_id: int
    headers: Headers


class StreamReset(NamedTuple):
    """The stream is gone: by the peer's RST_STREAM, or by ours after its violation."""

    stream_id: int
    code: int
    by_peer: bool


class WindowOpened(NamedTuple):
    """A send window went from nothing to something; stream 0 is the connection's."""

    stream_id: int


class SettingsApplied(NamedTuple):
    """The peer's settings are in force and acknowledged: identifier to value."""

    changes: Mapping[int, int]


class PingAcknowledged(NamedTuple):
    """The peer has answered our PING."""

    payload: bytes


class PeerGoingAway(NamedTuple):
    """The peer will open no more streams."""

    last_stream_id: int
    code: int
    debug: bytes


class ConnectionTerminated(NamedTuple):
    """The peer has broken the protocol; GOAWAY is queued and nothing happens after this.

    An event and not an exception, so that what came before it in the same bytes is not lost.
    """

    code: ErrorCode
    message: str


Event: TypeAlias = (
    RequestStarted
    | DataReceived
    | TrailersReceived
    | StreamReset
    | WindowOpened
    | SettingsApplied
    | PingAcknowledged
    | PeerGoingAway
    | ConnectionTerminated
)
