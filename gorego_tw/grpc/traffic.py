"""What calls and connections have come to, counted where it happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gorego_tw.errors import Code

#: The name for calls of methods that there are not, whatever clients name.
UNKNOWN = "unknown"


class MethodTraffic:
    """The calls of one method.

    :ivar codes: how many have ended with each status, by its number.
    :ivar received_bytes: of request messages, as they were sent, with their prefixes.
    :ivar sent_bytes: of reply messages, likewise.
    """

    __slots__ = ("codes", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.codes = [0] * len(Code)
        self.received_bytes = 0
        self.sent_bytes = 0


class Traffic:
    """All calls and connections of one server.

    :param paths: of the methods that there are: ``/package.Service/Method``.
    :ivar connections: how many there have been.
    :ivar streams_refused: how many streams were more than a connection may have.
    :ivar streams_reset_by_client: how many streams their clients broke off.
    :ivar streams_reset_by_server: how many broke the rules of HTTP/2.
    """

    def __init__(self, paths: Iterator[str]) -> None:
        self.connections = 0
        self.streams_refused = 0
        self.streams_reset_by_client = 0
        self.streams_reset_by_server = 0
        self.unknown = MethodTraffic()
        self._methods = {UNKNOWN: self.unknown}
        for path in paths:
            self._methods.setdefault(_name(path), MethodTraffic())

    def of(self, path: str) -> MethodTraffic:
        """The calls of a method that there is; methods of the same name are one."""
        return self._methods[_name(path)]

    @property
    def methods(self) -> Mapping[str, MethodTraffic]:
        """By the name of the method, without its service."""
        return self._methods

    @property
    def received_bytes(self) -> int:
        """Of request messages."""
        return sum(method.received_bytes for method in self._methods.values())

    @property
    def sent_bytes(self) -> int:
        """Of reply messages."""
        return sum(method.sent_bytes for method in self._methods.values())


def _name(path: str) -> str:
    return path.rpartition("/")[2]
