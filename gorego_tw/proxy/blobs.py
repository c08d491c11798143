"""Blobs of both tiers: what is not here comes from there, and stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from zope.interface import implementer

from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, StatusError, Unavailable
from gorego_tw.interfaces import IBlobAccess, IBlobBody
from gorego_tw.proxy.here_alone import HereAlone
from gorego_tw.proxy.trouble import is_trouble
from gorego_tw.proxy.write_policy import WritePolicy
from gorego_tw.replication.presence import Presence


@implementer(IBlobAccess)
class ProxyBlobs:
    """The local tier, and behind it the backing cache.

    :param local: the local tier.
    :param remote: asked about what is missing here.
    :param fetch: reads a blob from the backing cache and keeps it here.
    :param presence: what is known to be in the backing cache.
    :param policy: what becomes of writes.
    :param alone: what is here and should be there, but did not get there.
    """

    def __init__(
        self,
        local: IBlobAccess,
        remote: IBlobAccess,
        *,
        fetch: Callable[[Digest], Awaitable[IBlobBody]],
        presence: Presence,
        policy: WritePolicy,
        alone: HereAlone,
    ) -> None:
        self._local = local
        self._remote = remote
        self._fetch = fetch
        self._presence = presence
        self._policy = policy
        self._alone = alone

    async def get(self, digest: Digest) -> IBlobBody:
        """The blob, from here or from there.

        :raises Unavailable: it is not here, and the backing cache is in trouble; or it cannot be read here, and
            not there either.
        """
        try:
            return await self._local.get(digest)
        except NotFound:
            return await self._fetch(digest)
        except Unavailable as error:  # the disk may be away for a moment
            try:
                return await self._fetch(digest)
            except StatusError:
                raise error from None

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """Keep the blob here, then do as the write policy says."""
        await self._local.put(digest, body)
        await self._policy.blob_arrived(digest)

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are in neither tier. The backing cache is asked only about what is missing here.

        :raises Unavailable: the backing cache is in trouble, and writes would have to reach it.
        """
        missing = self._alone.joined(await self._local.find_missing(digests), digests)
        unknown = self._presence.unknown(missing) if missing else missing
        if not unknown:
            return unknown
        try:
            absent = await self._remote.find_missing(unknown)
        except StatusError as error:
            # To name them missing makes clients upload them, which is right where we can take them.
            if is_trouble(error) and self._policy.writes_without_backing:
                return unknown
            raise
        present = set(unknown).difference(absent)
        self._presence.add(present)
        self._alone.discard(present)
        return absent
