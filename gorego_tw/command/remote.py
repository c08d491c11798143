"""The control service of a running daemon, over the socket in its folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from threading import Lock

import grpc
from google.protobuf.message import Message

from gorego_tw.command.connection import Refused, ReplyT
from gorego_tw.control.service import SERVICE
from gorego_tw.errors import Code
from gorego_tw.pb.gorego.control.v1.control_pb2 import StatRequest, StatResponse

#: How long a process that holds the folder may take to answer, in seconds.
ANSWER_SECONDS = 10.0

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A proxy of the environment is no way to a socket.
    ("grpc.enable_http_proxy", 0),
)


class Remote:
    """Calls over a socket.

    :param path: of the socket.
    """

    def __init__(self, path: str) -> None:
        self._channel = grpc.insecure_channel(f"unix:{path}", options=_OPTIONS)

    def greet(self) -> None:
        """See whether there is an answer at all.

        :raises Refused: UNAVAILABLE; there is none within ANSWER_SECONDS.
        """
        call = self._channel.unary_unary(SERVICE + "Stat", _serialized, StatResponse.FromString)
        try:
            with _refused():
                call(StatRequest(), timeout=ANSWER_SECONDS)
        except Refused as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                raise Refused(Code.UNAVAILABLE, f"no answer in {ANSWER_SECONDS:g} s") from error
            raise

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def ask(self, method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
        """One request, one reply."""
        call = self._channel.unary_unary(SERVICE + method, _serialized, reply.FromString)
        with _refused():
            answer: ReplyT = call(request)
        return answer

    def stream(self, method: str, request: Message, reply: type[ReplyT]) -> Generator[ReplyT]:
        """One request, and replies as they come."""
        call = self._channel.unary_stream(SERVICE + method, _serialized, reply.FromString)
        with _refused():
            replies = call(request)
        try:
            while True:
                with _refused():
                    answer: ReplyT | None = next(replies, None)
                if answer is None:
                    return
                yield answer
        finally:
            replies.cancel()

    def send(self, method: str, requests: Iterator[Message], reply: type[ReplyT]) -> ReplyT:
        """Requests as they are made, one reply."""
        call = self._channel.stream_unary(SERVICE + method, _serialized, reply.FromString)
        source = Requests(requests)
        try:
            with _refused():
                answer: ReplyT = call(source)
        finally:
            source.close()
        return answer


class Requests:
    """Requests that a thread of grpcio takes.

    :param requests: not taken from any more after :meth:`close`, though the answer came early.
    """

    def __init__(self, requests: Iterator[Message]) -> None:
        self._requests = requests
        self._lock = Lock()
        self._closed = False
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        with self._lock:
            if self._closed:
                raise StopIteration
            try:
                return next(self._requests)
            except StopIteration:
                raise
            except Exception as error:  # any: grpcio would print it, and tell of its own
                self._failure = error
                raise StopIteration from error

    def close(self) -> None:
        """Wait until none is being made, and see to it that none will be.

        :raises Exception: why there were no more, which made the call fail.
        """
        with self._lock:
            self._closed = True
        if self._failure is not None:
            raise self._failure


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        code = Code(error.code().value[0])
        raise Refused(code, str(error.details())) from error
