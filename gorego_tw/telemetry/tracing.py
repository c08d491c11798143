"""Everything that is recorded begins here, and comes here when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from time import monotonic, time
from typing import Any, Protocol

from gorego_tw.forwarding import Metadata
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.distribution import Example
from gorego_tw.telemetry.invocations import Invocations
from gorego_tw.telemetry.kept import SLOW_SECONDS, Kept
from gorego_tw.telemetry.origins import Carrier, Origins, PropagatorName
from gorego_tw.telemetry.span import LocalRoot, Origin, Span, Value
from gorego_tw.telemetry.tallies import MethodTally


class Export(Protocol):
    """Where the spans of sampled requests go."""

    def is_taking(self) -> bool:
        """Whether a request that begins now is worth recording; if not, it counts it."""

    def has_room_for(self, root: LocalRoot) -> bool:
        """Whether it takes one more; if not, it counts it."""

    def add(self, root: LocalRoot) -> None:
        """A request that has ended, and is settled."""


class Tracing:
    """A recorder (:class:`gorego_tw.telemetry.span.Recorder`).

    :param propagators: by which headers traces are continued.
    :param ratio: which part of the traces that begin here is exported, 0 to 1.
    :param invocation_of: the id of the tool's invocation that a call is a part of, "" for none.
    :param describe: the attributes of a call, for who wants to see them.
    :ivar export: where sampled requests go; None for nowhere.
    :ivar log_access: told of each call that has ended; None for nobody.
    :ivar kept: the last slow and failed requests.
    """

    def __init__(
        self,
        propagators: tuple[PropagatorName, ...],
        ratio: float,
        *,
        invocation_of: Callable[[Carrier], str],
        describe: Callable[[LocalRoot], Mapping[str, Value]],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.now = now
        self.export: Export | None = None
        self.log_access: Callable[[LocalRoot], None] | None = None
        self.kept = Kept()
        self.invocations = Invocations(self, self._export_invocation)
        self._describe = describe
        self._origins = Origins(
            propagators,
            ratio,
            invocation_of=invocation_of,
            invocation_span=self.invocations.span_id,
        )

    @property
    def is_exporting(self) -> bool:
        """Whether what is sampled goes anywhere."""
        return self.export is not None

    def serve(self, name: str, call: Carrier, tallies: MethodTally, subject: object) -> LocalRoot:
        """The span of a call that begins.

        :param subject: what it asks for, None if that has still to come.
        """
        root = LocalRoot(name, self, tallies, call, subject)
        if self.export is not None:
            self.sample(root, call)
        return root

    def sample(self, root: LocalRoot, call: Carrier) -> None:
        """Decide whether a call that begins will be exported."""
        assert self.export is not None
        is_sampled = self._origins.are_sampled(call)
        if is_sampled is None:
            is_sampled = root.origin.is_sampled
        root.is_sampled = is_sampled and self.export.is_taking()

    def served(self, root: LocalRoot) -> None:
        """A call has ended well; most of them were neither slow nor are they exported."""
        root.ended = ended = self.now()
        seconds = ended - root.started
        root.tallies.calls.note(seconds)
        if root.is_sampled or seconds >= SLOW_SECONDS[0] or self.log_access is not None:
            self.succeeded(root)
        else:
            root.spans = None  # they refer to it, and it to them

    def succeeded(self, root: LocalRoot) -> None:
        """A call that is counted already has ended well, and somebody may want to know of it."""
        root.own.code = "OK"
        self._settled(root)

    def outgoing(self, span: Span) -> Metadata:
        """The headers by which a peer that is called finds out what it is called for.

        If nothing is exported, a span of ours would be a parent that nobody ever sees, and our ratio
        would decide for a peer that has its own: then it is told what the client told us.
        """
        origins = self._origins
        return origins.passed_on(span) if self.export is None else origins.outgoing(span)

    def origin_of(self, root: LocalRoot) -> Origin:
        """Which trace it belongs to."""
        if root.call is not None:
            return self._origins.of(root.call)  # type: ignore[arg-type]  # serve has set it
        parent = root.details.parent
        if parent is None:
            return self._origins.new()
        return Origin(
            parent.trace_id, parent.span_id, parent.is_sampled, parent.trace_state, parent.baggage
        )

    def traced(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """``work``, which is a trace of its own each time."""

        async def run() -> None:
            root = LocalRoot(name, self)
            root.is_sampled = self.is_exporting and root.origin.is_sampled
            current.set(root)
            try:
                await work()
            except BaseException as error:
                root.end_by(error)
                raise
            else:
                root.end()
            finally:
                current.set(None)

        return run

    def ended(self, root: LocalRoot) -> None:
        """All of it has happened."""
        if root.call is not None:
            root.tallies.calls.note(root.seconds)
        self._settled(root)

    def _settled(self, root: LocalRoot) -> None:
        """It is exported if it is sampled, and kept if it was slow or failed."""
        if self.log_access is not None and root.call is not None:
            self.log_access(root)
        failed = bool(root.details.error)
        is_worth_keeping = failed or root.seconds >= SLOW_SECONDS[0]
        is_exported = self.export is not None and root.is_sampled and self.export.has_room_for(root)
        root.is_sampled = is_exported
        if not is_exported and not is_worth_keeping:
            root.spans = None
            return
        if root.call is not None:
            root.origin  # noqa: B018 - the call says what it is
            root.settle(self._describe(root))
        if is_worth_keeping:
            self.kept.add(root, failed)
        if is_exported:
            if root.details.kind == "server":
                example = Example(root.seconds, root.origin.trace_id, time())
                root.tallies.calls.exemplify(example)
            self._export(root)

    def _export(self, root: LocalRoot) -> None:
        assert self.export is not None
        self.export.add(root)
        if root.origin.invocation:
            self.invocations.note(root)

    def _export_invocation(self, root: LocalRoot) -> None:
        if self.export is not None and self.export.has_room_for(root):
            self.export.add(root)
