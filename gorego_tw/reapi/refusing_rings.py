"""A service that refuses calls which have been here before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txaio.tx import make_logger
from zope.interface import implementer

from gorego_tw.errors import FailedPrecondition
from gorego_tw.forwarding import VIA
from gorego_tw.grpc.router import Call, Handle, IRPCService, Method, wrapped
from gorego_tw.seldom import Seldom
from gorego_tw.via import Station

#: How much time passes between two lines in the log about it, in seconds.
TELL_SECONDS = 60.0


@implementer(IRPCService)
class RefusingRings:
    """A service as it is, for calls that come here for the first time. One that was here has gone on to the backing
    cache, and come back: it would go the same way again.

    :param base: the service.
    :param station: this daemon.
    :param told: when the log has said so.
    """

    _log = make_logger()

    def __init__(self, base: IRPCService, station: Station, told: Seldom) -> None:
        self._base = base
        self._station = station
        self._told = told

    def methods(self) -> Mapping[str, Method]:
        """Those of the service; each raises FailedPrecondition of such a call."""
        return wrapped(self._base, self._wrapped)

    def _wrapped(self, handle: Handle) -> Handle:
        ring = self._station.ring

        def handle_once(request: Any, call: Call) -> Any:
            via = call.metadata(VIA)
            if via is not None and (members := ring(via)) is not None:
                raise self._refusal(members)
            return handle(request, call)

        return handle_once

    def _refusal(self, members: str) -> FailedPrecondition:
        message = (
            f"a ring of backing caches: {members}; backing_cache.target of one of them has to name another cache, "
            "or none"
        )
        if self._told.due:
            self._told.done()
            self._log.error("a call was refused: {reason}", reason=message)
        return FailedPrecondition(message)
