"""/metrics"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Request

from gorego_tw.web.later import answer_later

#: How long metrics are made into text before everything else has its turn, in seconds.
SLICE_SECONDS = 0.001

#: What ends the OpenMetrics format, and no other.
_EOF = b"# EOF\n"

_APOLOGY = b"a metric could not be read; the log says why\n"


class Metrics(Resource):
    """The metrics of a registry, in the text form that the reader prefers.

    They are made into text metric by metric, with turns of the reactor in between: all of them at
    once would hold up calls for longer than most calls take.

    :param registry: what is shown.
    """

    isLeaf = True

    def __init__(self, registry: CollectorRegistry, clock: IReactorTime) -> None:
        super().__init__()
        self._registry = registry
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        """All of them."""
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", content_type)
        return answer_later(request, self._text(encode), "/metrics", _APOLOGY)

    async def _text(self, encode: Callable[..., bytes]) -> bytes:
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
        return b"".join(text) + end


class _One:
    """A registry of one metric, which an encoder takes for one of many."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
