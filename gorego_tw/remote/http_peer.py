"""Requests to a plain HTTP backing cache, each with a deadline and a failure of ours."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import partial

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from gorego_tw.concurrency import cancelled_as_such
from gorego_tw.digest import DigestFunction, empty_digest
from gorego_tw.errors import (
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.remote.breaker import Breaker, State, is_failure
from gorego_tw.remote.http_body import BlobProducer, Response, UnwantedBody
from gorego_tw.remote.no_answer import MOST_SECONDS, no_answer
from gorego_tw.remote.places import Places
from gorego_tw.remote.retry import Retrying
from gorego_tw.telemetry.outgoing import outgoing_call

#: What the codes mean that say something of what was asked for.
_ANSWERS: Mapping[int, type[StatusError]] = {
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    410: NotFound,
    429: ResourceExhausted,
    507: ResourceExhausted,
}

_GOOD = frozenset({200, 201, 204, 206})

#: Those that say of a PUT that it is what was sent that is at fault, or who sent it. Others are of the way
#: there, or of what is there for the moment (404, 409, 423), and say nothing of what was sent.
_OF_WHAT_WAS_SENT = frozenset({400, 401, 403, 411, 413, 414, 415, 422, 429, 431, 507})

#: Those of a server that takes no PUT at all.
_TAKES_NONE = frozenset({405, 501})

#: All others that say that the request is at fault: as it is, it will be refused again, or sent elsewhere,
#: which is not followed. But a request that was too slow, or came too early, may come again.
_REFUSALS = frozenset(range(300, 500)) - {408, 425}

_BROKEN = (
    ConnectError,
    ConnectingCancelledError,
    ConnectionLost,
    ConnectTimeoutError,
    DNSLookupError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)


class HTTPPeer:
    """A server of blobs by their URLs.

    :param url: of the server, with the prefix.
    :param headers: sent with every request; what a call brings itself goes before.
    :param breaker: says whether requests may go out, and is told how they end.
    :param retrying: for who tries again.
    :param seconds: how long the head of a response may take (MOST_SECONDS at most where nothing
        is sent), and each piece of its body.
    :param most: how many requests are on their way at a time.
    """

    def __init__(
        self,
        agent: IAgent,
        url: str,
        *,
        headers: Metadata,
        breaker: Breaker,
        retrying: Retrying,
        seconds: float,
        clock: IReactorTime,
        most: int,
    ) -> None:
        self.breaker = breaker
        self.retrying = retrying
        self._seconds = seconds
        self._clock = clock
        self._places = Places(most)
        breaker.observers.append(self._changed)
        self._agent = agent
        self._url = url
        self._headers = headers

    async def request(
        self,
        method: str,
        path: str,
        body: BlobProducer | None = None,
        *,
        metadata: Metadata | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The response, of which the head has come; it has to be read to its end or closed. One that is a
        failure was raised.

        :param body: stopped when nobody there wants it any more.
        :param metadata: of the call that asks; by default of the one being served.
        :param headers: more of them.
        :raises NotFound: 404 and 410 where nothing is sent; other answers as they are, the rest as
            UNAVAILABLE; what is wrong with the body itself as it is.
        """
        told = forwarded() if metadata is None else metadata
        self.breaker.check()
        await self._places.take()
        try:
            # Once more: those that had the places before may have found that nobody answers.
            self.breaker.check()
            with outgoing_call(f"{method} {path}") as out:
                sent = self._sent(out.metadata(told), headers or {})
                head = await self._head(method, path, sent, body)
        except BaseException as error:
            self._places.release()
            if body is not None and body.failure is not None:
                raise body.failure from None
            if isinstance(error, StatusError):
                self.breaker.failed(error)
            raise
        release = self._places.release
        if head.code in _GOOD:
            return Response(head, self.breaker, self._seconds, self._clock, release)
        UnwantedBody(head, self._seconds, self._clock, release)
        failure = _failure(head)
        if body is not None and head.code in _TAKES_NONE:
            failure = Unimplemented(
                f"{failure.message}: it takes no writes; write_policy around sends it none"
            )
        self.breaker.failed(failure)
        if body is not None and head.code not in _OF_WHAT_WAS_SENT | _TAKES_NONE:
            failure = Unavailable(failure.message, *failure.details)
        raise failure

    def close(self) -> None:
        """Make no more requests; those that wait for a place fail."""
        self._places.close()

    def _changed(self, state: State) -> None:
        if state is State.OPEN:
            self._places.admit_all()  # they hear at once that nothing goes out

    async def greet(self) -> None:
        """Ask for something that need not be there, whatever the breaker says and whoever has the places.

        :raises StatusError: it does not answer.
        """
        path = f"cas/{empty_digest(DigestFunction.SHA256).hash}"
        head = await self._head("HEAD", path, self._sent((), {}), None)
        UnwantedBody(head, self._seconds, self._clock, lambda: None)
        failure = _failure(head)
        if head.code not in _GOOD and is_failure(failure):
            raise failure

    async def _head(
        self, method: str, path: str, headers: Headers, body: BlobProducer | None
    ) -> IResponse:
        """The head of the response, whatever it says.

        :raises Unavailable: none came.
        """
        url = f"{self._url}/{path}".encode()
        asking = self._agent.request(method.encode(), url, headers, body)
        seconds = self._seconds if body is not None else min(self._seconds, MOST_SECONDS)
        timer = self._clock.callLater(seconds, asking.cancel)
        if body is not None:
            # As long as the peer takes something, it is no sign of trouble that it does not answer.
            body.progressed = partial(timer.reset, seconds)
        try:
            response: IResponse = await cancelled_as_such(asking)
        except CancelledError:
            if timer.active():
                raise
            raise no_answer(seconds) from None
        except _BROKEN as error:
            if timer.active():
                raise Unavailable(f"backing cache: {_reason(error)}") from error
            raise no_answer(seconds) from error
        finally:
            if timer.active():
                timer.cancel()
            if body is not None:
                body.progressed = lambda: None
                body.stopProducing()  # an answer may come before all is sent, or without any of it
        return response

    def _sent(self, metadata: Metadata, more: Mapping[str, str]) -> Headers:
        headers = Headers({"user-agent": ["gorego"], "accept-encoding": ["identity"]})
        for name, value in (*self._headers, *metadata):
            text = b64encode(value).decode() if isinstance(value, bytes) else value
            headers.setRawHeaders(name, [text])
        for name, value in more.items():
            headers.setRawHeaders(name, [value])
        return headers


def _failure(response: IResponse) -> StatusError:
    code: int = response.code
    cls = _ANSWERS.get(code, FailedPrecondition if code in _REFUSALS else Unavailable)
    message = f"backing cache: HTTP {code} {response.phrase.decode('latin-1')[:80]}".rstrip()
    (after,) = response.headers.getRawHeaders("retry-after", [""])[:1]
    if after.isdigit():
        return cls(message, RetryInfo(retry_delay=Duration(seconds=min(int(after), 86400))))
    return cls(message)


def _reason(error: Exception) -> Exception:
    """What is at the bottom of it."""
    reasons = getattr(error, "reasons", None)
    reason: Exception = reasons[0].value if reasons else error
    return reason
