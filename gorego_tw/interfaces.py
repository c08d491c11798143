"""The roles of the object graph. What is not here is a detail of one module.

All coroutine methods fail with the classes of :mod:`gorego_tw.errors`; what
each may fail with, beyond ``Unavailable`` for trouble that may pass, is said at
the method. A coroutine that can answer at once never suspends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import NamedTuple

from zope.interface import Attribute, Interface

from gorego_tw.digest import Digest


class ActionKey(NamedTuple):
    """The name of an action result: results of two instance names never meet."""

    instance_name: str
    action: Digest


class StoredActionResult(NamedTuple):
    """An action result as it is kept.

    ``data`` is the serialized ``ActionResult``. ``references`` are the digests
    of every blob without which it is worthless: outputs, stdout, stderr, the Trees and
    everything in them; each once, the empty blob never.
    """

    data: bytes
    references: tuple[Digest, ...]


class IBlobBody(Interface):
    """The bytes of one blob. Exactly one of the three methods is called, once."""

    size_bytes: int = Attribute("The length of the blob, in bytes, known beforehand.")

    def chunks(offset: int = 0, end: int | None = None) -> AsyncIterator[bytes | memoryview]:
        """The bytes from ``offset`` (bytes, 0 to size_bytes) to ``end`` (likewise; None is size_bytes), in
        pieces of at most 1 MiB. The last one is not given out before all of the blob is known to be
        right, though it may go on after ``end``.

        A piece is valid until the next one is asked for. Close the iterator
        (``contextlib.aclosing``) if it is not read to its end.

        :raises DataLoss: damage was found after pieces had been given out.
        """

    async def read_all() -> bytes:
        """The whole blob. For blobs known to be small.

        :raises DataLoss: it is damaged.
        """

    def discard() -> None:
        """Let go of the body unread."""


class ILandingBody(IBlobBody):
    """The bytes of one blob on their way, which may be put where whoever takes them wants them."""

    def land_in(give: Callable[[], memoryview]) -> None:
        """From the next piece on, ``give`` is called before each for memory of a byte or more. A piece may be
        a part of that memory, from its beginning, or have come in another way.
        """


class ICompressedBody(IBlobBody):
    """The bytes of one blob that is kept as zstd frames. One more method, called instead of the three."""

    is_one_frame: bool = Attribute("Whether it is a single frame.")

    def zstd_chunks(offset: int = 0) -> AsyncIterator[bytes | memoryview]:
        """Frames that expand to the bytes from ``offset`` on, as :meth:`IBlobBody.chunks` has those."""


class IBlobAccess(Interface):
    """A store of blobs by digest, each whole and verified."""

    async def get(digest: Digest) -> IBlobBody:
        """The blob; its last use is renewed.

        :raises NotFound: it is absent; no other failure means that.
        """

    async def put(digest: Digest, body: IBlobBody) -> None:
        """Keep the blob. It is visible when this returns, and only if it has the digest.

        :raises DigestMismatch: the body has another size or hash; nothing is kept.
        :raises ResourceExhausted: no room.
        """

    async def find_missing(digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent, in the order given, each once; the last use of the others is renewed."""


class IActionResults(Interface):
    """A store of action results."""

    async def get(key: ActionKey) -> StoredActionResult:
        """The action result; its last use is renewed.

        :raises NotFound: there is none.
        """

    async def put(key: ActionKey, result: StoredActionResult) -> None:
        """Keep the action result, in place of an earlier one.

        :raises ResourceExhausted: no room.
        """


class IUpload(Interface):
    """One blob arriving piece by piece, kept across connections and restarts until it is whole.

    A writer that stops half-way calls ``suspend``; one that is done calls
    ``commit`` or ``abandon``. After any of the three no other call is allowed.
    """

    committed_size: int = Attribute(
        "How many bytes are held, in bytes; the next write starts there."
    )

    async def write(data: bytes | memoryview) -> None:
        """Take the next bytes.

        :raises DigestMismatch: more bytes than the digest announces; what was held is dropped.
        :raises ResourceExhausted: no room; what was held stays.
        :raises Aborted: another call has taken this upload over.
        """

    async def commit() -> None:
        """Verify size and hash, then make the blob visible in the store.

        :raises DigestMismatch: not the blob announced; what was held is dropped.
        """

    async def suspend() -> None:
        """Keep what was written for a later call."""

    async def abandon() -> None:
        """Drop what was written."""


class IUploads(Interface):
    """Uploads by name. The name is the client's (instance name, uuid and digest)."""

    async def open(name: str, digest: Digest) -> IUpload:
        """The upload of that name, with what an earlier call left; from now on it is this caller's alone.

        :raises ResourceExhausted: no room for a blob of that size.
        """

    async def committed_size(name: str) -> int:
        """How many bytes an upload of that name holds, in bytes; 0 for one never heard of."""

    async def is_needless(digest: Digest) -> bool:
        """Whether the blob, which is not the empty one, is where an upload would bring it; its last use
        is renewed then.
        """
