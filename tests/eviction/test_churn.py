"""What is on the disk when many times the limit has come and gone."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.eviction.janitor import REST_SECONDS, Janitor
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.environment import growth_bytes
from tests.storage.tiers import TierTestCase, put

LIMIT_BYTES = 8 << 20

#: What the index may grow by between two checkpoints, whatever the limit.
GROWTH_BYTES = 2 * growth_bytes(LIMIT_BYTES)

#: How many times the limit is written.
TIMES = 6

#: Sizes of blobs by turns: most are small, as those of builds are. The last two are files.
SIZES = (100, 1_500, 4_000, 900, 20_000, 100_000)


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take of the disk, as ``du`` counts."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


class ChurnTest(TierTestCase):
    """Blobs and action results come, and others go."""

    def setUp(self) -> None:
        super().setUp()
        self.reopen(LIMIT_BYTES)
        self.random = Random(1)
        self.janitor = Janitor(self.tier, self.random)
        self.janitor.running = 1

    def make_room(self) -> None:
        """Let the janitor do its work, turn by turn."""
        work = Deferred.fromCoroutine(self.janitor.make_room())
        while not work.called:
            self.clock.advance(REST_SECONDS)
        self.successResultOf(work)

    def turn(self, number: int) -> int:
        """Keep a blob of each size and an action result; how many bytes that were."""
        contents = [self.random.randbytes(size) for size in SIZES]
        digests = [digest_of(data, DigestFunction.SHA256) for data in contents]
        for digest, data in zip(digests, contents, strict=True):
            self.successResultOf(Deferred.fromCoroutine(put(self.tier.blobs, digest, data)))
        key = ActionKey("", digest_of(b"%d" % number, DigestFunction.SHA256))
        result = StoredActionResult(self.random.randbytes(300), tuple(digests))
        self.successResultOf(Deferred.fromCoroutine(self.tier.action_results.put(key, result)))
        self.clock.advance(1)
        self.tier.last_use.tick()
        self.make_room()
        if self.tier.checkpoints.due:  # else pages that were freed wait for it
            self.successResultOf(self.tier.checkpoint())
        return sum(SIZES)

    def churn(self, times: int) -> int:
        """Write so many times the limit; the most that was on the disk meanwhile, in bytes."""
        written = number = most = 0
        while written < times * LIMIT_BYTES:
            written += self.turn(number)
            number += 1
            if number % 16 == 0:
                most = max(most, disk_bytes(self.folder))
        return most

    def test_index_and_files_stay_within_the_limit(self) -> None:
        """The index's file and the blobs' files together never take more than the limit, and what comes
        between two checkpoints at most.
        """
        self.assertLessEqual(self.churn(TIMES), LIMIT_BYTES + GROWTH_BYTES)
        self.assertGreater(self.janitor.evicted_entries, 0)

    def test_free_space_of_the_index_is_used_again(self) -> None:
        """The index's file does not grow once the limit has come and gone."""
        self.churn(2)
        index = disk_bytes(self.folder / "index")
        self.churn(TIMES)
        self.assertLess(disk_bytes(self.folder / "index"), index * 1.25)
