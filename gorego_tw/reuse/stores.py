"""Stores whose uses are told to the sketch."""

from __future__ import annotations

from collections.abc import Callable, Collection

from gorego_tw.digest import Digest
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    IUpload,
    IUploads,
    StoredActionResult,
)
from gorego_tw.reuse.sketch import Sketch
from gorego_tw.storage.decorator import (
    ActionResultsDecorator,
    BlobAccessDecorator,
    UploadDecorator,
    UploadsDecorator,
)


class ReusedBlobs(BlobAccessDecorator):
    """A store of blobs.

    :param sketch: told of lookups before they are answered, and of what is stored.
    """

    def __init__(self, base: IBlobAccess, sketch: Sketch) -> None:
        super().__init__(base)
        self._sketch = sketch

    async def get(self, digest: Digest) -> IBlobBody:
        """As the store."""
        is_news = self._sketch.look_up(digest)
        body = await self._base.get(digest)
        if is_news:
            self._sketch.use((digest,))
        return body

    async def put(self, digest: Digest, body: IBlobBody) -> None:
        """As the store."""
        await self._base.put(digest, body)
        self._sketch.use((digest,))

    async def find_missing(self, digests: Collection[Digest]) -> list[Digest]:
        """As the store."""
        self._sketch.look_up_all(digests)
        return await self._base.find_missing(digests)


class ReusedActionResults(ActionResultsDecorator):
    """A store of action results.

    :param sketch: as above. That what they refer to is used with them it learns from who notes it.
    """

    def __init__(self, base: IActionResults, sketch: Sketch) -> None:
        super().__init__(base)
        self._sketch = sketch

    async def get(self, key: ActionKey) -> StoredActionResult:
        """As the store."""
        is_news = self._sketch.look_up_action(key)
        result = await self._base.get(key)
        if is_news:
            self._sketch.use_action(key)
        return result

    async def put(self, key: ActionKey, result: StoredActionResult) -> None:
        """As the store."""
        await self._base.put(key, result)
        self._sketch.use_action(key)


def told(
    recall: Callable[[ActionKey], StoredActionResult | None], sketch: Sketch
) -> Callable[[ActionKey], StoredActionResult | None]:
    """``recall``, which finds an action result without the store, or does not: what it finds was used."""

    def recalled(key: ActionKey) -> StoredActionResult | None:
        result = recall(key)
        if result is not None and sketch.look_up_action(key):
            sketch.use_action(key)
        return result

    return recalled


class ReusedUpload(UploadDecorator):
    """An upload that is told of when it is whole."""

    def __init__(self, base: IUpload, digest: Digest, sketch: Sketch) -> None:
        super().__init__(base)
        self._digest = digest
        self._sketch = sketch

    async def commit(self) -> None:
        """As the upload."""
        await self._base.commit()
        self._sketch.use((self._digest,))


class ReusedUploads(UploadsDecorator):
    """Uploads.

    :param sketch: as above.
    """

    def __init__(self, base: IUploads, sketch: Sketch) -> None:
        super().__init__(base)
        self._sketch = sketch

    async def open(self, name: str, digest: Digest) -> IUpload:
        """As the uploads."""
        return ReusedUpload(await self._base.open(name, digest), digest, self._sketch)
