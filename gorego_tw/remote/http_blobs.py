"""The blobs of a plain HTTP backing cache: PREFIX/cas/HASH, as Bazel has them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection

from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from gorego_tw.body import HandedOver
from gorego_tw.concurrency import closing, gather
from gorego_tw.digest import Digest
from gorego_tw.errors import DataLoss, FailedPrecondition, NotFound, Unavailable
from gorego_tw.forwarding import Metadata, forwarded
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.remote.http_body import BlobProducer
from gorego_tw.remote.http_peer import HTTPPeer
from gorego_tw.remote.resuming import RemoteBody, Resuming


@implementer(IBlobAccess)
class HTTPBlobs:
    """Reads and writes blobs there. The empty blob is somebody else's affair.

    :param max_blob_size_bytes: larger blobs are not there, and do not go there; 0 for no limit.
    """

    def __init__(self, peer: HTTPPeer, *, max_blob_size_bytes: int = 0) -> None:
        self._resuming = Resuming(peer.retrying)
        self._peer = peer
        self._max_blob_size_bytes = max_blob_size_bytes

    @property
    def resumed(self) -> int:
        """How often a stream that broke off was gone on with."""
        return self._resuming.resumed

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob; its first bytes have arrived."""
        if self._is_too_large(digest):
            raise NotFound(
                f"backing cache: blob {digest}: not one that it is asked for", reason="denied"
            )
        metadata = forwarded()

        def attempt(offset: int) -> AsyncGenerator[bytes, None]:
            return self._attempt(digest, offset, metadata)

        return await RemoteBody(digest, attempt, self._resuming).begin()

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob there, at the first try."""
        with HandedOver(body) as given:
            await self._put(digest, given.open)

    async def put_from(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        """Keep the blob there, if need be after several tries; ``open_body`` gives its bytes for each."""
        await self._peer.retrying.run(lambda: self._put(digest, open_body))

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent. A server that knows no HEAD cannot say, which is trouble."""
        unique = list(dict.fromkeys(digests))
        missing = await gather(map(self._is_missing, unique))
        return [digest for digest, is_missing in zip(unique, missing, strict=True) if is_missing]

    async def _is_missing(self, digest: Digest) -> bool:
        if self._is_too_large(digest):
            return True
        try:
            response = await self._peer.retrying.run(
                lambda: self._peer.request("HEAD", _path(digest))
            )
        except NotFound:
            return True
        except FailedPrecondition as error:
            raise Unavailable(
                f"{error.message}: whether blobs are there cannot be asked"
            ) from error
        await response.finish()
        (length,) = response.head.headers.getRawHeaders("content-length", [""])[:1]
        return length.isdigit() and int(length) != digest.size_bytes

    async def _put(self, digest: Digest, open_body: Callable[[], Awaitable[IBlobBody]]) -> None:
        self._check(digest)
        producer = BlobProducer(digest.size_bytes, open_body)
        response = await self._peer.request("PUT", _path(digest), producer)
        await response.finish()

    async def _attempt(
        self, digest: Digest, offset: int, metadata: Metadata
    ) -> AsyncGenerator[bytes, None]:
        headers = {"range": f"bytes={offset}-"} if offset else {}
        response = await self._peer.request(
            "GET", _path(digest), metadata=metadata, headers=headers
        )
        async with closing(response) as pieces:
            skip = self._skipped(digest, response.head, offset)
            async for piece in pieces:
                if skip < len(piece):
                    yield piece[skip:] if skip else piece
                skip = max(0, skip - len(piece))

    def _skipped(self, digest: Digest, response: IResponse, offset: int) -> int:
        """How many bytes of the response come before those asked for: a server may know no ranges.

        :raises DataLoss: it is the beginning of something else.
        """
        whole = response.code == 200
        if not whole:
            (found,) = response.headers.getRawHeaders("content-range", [""])[:1]
            if not found.startswith(f"bytes {offset}-"):
                raise Unavailable(f"backing cache: blob {digest}: the range {found[:80]!r}")
        length = _length(response)
        expected = digest.size_bytes - (0 if whole else offset)
        # A part may be shorter than what was asked for (RFC 9110 section 15.3.7); the rest is asked for then.
        wrong = length is not None and (length != expected if whole else length > expected)
        if wrong:
            raise DataLoss(f"backing cache: blob {digest}: the data has {length} bytes")
        return offset if whole else 0

    def _is_too_large(self, digest: Digest) -> bool:
        return 0 < self._max_blob_size_bytes < digest.size_bytes

    def _check(self, digest: Digest) -> None:
        if self._is_too_large(digest):
            raise FailedPrecondition(
                f"backing cache: blob {digest}: larger than the "
                f"{self._max_blob_size_bytes} bytes of max_backing_blob_size_bytes"
            )


def _path(digest: Digest) -> str:
    return f"cas/{digest.hash}"


def _length(response: IResponse) -> int | None:
    return None if response.length is UNKNOWN_LENGTH else int(response.length)
