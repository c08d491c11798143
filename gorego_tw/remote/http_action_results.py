"""The action results of a plain HTTP backing cache: PREFIX/ac/HASH, as Bazel has them."""

from __future__ import annotations

from urllib.parse import quote

from gorego_tw.body import BytesBody, HandedOver
from gorego_tw.concurrency import closing
from gorego_tw.errors import DataLoss, InvalidArgument, NotFound, Unavailable
from gorego_tw.interfaces import ActionKey
from gorego_tw.remote.http_body import BlobProducer
from gorego_tw.remote.http_peer import HTTPPeer
from gorego_tw.remote.instance_name import joined

#: The largest action result that is read, in bytes: what is larger is something else.
MOST_BYTES = 16 * 1024 * 1024


class HTTPActionResults:
    """Asks for them and sends them.

    :param instance_name: with the client's it comes before ``ac`` in the path.
    """

    def __init__(self, peer: HTTPPeer, instance_name: str) -> None:
        self._peer = peer
        self._instance_name = instance_name

    async def get(self, key: ActionKey) -> bytes:
        """The serialized ``ActionResult``.

        :raises NotFound: there is none.
        :raises DataLoss: what is there is too large for one.
        :raises Unavailable: beside other trouble, nobody knows whether it is all of it.
        """
        return await self._peer.retrying.run(lambda: self._get(key))

    async def put(self, key: ActionKey, data: bytes) -> None:
        """Keep it there."""
        await self._peer.retrying.run(lambda: self._put(key, data))

    async def _get(self, key: ActionKey) -> bytes:
        response = await self._peer.request("GET", self._path(key))
        data = bytearray()
        async with closing(response):
            async for piece in response:
                data += piece
                if len(data) > MOST_BYTES:
                    raise DataLoss(
                        f"backing cache: the result of action {key.action} has more than "
                        f"{MOST_BYTES} bytes"
                    )
        if response.may_be_cut:
            raise Unavailable(
                f"backing cache: the result of action {key.action} came without Content-Length, so that"
                " nobody knows whether it is whole"
            )
        if not data:
            raise NotFound(f"backing cache: the result of action {key.action} is empty")
        return bytes(data)

    async def _put(self, key: ActionKey, data: bytes) -> None:
        path = self._path(key)
        with HandedOver(BytesBody(data)) as given:
            response = await self._peer.request("PUT", path, BlobProducer(len(data), given.open))
        await response.finish()

    def _path(self, key: ActionKey) -> str:
        instance = joined(self._instance_name, key.instance_name)
        if not {".", ".."}.isdisjoint(key.instance_name.split("/")):
            # A server takes them for a way to what is elsewhere.
            raise InvalidArgument(
                f"backing cache: instance name {key.instance_name[:80]!r}: '.' and '..' are no names in a URL"
            )
        return "/".join(filter(None, (quote(instance), "ac", key.action.hash)))
