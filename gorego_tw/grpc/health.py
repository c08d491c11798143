"""grpc.health.v1.Health: whether a service takes calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gorego_tw.errors import NotFound
from gorego_tw.grpc.router import Call, IRPCService, Method, server_streaming, unary
from gorego_tw.pb.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

_SERVING = HealthCheckResponse.SERVING
_NOT_SERVING = HealthCheckResponse.NOT_SERVING
_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN


@implementer(IRPCService)
class Health:
    """Answers Check and Watch with what it was last told.

    The name "" stands for the server as a whole (health.proto).
    """

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {"": False}
        self._changed: list[Deferred[None]] = []
        self._closed = False

    def methods(self) -> Mapping[str, Method]:
        """Check and Watch."""
        return {
            "/grpc.health.v1.Health/Check": unary(HealthCheckRequest, self.check),
            "/grpc.health.v1.Health/Watch": server_streaming(HealthCheckRequest, self.watch),
        }

    def set_status(self, service: str, serving: bool) -> None:
        """From now on ``service`` is, or is not, serving; those who watch are told."""
        self._serving[service] = serving
        changed, self._changed = self._changed, []
        for waiter in changed:
            waiter.callback(None)

    def set_all(self, serving: bool) -> None:
        """The same for every service known."""
        for service in list(self._serving):
            self.set_status(service, serving)

    def close(self) -> None:
        """Nothing is served any more: those who watch are told so, and their calls end."""
        self._closed = True
        self.set_all(False)

    async def check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        """The status now.

        :raises NotFound: no such service.
        """
        if request.service not in self._serving:
            raise NotFound(f"health: no service {request.service[:200]!r} here")
        return HealthCheckResponse(status=self._status(request.service))

    async def watch(
        self, request: HealthCheckRequest, call: Call
    ) -> AsyncIterator[HealthCheckResponse]:
        """The status now, then every change, until :meth:`close`; a service not known is SERVICE_UNKNOWN."""
        told = None
        while True:
            status = self._status(request.service)
            if status != told:
                told = status
                yield HealthCheckResponse(status=status)
            elif self._closed:
                return
            else:
                await self._change()

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service not in self._serving:
            return _UNKNOWN
        return _SERVING if self._serving[service] else _NOT_SERVING

    def _change(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred(self._changed.remove)
        self._changed.append(waiter)
        return waiter
