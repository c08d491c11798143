"""A local tier that compresses, and blobs that can be."""

from __future__ import annotations

from random import Random

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.storage.compressing import Compressing
from gorego_tw.storage.disk_threads import DiskThreads, NoDiskThreads
from gorego_tw.storage.records import BlobRecord
from gorego_tw.storage.tier import LocalTier
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, put


def text(
    size_bytes: int, seed: int = 0, function: DigestFunction = DigestFunction.SHA256
) -> tuple[Digest, bytes]:
    """A blob that compresses to some 0.57 of itself and is the same every time."""
    data = Random(f"{size_bytes} {seed}").randbytes(size_bytes // 2 + 1).hex()[:size_bytes].encode()
    return digest_of(data, function), data


class CompressingTestCase(TierTestCase):
    """Opens tiers that compress.

    :ivar enabled: whether the next one does.
    :ivar background: where that happens: at once, unless a test says otherwise.
    :ivar compressing: what does it.
    """

    enabled = True
    background: DiskThreads = NoDiskThreads()
    compressing: Compressing

    def open_tier(
        self, limit_bytes: int = LIMIT_BYTES, threads: DiskThreads | None = None
    ) -> LocalTier:
        """As of any such test, with compression."""
        tier = super().open_tier(limit_bytes, threads)
        if self.enabled:
            self.compressing = Compressing(tier, self.background)
            self.compressing.startService()
        return tier

    def close_tier(self, tier: LocalTier) -> None:
        """As of any such test, after compression has ended."""
        if self.enabled and self.compressing.running:
            self.successResultOf(self.compressing.stopService())
        super().close_tier(tier)

    def put_text(self, size_bytes: int, seed: int = 0) -> tuple[Digest, bytes]:
        """Keep such a text."""
        digest, data = text(size_bytes, seed)
        self.successResultOf(put(self.tier.blobs, digest, data))
        return digest, data

    def record(self, digest: Digest) -> BlobRecord:
        """What the index knows of a blob."""
        found = self.tier.inventory.find(digest)
        assert found is not None
        return found[0]
