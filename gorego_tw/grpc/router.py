"""Methods by path: what a service offers to the transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message
from zope.interface import Interface

from gorego_tw.errors import StatusError
from gorego_tw.grpc.traffic import Traffic

#: A serialized message in pieces. They are sent without a copy, so they have to stay as they
#: are until the generator that gave them is resumed.
Buffers: TypeAlias = tuple[bytes | bytearray | memoryview, ...]

#: What a service may answer with: a message, or one that is serialized already.
Reply: TypeAlias = Message | bytes | Buffers

RequestT = TypeVar("RequestT", bound=Message)


class Call(Protocol):
    """What a service may know of the call it answers."""

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""

    @property
    def peer(self) -> str:
        """The client's address, for logs."""

    def metadata(self, name: str) -> str | None:
        """The first value of the header ``name`` (lower case), None if it is absent."""

    def binary_metadata(self, name: str) -> bytes | None:
        """The bytes of the header ``name``, which ends in ``-bin``; None if absent or malformed."""

    def carries(self, names: frozenset[bytes]) -> bool:
        """Whether there is metadata under any of those names."""

    @property
    def shared(self) -> dict[object, object]:
        """A place for what is derived from the metadata and from nothing else: calls with the very
        same metadata may have it in common.
        """

    def time_remaining(self) -> float | None:
        """The seconds until the caller's deadline, None if it set none."""


#: Answers a call, given the request or the iterator of requests: with an awaitable reply or an iterator of replies.
Handle: TypeAlias = Callable[[Any, Call], Any]


class Method(NamedTuple):
    """One method of a service.

    ``handle`` takes the request, or the iterator of requests, and the call; it
    gives an awaitable reply, or an iterator of replies: the two flags say which.
    ``refused`` is told of calls that fail before the service is asked.
    """

    streams_requests: bool
    streams_replies: bool
    request_type: type[Message]
    handle: Handle
    refused: Callable[[Call, StatusError], None] | None = None


class IRPCService(Interface):
    """A gRPC service."""

    def methods() -> Mapping[str, Method]:
        """Its methods by path (``/package.Service/Method``)."""


def unary(
    request_type: type[RequestT], handle: Callable[[RequestT, Call], Awaitable[Reply]]
) -> Method:
    """A method of one request and one reply."""
    return Method(False, False, request_type, handle)


def server_streaming(
    request_type: type[RequestT], handle: Callable[[RequestT, Call], AsyncIterator[Reply]]
) -> Method:
    """A method of one request and a stream of replies."""
    return Method(False, True, request_type, handle)


def client_streaming(
    request_type: type[RequestT],
    handle: Callable[[AsyncIterator[RequestT], Call], Awaitable[Reply]],
) -> Method:
    """A method of a stream of requests and one reply, which may come before their end."""
    return Method(True, False, request_type, handle)


def bidirectional(
    request_type: type[RequestT],
    handle: Callable[[AsyncIterator[RequestT], Call], AsyncIterator[Reply]],
) -> Method:
    """A method of a stream of requests and a stream of replies."""
    return Method(True, True, request_type, handle)


def wrapped(service: IRPCService, wrap: Callable[[Handle], Handle]) -> Mapping[str, Method]:
    """The methods of a service, each with a handle that is made of its own."""
    return {
        path: method._replace(handle=wrap(method.handle))
        for path, method in service.methods().items()
    }


class Router:
    """Finds the method of a path.

    :param services: their paths are disjoint.
    :ivar traffic: where their calls are counted.
    """

    def __init__(self, services: Iterable[IRPCService]) -> None:
        self._methods: dict[bytes, Method] = {}
        for service in services:
            for path, method in service.methods().items():
                if path.encode() in self._methods:
                    raise ValueError(f"{path}: two services offer it")
                self._methods[path.encode()] = method
        self.traffic = Traffic(path.decode() for path in self._methods)

    def find(self, path: bytes) -> Method | None:
        """The method, None if no service has it."""
        return self._methods.get(path)

    def service_names(self) -> list[str]:
        """``package.Service`` of every service, sorted."""
        return sorted({path.decode().split("/")[1] for path in self._methods})
