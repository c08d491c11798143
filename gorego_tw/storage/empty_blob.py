"""The empty blob exists, in every digest function, whatever the store says (bazel#11063)."""

from __future__ import annotations

from collections.abc import Collection

from gorego_tw.body import BytesBody
from gorego_tw.digest import Digest, empty_digest
from gorego_tw.errors import DigestMismatch, NotFound
from gorego_tw.interfaces import IBlobBody
from gorego_tw.storage.decorator import BlobAccessDecorator


class EmptyBlob(BlobAccessDecorator):
    """A store that is never asked for a blob of no bytes."""

    async def get(self, digest: Digest) -> IBlobBody:
        """No bytes, if that is what is asked for.

        :raises NotFound: it is of size 0 and has another hash, so that it cannot exist.
        """
        if digest.size_bytes:
            return await self._base.get(digest)
        if digest != empty_digest(digest.function):
            raise NotFound(f"no blob {digest}: its hash is not that of no bytes")
        return BytesBody(b"")

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Nothing to be kept."""
        if digest.size_bytes:
            await self._base.put(digest, body)
            return
        body.discard()
        if body.size_bytes or digest != empty_digest(digest.function):
            raise DigestMismatch(f"blob {digest}: a size of 0 and not the empty blob")

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent; the empty blob never is."""
        asked = [d for d in digests if d.size_bytes or d != empty_digest(d.function)]
        return await self._base.find_missing(asked) if asked else []
