"""``gorego.control.v1.Control``: the folder, as its owner sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from random import Random

from zope.interface import implementer

from gorego_tw.concurrency import closing
from gorego_tw.control.arrivals import Brought
from gorego_tw.control.names import found, message_of, shown
from gorego_tw.control.reading import Reading
from gorego_tw.control.statistics import statistics
from gorego_tw.control.verification import Verification
from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition
from gorego_tw.grpc.router import IRPCService, Method, client_streaming, server_streaming, unary
from gorego_tw.pb.gorego.control.v1 import control_pb2 as pb
from gorego_tw.storage.entries import Entries
from gorego_tw.storage.records import INLINE, DamagedRecord, unpack_blob
from gorego_tw.storage.tier import LocalTier

SERVICE = "/gorego.control.v1.Control/"

#: How many blobs are in one message: they take a millisecond.
_BLOBS = 100

#: How many action results are in one message: each may be large.
_RESULTS = 20


#: How many small blobs are written before others have their turn: they take a millisecond.
_TURN_WRITES = 16


@implementer(IRPCService)
class Control:
    """Answers what the command asks.

    :param tier: the folder.
    :param pause: waits for so many seconds, in which others have their turn.
    :param daemon_pid: the process that is asked, if it is a daemon.
    """

    def __init__(
        self,
        tier: LocalTier,
        random: Random,
        pause: Callable[[float], Awaitable[object]],
        daemon_pid: int = 0,
    ) -> None:
        self._tier = tier
        self._random = random
        self._pause = pause
        self._daemon_pid = daemon_pid
        self._entries = Entries(tier.environment)
        self._brought = Brought(tier)

    def methods(self) -> Mapping[str, Method]:
        """All of the service."""
        return {
            f"{SERVICE}Stat": unary(pb.StatRequest, self.stat),
            f"{SERVICE}List": server_streaming(pb.ListRequest, self.list),
            f"{SERVICE}Verify": server_streaming(pb.VerifyRequest, self.verify),
            f"{SERVICE}Read": server_streaming(pb.ReadRequest, self.read),
            f"{SERVICE}ReadAll": server_streaming(pb.ReadAllRequest, self.read_all),
            f"{SERVICE}Write": client_streaming(pb.WriteRequest, self.write),
            f"{SERVICE}Remove": unary(pb.RemoveRequest, self.remove),
            f"{SERVICE}ListActionResults": server_streaming(
                pb.ListActionResultsRequest, self.list_action_results
            ),
            f"{SERVICE}WriteSeveral": unary(pb.WriteSeveralRequest, self.write_several),
        }

    async def stat(self, request: pb.StatRequest, call: object) -> pb.StatResponse:
        """What is stored, in figures."""
        return await statistics(self._tier, self._random, self._daemon_pid, self._pause)

    async def list(self, request: pb.ListRequest, call: object) -> AsyncIterator[pb.ListResponse]:
        """Every blob, some at a time. Records that are damaged are for ``verify``."""
        key = b""
        while page := self._entries.blobs(key):
            key = page[-1][0]
            for at in range(0, len(page), _BLOBS):
                yield self._listed(page[at : at + _BLOBS])
                await self._pause(0)

    async def verify(
        self, request: pb.VerifyRequest, call: object
    ) -> AsyncIterator[pb.VerifyResponse]:
        """Every entry compared with its hash."""
        verification = Verification(
            self._tier,
            repair=request.repair,
            bytes_per_second=request.bytes_per_second,
            pause=self._pause,
        )
        async with closing(verification.run()) as responses:
            async for response in responses:
                yield response

    async def read(self, request: pb.ReadRequest, call: object) -> AsyncIterator[pb.ReadResponse]:
        """A blob, in pieces.

        :raises NotFound: it is absent.
        :raises DataLoss: it is damaged.
        """
        async with closing(Reading(self._tier, self._pause).one(request.name)) as responses:
            async for response in responses:
                yield response

    async def read_all(
        self, request: pb.ReadAllRequest, call: object
    ) -> AsyncIterator[pb.ReadAllResponse]:
        """Every blob, in pieces.

        :raises DataLoss: one cannot be read to its end.
        """
        async with closing(Reading(self._tier, self._pause).all()) as responses:
            async for response in responses:
                yield response

    async def write(
        self, requests: AsyncIterator[pb.WriteRequest], call: object
    ) -> pb.WriteResponse:
        """A blob to be kept."""
        return pb.WriteResponse(existed=await self._brought.blob(requests))

    async def remove(self, request: pb.RemoveRequest, call: object) -> pb.RemoveResponse:
        """A blob to be dropped; what is in the trash is deleted by who keeps the folder tidy.

        :raises NotFound: it is absent.
        :raises FailedPrecondition: it has still to be uploaded.
        """
        digest = found(request.name, self._entries)
        if self._entries.is_pending(digest.key):
            raise FailedPrecondition(
                f"blob {shown(digest)} has still to be uploaded to the backing cache; "
                "it can be removed after that"
            )
        return pb.RemoveResponse(freed_bytes=self._tier.inventory.evict([digest.key]))

    async def list_action_results(
        self, request: pb.ListActionResultsRequest, call: object
    ) -> AsyncIterator[pb.ListActionResultsResponse]:
        """Every action result, some at a time."""
        key = b""
        while page := self._entries.action_results(key):
            key = page[-1][0]
            for at in range(0, len(page), _RESULTS):
                results = (
                    pb.StoredResult(key=key, value=value) for key, value in page[at : at + _RESULTS]
                )
                yield pb.ListActionResultsResponse(results=results)
            await self._pause(0)

    async def write_several(
        self, request: pb.WriteSeveralRequest, call: object
    ) -> pb.WriteSeveralResponse:
        """Blobs and action results to be kept; each is, or is not, for itself."""
        response = pb.WriteSeveralResponse()
        async with closing(self._brought.several(request)) as outcomes:
            async for outcome in outcomes:
                response.outcomes.append(outcome)
                if not len(response.outcomes) % _TURN_WRITES:
                    await self._pause(0)
        return response

    def _listed(self, page: Sequence[tuple[bytes, bytes]]) -> pb.ListResponse:
        latest = self._tier.last_use.latest
        response = pb.ListResponse()
        for key, value in page:
            try:
                record = unpack_blob(key, value)
            except DamagedRecord:
                continue
            response.blobs.add(
                name=message_of(Digest(key, record.size_bytes)),
                last_used=latest(key, record.last_used),
                is_file=record.location != INLINE,
            )
        return response
