"""A service whose calls' metadata may travel on to the backing cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface import implementer

from gorego_tw.forwarding import VIA, Metadata, source
from gorego_tw.grpc.router import Call, Handle, IRPCService, Method, wrapped

#: What a client says of itself travels on up to so many bytes: a server of gRPC refuses a call with
#: more than 8 KiB of metadata in all, which may be one for many clients.
MOST_BYTES = 2048


def chosen(call: Call, names: Iterable[str]) -> Metadata:
    """What a call carries under those names, in their order: what is binary only if it is short, and what
    is text only if it is of the characters that gRPC allows (PROTOCOL-HTTP2.md, ASCII-Value). With others
    no client of gRPC makes a call, which is not the peer's fault. The way that a call has come is text, but no
    longer than what is binary.
    """
    found: list[tuple[str, str | bytes]] = []
    for name in names:
        value: str | bytes | None
        value = call.binary_metadata(name) if name.endswith("-bin") else call.metadata(name)
        if value is not None and _travels(name, value):
            found.append((name, value))
    return tuple(found)


def _travels(name: str, value: str | bytes) -> bool:
    if isinstance(value, bytes):
        return len(value) <= MOST_BYTES
    # No right is in the way that a call has come either: it is told of a call for many, too.
    is_short = name != VIA or len(value) <= MOST_BYTES
    return is_short and value.isascii() and value.isprintable()


@implementer(IRPCService)
class ForwardingMetadata:
    """A service as it is; beside that, what it asks upstream carries metadata of the call.

    Nothing is looked up unless something is asked upstream.

    :param base: the service.
    :param names: which metadata, in lower case.
    """

    def __init__(self, base: IRPCService, names: Iterable[str]) -> None:
        self._base = base
        self._names = tuple(names)

    def methods(self) -> Mapping[str, Method]:
        """Those of the service."""
        return wrapped(self._base, self._wrapped)

    def _wrapped(self, handle: Handle) -> Handle:
        names = self._names

        def handle_with_metadata(request: Any, call: Call) -> Any:
            # The context is the call's own, and ends with it.
            source.set((chosen, call, names))
            return handle(request, call)

        return handle_with_metadata
