"""Serialized action results that somebody else has written."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from gorego_tw.errors import InvalidArgument
from gorego_tw.interfaces import ActionKey, IBlobAccess, StoredActionResult
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.outlining import Outlining
from gorego_tw.reapi.references import References
from gorego_tw.turns import ONE_TURN, Turns


class Normalising:
    """Makes of them what would be kept if a client had written them here.

    :param kept: where what is inlined is kept as a blob.
    :param blobs: where the Trees are that they name.
    :param turns: in which large ones are looked at.
    """

    def __init__(
        self, kept: IBlobAccess, blobs: IBlobAccess, limits: Limits, turns: Turns = ONE_TURN
    ) -> None:
        self._kept = kept
        self._blobs = blobs
        self._limits = limits
        self._turns = turns

    async def normalised(self, key: ActionKey, data: bytes) -> StoredActionResult:
        """The action result with what it refers to.

        :raises InvalidArgument: it makes no sense, or is too large to be told to clients.
        :raises FailedPrecondition: a Tree that it names is gone.
        :raises ResourceExhausted: no room for what is inlined.
        """
        try:
            result = pb.ActionResult.FromString(data)
        except DecodeError:
            raise InvalidArgument("it is no ActionResult") from None
        function, most = key.action.function, self._limits.max_action_result_bytes
        if await Outlining(function, self._kept).outline(result):
            data = result.SerializeToString()
        if len(data) > most:
            raise InvalidArgument(f"it has {len(data)} bytes; at most {most} are taken")
        references = References(function, self._blobs, self._limits, self._turns)
        return StoredActionResult(data, await references.of(result))
