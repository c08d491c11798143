"""What a service may know of a call: who calls, with which headers, until when."""

from __future__ import annotations

from gorego_tw.grpc.exchange import Exchange
from gorego_tw.grpc.metadata import decode_binary
from gorego_tw.grpc.request_head import RequestHead
from gorego_tw.http2.headers import Headers


class Caller:
    """One call as its service sees it (:class:`gorego_tw.grpc.router.Call`).

    :param exchange: the connection.
    :param head: what ``headers`` ask for.
    """

    __slots__ = ("_deadline", "_exchange", "_head", "_headers")

    def __init__(self, exchange: Exchange, head: RequestHead, headers: Headers) -> None:
        self._exchange = exchange
        self._head = head
        self._headers = headers
        self._deadline = None if head.timeout is None else exchange.clock.seconds() + head.timeout

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        return self._headers.path.decode("utf-8", "replace")

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._exchange.peer

    def metadata(self, name: str) -> str | None:
        """The first value of the header ``name``, None if it is absent."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("utf-8", "replace")

    def binary_metadata(self, name: str) -> bytes | None:
        """The bytes of the first header ``name``; None if it is absent or malformed."""
        value = self._headers.get(name.encode())
        # Several values may share one header, comma-separated (PROTOCOL-HTTP2.md, Custom-Metadata).
        return None if value is None else decode_binary(value.split(b",", 1)[0])

    def carries(self, names: frozenset[bytes]) -> bool:
        """Whether there is any of those headers."""
        return self._headers.has_any(names)

    @property
    def shared(self) -> dict[object, object]:
        """A place for what is derived from the metadata, for all calls with the very same metadata."""
        return self._head.shared

    def time_remaining(self) -> float | None:
        """The seconds until the caller's deadline, None if it set none."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - self._exchange.clock.seconds())
