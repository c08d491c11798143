"""One span for each invocation of a build tool, as long as its first call to its last.

Build tools send no trace context, but an id that all calls of an invocation share: with this span
as the parent of all, a build is one trace.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from random import getrandbits

from gorego_tw.telemetry.span import LocalRoot, Origin, Recorder

#: Invocations that are known at a time. The one that was silent for longest is over if there are more.
MOST = 1_000

#: Those that are over and may go on yet, which are known at a time: 10 MB.
MOST_ENDED = 50_000

#: An invocation that asked nothing for so long is over, in seconds; what comes later is a
#: second span of it, in the same trace.
SILENT_SECONDS = 60.0


class Invocations:
    """Those under way.

    :param take: gets the span of each, when it is over.
    """

    def __init__(self, recorder: Recorder, take: Callable[[LocalRoot], None]) -> None:
        self._recorder = recorder
        self._take = take
        # So that two daemons that serve one build each have a span of their own in its trace.
        self._salt = getrandbits(64).to_bytes(8)
        self._roots: OrderedDict[str, LocalRoot] = OrderedDict()
        # How often those were over that may not have ended yet.
        self._ended: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._roots)

    def span_id(self, invocation: str) -> int:
        """The number of the span of that invocation."""
        times = self._ended.get(invocation, 0)
        text = self._salt + times.to_bytes(4) + invocation.encode("utf-8", "surrogatepass")
        return int.from_bytes(sha256(text).digest()[:8]) or 1

    def note(self, call: LocalRoot) -> None:
        """A call of an invocation has ended, whose span will be exported."""
        origin = call.origin
        root = self._roots.get(origin.invocation)
        if root is None:
            root = self._roots[origin.invocation] = self._begin(origin, call)
            root.started = call.started
            if len(self._roots) > MOST:
                self._end(next(iter(self._roots)))
        root.started = min(root.started, call.started)
        root.ended = call.ended
        attributes = root.own.attributes or {}
        root.set("gorego.calls", int(attributes.get("gorego.calls", 0)) + 1)
        self._roots.move_to_end(origin.invocation)

    def look(self) -> None:
        """End those that have been silent."""
        now = self._recorder.now()
        for invocation, root in list(self._roots.items()):
            if root.ended is not None and now - root.ended < SILENT_SECONDS:
                return  # as are all that follow
            self._end(invocation)

    def end_all(self) -> None:
        """There will be no more calls."""
        for invocation in list(self._roots):
            self._end(invocation)

    def _begin(self, origin: Origin, call: LocalRoot) -> LocalRoot:
        told = call.details.attributes or {}
        root = LocalRoot(f"{told.get('reapi.tool.name', 'build')} invocation", self._recorder)
        root.take_place(origin._replace(parent_id=None), self.span_id(origin.invocation))
        root.is_sampled = True
        for key in ("reapi.tool.name", "reapi.tool.version", "reapi.correlated_invocations_id"):
            if key in told:
                root.set(key, told[key])
        root.set("reapi.tool_invocation_id", origin.invocation)
        return root

    def _end(self, invocation: str) -> None:
        self._take(self._roots.pop(invocation))
        self._ended[invocation] = self._ended.pop(invocation, 0) + 1
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
