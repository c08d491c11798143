"""build.bazel.remote.execution.v2.ActionCache: what actions resulted in."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from gorego_tw.errors import InvalidArgument
from gorego_tw.grpc.router import Call, IRPCService, Method, unary
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    StoredActionResult,
)
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_function, parse_message
from gorego_tw.reapi.inlining import Inlining, wants_inlining
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.outlining import Outlining
from gorego_tw.reapi.references import References
from gorego_tw.resource_name import check_instance_name
from gorego_tw.turns import ONE_TURN, Turns

_SERVICE = "/build.bazel.remote.execution.v2.ActionCache/"


@implementer(IRPCService)
class ActionCache:
    """Gives and takes action results.

    :param results: where they are; gives only those whose blobs exist.
    :param blobs: where the Trees are that they refer to, and what is inlined.
    :param limits: how large they may be.
    :param turns: in which large ones are looked at.
    """

    def __init__(
        self,
        results: IActionResults,
        blobs: IBlobAccess,
        limits: Limits,
        turns: Turns = ONE_TURN,
    ) -> None:
        self._results = results
        self._blobs = blobs
        self._limits = limits
        self._turns = turns

    def methods(self) -> Mapping[str, Method]:
        """GetActionResult and UpdateActionResult."""
        return {
            f"{_SERVICE}GetActionResult": unary(pb.GetActionResultRequest, self.get_action_result),
            f"{_SERVICE}UpdateActionResult": unary(
                pb.UpdateActionResultRequest, self.update_action_result
            ),
        }

    async def get_action_result(self, request: pb.GetActionResultRequest, call: Call) -> bytes:
        """The action result, as it was stored unless blobs are to be inlined.

        The blob with the action's digest is never read: clients name results
        by digests of what is not an Action.

        :raises NotFound: there is none.
        :raises InvalidArgument: a malformed digest or instance name.
        """
        key = _key(request)
        stored = await self._results.get(key)
        if not wants_inlining(request):
            return stored.data
        inlining = Inlining(key.action.function, self._blobs, self._limits)
        return await inlining.inline(request, stored.data)

    async def update_action_result(
        self, request: pb.UpdateActionResultRequest, call: Call
    ) -> bytes:
        """Keep the action result, and answer it as it is kept: blobs in it become blobs.

        :raises InvalidArgument: it is absent or too large, or has a malformed digest in it.
        :raises DigestMismatch: a blob in it is not what the digest beside it announces.
        :raises FailedPrecondition: a Tree it refers to has not been uploaded. It would else be
            answered later without a look at the files of that Tree.
        :raises ResourceExhausted: no room.
        """
        key = _key(request)
        if not request.HasField("action_result"):
            raise InvalidArgument(f"action {key.action}: action_result is not set")
        await Outlining(key.action.function, self._blobs).outline(request.action_result)
        data = request.action_result.SerializeToString()
        if len(data) > self._limits.max_action_result_bytes:
            raise InvalidArgument(
                f"action {key.action}: an action result of {len(data)} bytes; one has "
                f"{self._limits.max_action_result_bytes} at most"
            )
        references = References(key.action.function, self._blobs, self._limits, self._turns)
        stored = StoredActionResult(data, await references.of(request.action_result))
        await self._results.put(key, stored)
        return data


def _key(request: pb.GetActionResultRequest | pb.UpdateActionResultRequest) -> ActionKey:
    """The name of the action result.

    :raises InvalidArgument: a malformed digest or instance name.
    """
    instance_name = check_instance_name(request.instance_name)
    function = parse_function(request.digest_function)
    return ActionKey(instance_name, parse_message("action_digest", request.action_digest, function))
