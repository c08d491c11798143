"""The calls that a backing cache is asked with, each with a deadline and a failure of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message
from grpc.aio import EOF, AioRpcError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gorego_tw.concurrency import closing
from gorego_tw.errors import NotFound
from gorego_tw.forwarding import Metadata
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bs
from gorego_tw.remote.breaker import Breaker, State
from gorego_tw.remote.bridge import deferred
from gorego_tw.remote.bulk.connections import BulkConnections
from gorego_tw.remote.bulk.request import header_block
from gorego_tw.remote.bulk.room import Room
from gorego_tw.remote.connections import Connection, Connections
from gorego_tw.remote.no_answer import MOST_SECONDS, NoAnswer, no_answer
from gorego_tw.remote.places import Places
from gorego_tw.remote.read_response import read_data
from gorego_tw.remote.replies import Replies
from gorego_tw.remote.retry import Retrying
from gorego_tw.remote.status import not_reached, status_of
from gorego_tw.telemetry.outgoing import outgoing_call
from gorego_tw.via import Station

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Message)
ReplyT = TypeVar("ReplyT", bound=Message)

_REAPI = "/build.bazel.remote.execution.v2."
_BYTE_STREAM = "/google.bytestream.ByteStream/"
_READ = f"{_BYTE_STREAM}Read"

#: How many streams are written at a time. Each has a file open: of 1,024, which is what a process may have
#: open by default, the rest is for clients.
MOST_WRITES = 128


class UnaryMethod(NamedTuple, Generic[RequestT, ReplyT]):
    """A method of one request and one reply.

    ``asks_for_one`` says that NOT_FOUND is an answer: what is asked for is absent.
    """

    path: str
    request_type: type[RequestT]
    reply_type: type[ReplyT]
    asks_for_one: bool = False


GET_CAPABILITIES = UnaryMethod(
    f"{_REAPI}Capabilities/GetCapabilities", pb.GetCapabilitiesRequest, pb.ServerCapabilities
)
FIND_MISSING_BLOBS = UnaryMethod(
    f"{_REAPI}ContentAddressableStorage/FindMissingBlobs",
    pb.FindMissingBlobsRequest,
    pb.FindMissingBlobsResponse,
)
BATCH_READ_BLOBS = UnaryMethod(
    f"{_REAPI}ContentAddressableStorage/BatchReadBlobs",
    pb.BatchReadBlobsRequest,
    pb.BatchReadBlobsResponse,
)
BATCH_UPDATE_BLOBS = UnaryMethod(
    f"{_REAPI}ContentAddressableStorage/BatchUpdateBlobs",
    pb.BatchUpdateBlobsRequest,
    pb.BatchUpdateBlobsResponse,
)
GET_ACTION_RESULT = UnaryMethod(
    f"{_REAPI}ActionCache/GetActionResult",
    pb.GetActionResultRequest,
    pb.ActionResult,
    asks_for_one=True,
)
UPDATE_ACTION_RESULT = UnaryMethod(
    f"{_REAPI}ActionCache/UpdateActionResult", pb.UpdateActionResultRequest, pb.ActionResult
)
QUERY_WRITE_STATUS = UnaryMethod(
    f"{_BYTE_STREAM}QueryWriteStatus",
    bs.QueryWriteStatusRequest,
    bs.QueryWriteStatusResponse,
    asks_for_one=True,
)


class Link:
    """Calls to one backing cache.

    :param headers: sent with every call; what a call brings itself goes before.
    :param station: from which they leave.
    :param breaker: says whether calls may go out, and is told how they end.
    :param retrying: tries unary calls again. Streams are resumed by who knows how far they were.
    :param timeout_seconds: how long a stream without a message may take; a unary call too, but
        MOST_SECONDS at most.
    :param bulk: connections for reads of large blobs; None if they go over the others, too.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        headers: Metadata,
        station: Station,
        breaker: Breaker,
        retrying: Retrying,
        timeout_seconds: float,
        clock: IReactorTime,
        bulk: BulkConnections | None = None,
    ) -> None:
        self.breaker = breaker
        self.retrying = retrying
        self._connections = connections
        self._bulk = bulk
        self._writes = Places(MOST_WRITES)
        self._station = station
        self._headers = headers
        self._alone = station.left(headers)
        self._seconds = timeout_seconds
        self._unary_seconds = min(timeout_seconds, MOST_SECONDS)
        self._clock = clock
        breaker.observers.append(self._changed)

    async def unary(
        self, method: UnaryMethod[RequestT, ReplyT], request: RequestT, *, metadata: Metadata = ()
    ) -> ReplyT:
        """The reply, if need be at a later try.

        :raises Unavailable: among other trouble, the peer has not found who is to answer.
        """
        try:
            return await self.retrying.run(lambda: self._guarded(method, request, metadata))
        except NotFound as error:
            if method.asks_for_one:
                raise
            raise not_reached(error) from error

    async def once(
        self, method: UnaryMethod[RequestT, ReplyT], request: RequestT, metadata: Metadata = ()
    ) -> ReplyT:
        """The reply at the first try, whatever the breaker says and whoever has the places."""
        async with self._connections.beside() as connection:
            return await self._ask(connection, method, request, metadata)

    async def read(
        self, request: bs.ReadRequest, *, metadata: Metadata = (), room: Room | None = None
    ) -> AsyncGenerator[memoryview, None]:
        """The data of one ByteStream.Read, in pieces. Closing the iterator breaks it off.

        A piece is asked for when the one before was taken, so the peer waits for who is slow.

        :param room: memory for the pieces of a large blob; they are put there if there is a
            connection for such reads.
        """
        self.breaker.check()
        bulk = self._bulk
        if room is None or bulk is None or not bulk.have_room:
            pieces = self._read(request, metadata)
        else:
            pieces = self._read_into(room, bulk, request, metadata)
        async with closing(pieces):
            async for piece in pieces:
                yield piece

    async def _read(
        self, request: bs.ReadRequest, metadata: Metadata
    ) -> AsyncGenerator[memoryview, None]:
        async with self._connections.place() as connection:
            self.breaker.check()  # once more, as of a call with one reply
            stub = connection.stub(
                "unary_stream",
                _READ,
                bs.ReadRequest.SerializeToString,
                None,
            )
            with outgoing_call(_READ) as out:
                call = stub(request, metadata=out.metadata(self._metadata(metadata)))
                replies = Replies(call, self._seconds, self._clock)
                try:
                    while (message := await self.breaker.watch(replies.next)) is not EOF:
                        yield read_data(message)
                finally:
                    replies.close()

    async def _read_into(
        self, room: Room, bulk: BulkConnections, request: bs.ReadRequest, metadata: Metadata
    ) -> AsyncGenerator[memoryview, None]:
        with outgoing_call(_READ) as out:
            sent = out.metadata(self._metadata(metadata))
            connection = await self.breaker.watch(bulk.acquire)
            try:
                headers = header_block(_READ, bulk.authority, sent)
                connection.ask(headers, request.SerializeToString(), room)
                while piece := await self.breaker.watch(connection.next):
                    yield piece
            finally:
                bulk.release(connection)

    async def write(
        self, requests: AsyncIterator[bs.WriteRequest], *, metadata: Metadata = ()
    ) -> bs.WriteResponse:
        """The reply to one ByteStream.Write, which may come before all requests were taken.

        :param requests: not asked for before it is their turn, so that little has to be open for those
            that wait.

        :raises Aborted: it came then, and got lost.
        :raises Unavailable: among other trouble, the peer has not found who is to answer.
        """
        self.breaker.check()
        async with self._writes.one(), self._connections.place() as connection:
            self.breaker.check()
            stub = connection.stub(
                "stream_unary",
                f"{_BYTE_STREAM}Write",
                bs.WriteRequest.SerializeToString,
                bs.WriteResponse.FromString,
            )
            with outgoing_call(f"{_BYTE_STREAM}Write") as out:
                call = stub(metadata=out.metadata(self._metadata(metadata)))
                try:
                    await self._send(call, requests)
                    return await self._written(call)
                finally:
                    call.cancel()

    def _changed(self, state: State) -> None:
        if state is State.OPEN:
            # They look at the breaker, and so hear at once that nothing goes out.
            self._writes.admit_all()
            self._connections.admit_all()

    async def _guarded(
        self, method: UnaryMethod[RequestT, ReplyT], request: RequestT, metadata: Metadata
    ) -> ReplyT:
        self.breaker.check()
        async with self._connections.place() as connection:
            # Once more: those that had the places before may have found that nobody answers.
            return await self.breaker.guard(
                lambda: self._ask(connection, method, request, metadata)
            )

    async def _ask(
        self,
        connection: Connection,
        method: UnaryMethod[RequestT, ReplyT],
        request: RequestT,
        metadata: Metadata,
    ) -> ReplyT:
        stub = connection.stub(
            "unary_unary",
            method.path,
            method.request_type.SerializeToString,
            method.reply_type.FromString,
        )
        with outgoing_call(method.path) as out:
            sent = out.metadata(self._metadata(metadata))
            seconds = self._unary_seconds
            call = stub(request, timeout=seconds, metadata=sent)
            reply: ReplyT = await self._told(deferred(call), seconds)
            return reply

    async def _send(self, call: Any, requests: AsyncIterator[bs.WriteRequest]) -> None:
        # A call that was answered meanwhile takes no more, and the answer says what became of it.
        with suppress(asyncio.InvalidStateError, AioRpcError):
            async for request in requests:
                if call.done():
                    return
                await self._taken(call.write(request))
            await self._taken(call.done_writing())

    async def _written(self, call: Any) -> bs.WriteResponse:
        try:
            reply: bs.WriteResponse = await self._next(call)
        except NotFound as error:
            raise not_reached(error) from error
        return reply

    async def _taken(self, awaitable: Awaitable[object]) -> None:
        """One step of sending. That gRPC took it says nothing of the peer; that it takes no more does."""
        try:
            await self._in_time(awaitable)
        except NoAnswer as error:
            self.breaker.failed(error)
            raise

    async def _next(self, awaitable: Awaitable[T]) -> T:
        """One step of a stream, counted by the breaker."""
        return await self.breaker.watch(lambda: self._told(self._in_time(awaitable), self._seconds))

    def _in_time(self, awaitable: Awaitable[T]) -> Deferred[T]:
        return deferred(awaitable).addTimeout(self._seconds, self._clock, self._too_late)

    async def _told(self, step: Deferred[T], seconds: float) -> T:
        try:
            return await step
        except AioRpcError as error:
            raise status_of(error, seconds) from None

    def _too_late(self, _: object, seconds: float) -> Failure:
        return Failure(no_answer(seconds))

    def _metadata(self, metadata: Metadata) -> Metadata:
        if not metadata:
            return self._alone
        own = {name for name, _ in metadata}
        given = (*metadata, *(pair for pair in self._headers if pair[0] not in own))
        return self._station.left(given)
