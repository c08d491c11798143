"""What becomes of what clients write: whether, and when, it goes to the backing cache.

A policy is told of a blob after the local tier has it, and keeps action results in the
local tier itself, for the order matters: an action result is nowhere before its blobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from gorego_tw.digest import Digest
from gorego_tw.errors import FailedPrecondition, NotFound, StatusError, Unavailable
from gorego_tw.interfaces import ActionKey, IActionResults, StoredActionResult
from gorego_tw.proxy.here_alone import HereAlone
from gorego_tw.proxy.trouble import is_trouble
from gorego_tw.replication.copying import Copying


class UpstreamResults(Protocol):
    """The action results of the backing cache, as they are."""

    async def get(self, key: ActionKey) -> bytes:
        """The serialized ``ActionResult``.

        :raises NotFound: there is none.
        """

    async def put(self, key: ActionKey, data: bytes) -> None:
        """Keep it there."""


class Queue(Protocol):
    """What will be uploaded later. What was added survives the process."""

    async def add_blob(self, digest: Digest) -> None:
        """Upload that blob of the local tier.

        :raises ResourceExhausted: too much is waiting already.
        """

    async def add_action(self, key: ActionKey) -> None:
        """Upload that action result of the local tier, after the blobs it refers to.

        :raises ResourceExhausted: too much is waiting already.
        """

    def has_action(self, key: ActionKey) -> bool:
        """Whether that action result waits, or is on its way."""


class WritePolicy(Protocol):
    """When a write is done.

    :ivar writes_without_backing: whether writes succeed while the backing cache is in trouble.
    """

    writes_without_backing: bool

    async def blob_arrived(self, digest: Digest) -> None:
        """A client has sent the blob, and the local tier has it.

        :raises Unavailable: the backing cache has to have it, and is in trouble.
        """

    async def blob_present(self, digest: Digest) -> None:
        """A client wants to send a blob that the local tier has already.

        :raises Unavailable: the backing cache has to have it, and is in trouble.
        """

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep an action result.

        :raises Unavailable: the backing cache has to have it, and is in trouble.
        """


class Around:
    """Writes stay here: the backing cache is read, never written."""

    writes_without_backing = True

    def __init__(self, local: IActionResults) -> None:
        self._local = local

    async def blob_arrived(self, digest: Digest) -> None:
        """Nothing."""

    async def blob_present(self, digest: Digest) -> None:
        """Nothing."""

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Keep it here."""
        await self._local.put(key, result)


class Through:
    """A write is done when the backing cache has it.

    :param alone: told of blobs that did not get there.
    :param has_older: whether an older action result, acknowledged under another policy, waits to be uploaded.
    """

    writes_without_backing = False

    def __init__(
        self,
        local: IActionResults,
        copying: Copying,
        upstream: UpstreamResults,
        *,
        alone: HereAlone,
        has_older: Callable[[ActionKey], bool],
    ) -> None:
        self._local = local
        self._copying = copying
        self._upstream = upstream
        self._alone = alone
        self._has_older = has_older

    async def blob_arrived(self, digest: Digest) -> None:
        """Copy it without asking: the client would not have sent what is there."""
        if self._copying.is_needed(digest):
            with self._known(digest), _evicted_at_once():
                await self._copying.copy(digest)

    async def blob_present(self, digest: Digest) -> None:
        """Ask whether it is there, and copy it if not."""
        if self._copying.fits(digest):
            with self._known(digest), _evicted_at_once():
                await self._copying.ensure((digest,))

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Upstream, after every blob it refers to, then here.

        One that refers to a blob too large for the backing cache stays here alone.

        :raises Unavailable: among other trouble, an older one is on its way there, and could arrive later.
        """
        if self._has_older(key):
            raise Unavailable(
                f"action {key.action}: an older result waits to be uploaded; try again"
            )
        if all(map(self._copying.fits, result.references)):
            await self._ensure(key, result)
            try:
                await self._upstream.put(key, result.data)
            except FailedPrecondition:
                # A blob may have been evicted there since it was seen there.
                self._copying.forget(result.references)
                await self._ensure(key, result)
                await self._upstream.put(key, result.data)
        await self._local.put(key, result)

    @contextmanager
    def _known(self, digest: Digest) -> Iterator[None]:
        """Let it be known whether the blob got there."""
        try:
            yield
        except BaseException:
            self._alone.add(digest)
            raise
        self._alone.discard((digest,))

    async def _ensure(self, key: ActionKey, result: StoredActionResult) -> None:
        try:
            await self._copying.ensure(result.references)
        except NotFound as error:
            raise FailedPrecondition(
                f"action {key.action}: {error.message}; upload the outputs before the action result"
            ) from error


class Back:
    """A write is done when it is here and will reach the backing cache whatever happens."""

    writes_without_backing = True

    def __init__(self, local: IActionResults, copying: Copying, queue: Queue) -> None:
        self._local = local
        self._copying = copying
        self._queue = queue

    async def blob_arrived(self, digest: Digest) -> None:
        """Upload it later."""
        if self._copying.is_needed(digest):
            await self._queue.add_blob(digest)

    async def blob_present(self, digest: Digest) -> None:
        """Upload it later, unless it is known to be there."""
        await self.blob_arrived(digest)

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Here, then later upstream."""
        await self._local.put(key, result)
        if all(map(self._copying.fits, result.references)):
            await self._queue.add_action(key)

    def has_older(self, key: ActionKey) -> bool:
        """Whether an older one waits to be uploaded, or is on its way."""
        return self._queue.has_action(key)


class ThroughOrBack:
    """Through while the backing cache answers, back while it does not."""

    writes_without_backing = True

    def __init__(self, through: Through, back: Back, alone: HereAlone) -> None:
        self._through = through
        self._back = back
        self._alone = alone

    async def blob_arrived(self, digest: Digest) -> None:
        """Copy it, or upload it later."""
        try:
            await self._through.blob_arrived(digest)
        except StatusError as error:
            _check_trouble(error)
            await self._back.blob_arrived(digest)
            self._alone.discard((digest,))

    async def blob_present(self, digest: Digest) -> None:
        """Make sure that it is there, or upload it later."""
        try:
            await self._through.blob_present(digest)
        except StatusError as error:
            _check_trouble(error)
            await self._back.blob_present(digest)
            self._alone.discard((digest,))

    async def store(self, key: ActionKey, result: StoredActionResult) -> None:
        """Upstream and here, or here and later upstream: behind an older one, if there is one there. Beside
        it, over another connection, it could arrive first, and be replaced.
        """
        if self._back.has_older(key):
            await self._back.store(key, result)
            return
        try:
            await self._through.store(key, result)
        except StatusError as error:
            _check_trouble(error)
            await self._back.store(key, result)


@contextmanager
def _evicted_at_once() -> Iterator[None]:
    """A blob that is gone before it could be copied has to be sent once more."""
    try:
        yield
    except NotFound as error:
        raise Unavailable(f"{error.message}, which was evicted before it was copied") from error


def _check_trouble(error: StatusError) -> None:
    """Go on only if the backing cache is in trouble: what it refuses now it will refuse later."""
    if not is_trouble(error):
        raise error
