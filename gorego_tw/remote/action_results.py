"""The action results of a gRPC backing cache, serialized."""

from __future__ import annotations

from gorego_tw.errors import NotFound, PermissionDenied, Unimplemented
from gorego_tw.forwarding import forwarded
from gorego_tw.interfaces import ActionKey
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.capabilities import Capabilities
from gorego_tw.remote.digests import message_of
from gorego_tw.remote.instance_name import joined
from gorego_tw.remote.link import GET_ACTION_RESULT, UPDATE_ACTION_RESULT, Link


class RemoteActionResults:
    """Asks for them and sends them.

    :param instance_name: results of the client's own instance names are below this one.
    """

    def __init__(self, link: Link, capabilities: Capabilities, instance_name: str) -> None:
        self._link = link
        self._capabilities = capabilities
        self._instance_name = instance_name

    async def get(self, key: ActionKey) -> bytes:
        """The serialized ``ActionResult``.

        :raises NotFound: there is none, or none of such an action.
        """
        if not self._is_served(key):
            raise NotFound(
                f"backing cache: action {key.action}: not one that it is asked for", reason="denied"
            )
        request = pb.GetActionResultRequest(
            instance_name=joined(self._instance_name, key.instance_name),
            action_digest=message_of(key.action),
            digest_function=key.action.function.name,
        )
        reply = await self._link.unary(GET_ACTION_RESULT, request, metadata=forwarded())
        return reply.SerializeToString()

    async def put(self, key: ActionKey, data: bytes) -> None:
        """Keep it there.

        :raises PermissionDenied: it takes no action results.
        :raises Unimplemented: none of such an action.
        """
        if not self._is_served(key):
            raise Unimplemented(f"backing cache: it serves no {key.action.function.name}")
        if not self._capabilities.current.update_enabled:
            raise PermissionDenied(
                "backing cache: it takes no action results; write_policy around sends none"
            )
        request = pb.UpdateActionResultRequest(
            instance_name=joined(self._instance_name, key.instance_name),
            action_digest=message_of(key.action),
            action_result=pb.ActionResult.FromString(data),
            digest_function=key.action.function.name,
        )
        await self._link.unary(UPDATE_ACTION_RESULT, request, metadata=forwarded())

    def _is_served(self, key: ActionKey) -> bool:
        return key.action.function in self._capabilities.current.digest_functions
