"""/metrics"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.http import INTERNAL_SERVER_ERROR
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from txaio.tx import make_logger

#: How long metrics are made into text before everything else has its turn, in seconds.
SLICE_SECONDS = 0.001

#: What ends the OpenMetrics format, and no other.
_EOF = b"# EOF\n"


class Metrics(Resource):
    """The metrics of a registry, in the text form that the reader prefers.

    They are made into text metric by metric, with turns of the reactor in between: all of them at
    once would hold up calls for longer than most calls take.

    :param registry: what is shown.
    """

    isLeaf = True
    _log = make_logger()

    def __init__(self, registry: CollectorRegistry, clock: IReactorTime) -> None:
        super().__init__()
        self._registry = registry
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        """All of them."""
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", content_type)
        gone = request.notifyFinish()
        sending = Deferred.fromCoroutine(self._send(request, encode))
        sending.addErrback(self._failed, request)
        gone.addErrback(lambda _: sending.cancel())
        return NOT_DONE_YET

    async def _send(self, request: Request, encode: Callable[..., bytes]) -> None:
        text: list[bytes] = []
        end = b""
        resting = self._clock.seconds() + SLICE_SECONDS
        for metric in self._registry.collect():
            part: bytes = encode(_One(metric))
            end = _EOF if part.endswith(_EOF) else b""
            text.append(part.removesuffix(_EOF))
            if self._clock.seconds() >= resting:
                await deferLater(self._clock, 0)
                resting = self._clock.seconds() + SLICE_SECONDS
        request.write(b"".join(text) + end)
        request.finish()

    def _failed(self, failure: Failure, request: Request) -> None:
        if failure.check(CancelledError):
            return  # the reader has gone
        self._log.failure("/metrics", failure)
        request.setResponseCode(INTERNAL_SERVER_ERROR)
        request.write(b"a metric could not be read; the log says why\n")
        request.finish()


class _One:
    """A registry of one metric, which an encoder takes for one of many."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
