"""A service whose calls are recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError
from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.errors import Code, DeadlineExceeded, StatusError
from gorego_tw.grpc.router import Call, IRPCService, Method
from gorego_tw.telemetry.current import current
from gorego_tw.telemetry.kept import SLOW_SECONDS
from gorego_tw.telemetry.span import NETWORK, LocalRoot
from gorego_tw.telemetry.tallies import MethodTally, Tallies
from gorego_tw.telemetry.tracing import Tracing

#: Statuses that are no failure of the service: what is absent is absent, and who leaves leaves.
_WELL = frozenset({Code.OK, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.CANCELLED})

#: What took so long is kept to be looked at, in seconds.
_SLOW = SLOW_SECONDS[0]

#: What ends a call that nobody waits for any more.
_LEFT = (CancelledError, GeneratorExit)


@implementer(IRPCService)
class Traced:
    """A service as it is; each call is a span, and the current one for all that it does.

    :param base: the service.
    :param tallies: where what its calls find is counted.
    """

    def __init__(self, base: IRPCService, tracing: Tracing, tallies: Tallies) -> None:
        self._base = base
        self._tracing = tracing
        self._tallies = tallies

    def methods(self) -> Mapping[str, Method]:
        """Those of the service."""
        return {path: self._traced(path, method) for path, method in self._base.methods().items()}

    def _traced(self, path: str, method: Method) -> Method:
        name = path.lstrip("/")
        tally = self._tallies.of(name.partition("/")[2])
        wrap = self._streaming if method.streams_replies else self._answering

        def refused(call: Call, error: StatusError) -> None:
            _end(self._tracing.serve(name, call, tally, None), call, error)

        return method._replace(
            handle=wrap(name, tally, method.handle, streamed=method.streams_requests),
            refused=refused,
        )

    def _answering(
        self, name: str, tally: MethodTally, handle: Callable[[Any, Call], Any], *, streamed: bool
    ) -> Callable[[Any, Call], Any]:
        # As ``serve`` and ``served`` of the tracing, but for what is short not even a call is spent.
        tracing = self._tracing
        now, note = tracing.now, tally.calls.note

        async def answer(request: Any, call: Call) -> Any:
            root = LocalRoot(name, tracing, tally, call, None if streamed else request)
            if tracing.export is not None:
                tracing.sample(root, call)
            if streamed:
                request = _Requests(request, root)
            # The context is the call's own, and ends with it.
            current.set(root)
            try:
                reply = await handle(request, call)
            except BaseException as error:
                _end(root, call, error)
                raise
            root.ended = ended = now()
            seconds = ended - root.started
            note(seconds)
            if root.is_sampled or seconds >= _SLOW or tracing.log_access is not None:
                tracing.succeeded(root)
            else:
                root.spans = None
            return reply

        return answer

    def _streaming(
        self, name: str, tally: MethodTally, handle: Callable[[Any, Call], Any], *, streamed: bool
    ) -> Callable[[Any, Call], Any]:
        tracing = self._tracing

        async def stream(request: Any, call: Call) -> AsyncIterator[Any]:
            root = tracing.serve(name, call, tally, None if streamed else request)
            if streamed:
                request = _Requests(request, root)
            current.set(root)
            sent = 0.0
            now = tracing.now
            try:
                async with closing(handle(request, call)) as replies:
                    async for reply in replies:
                        given = now()
                        try:
                            yield reply
                        finally:  # also who takes it so slowly that the call is ended meanwhile
                            sent += now() - given
            except BaseException as error:
                root.spend(NETWORK, sent)
                _end(root, call, error)
                raise
            root.spend(NETWORK, sent)
            tracing.served(root)

        return stream


class _Requests:
    """The messages of a client; the time it takes to send them is the network's."""

    def __init__(self, base: AsyncIterator[Any], root: LocalRoot) -> None:
        self._base = base
        self._root = root
        self._next = base.__anext__

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        root = self._root
        now = root.recorder.now
        asked = now()
        try:
            message = await self._next()
        finally:  # also a client that sends no more, whose call is ended meanwhile
            root.spend(NETWORK, now() - asked)
        if root.subject is None:
            root.subject = getattr(message, "resource_name", "")
        return message


def _end(root: LocalRoot, call: Call, error: BaseException) -> None:
    code = _code_of(error, call)
    root.own.code = code.name
    if code in _WELL:
        root.end()
    elif isinstance(error, _LEFT):
        root.fail(DeadlineExceeded("the deadline of the client has passed"))
    else:
        root.fail(error)


def _code_of(error: BaseException, call: Call) -> Code:
    """What the client is told."""
    if isinstance(error, StatusError):
        return error.code
    if isinstance(error, _LEFT):
        return Code.DEADLINE_EXCEEDED if call.time_remaining() == 0 else Code.CANCELLED
    return Code.INTERNAL
