"""Tests of gorego_tw.proxy.write_policy."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import Digest, DigestFunction, digest_of
from gorego_tw.errors import (
    FailedPrecondition,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.proxy.here_alone import HereAlone
from gorego_tw.proxy.write_policy import Around, Back, Through, ThroughOrBack
from gorego_tw.replication.copying import Copying
from gorego_tw.replication.presence import Presence
from gorego_tw.storage.memory import MemoryActionResults, MemoryBlobs
from tests.proxy.fakes import FakeQueue, FakeUpstreamResults
from tests.replication.fakes import FakeRemote

KEY = ActionKey("", digest_of(b"action", DigestFunction.SHA256))
DOWN = Unavailable("backing cache: down")


class PolicyTestCase(SynchronousTestCase):
    """Both tiers, in memory."""

    def setUp(self) -> None:
        self.local = MemoryBlobs()
        self.results = MemoryActionResults()
        self.remote = FakeRemote()
        self.upstream = FakeUpstreamResults()
        self.queue = FakeQueue()
        self.presence = Presence(clock=Clock(), seconds=60)
        copying = Copying(self.local, self.remote, self.presence, max_blob_size_bytes=1000)
        self.alone = HereAlone()
        self.through = Through(
            self.results,
            copying,
            self.upstream,
            alone=self.alone,
            has_older=self.queue.has_action,
        )
        self.back = Back(self.results, copying, self.queue)
        self.through_or_back = ThroughOrBack(self.through, self.back, self.alone)
        self.around = Around(self.results)

    def blob(self, data: bytes = b"output") -> Digest:
        """A blob that has arrived here."""
        digest = digest_of(data, DigestFunction.SHA256)
        self.local.blobs[digest] = data
        return digest

    def result(self, *references: Digest) -> StoredActionResult:
        """An action result that refers to those."""
        return StoredActionResult(b"result", references)

    def is_here(self) -> bool:
        """Whether the action result is in the local tier."""
        return KEY in self.results.results


class OlderTests(PolicyTestCase):
    def test_an_older_one_waits(self) -> None:
        """A result follows an older one that waits to be uploaded, or is on its way, through the queue: beside
        it, it could arrive first.
        """
        digest = self.blob()
        self.upstream.failure = DOWN
        self.successResultOf(self.through_or_back.store(KEY, self.result(digest)))
        self.assertEqual(self.queue.actions, [KEY])
        self.upstream.failure = None
        newer = StoredActionResult(b"newer", (digest,))
        self.successResultOf(self.through_or_back.store(KEY, newer))
        self.assertEqual((self.queue.actions, self.upstream.results), ([KEY, KEY], {}))
        self.assertEqual(self.results.results[KEY], newer)
        self.queue.actions.clear()
        self.successResultOf(self.through_or_back.store(KEY, newer))
        self.assertEqual((self.queue.actions, self.upstream.results), ([], {KEY: b"newer"}))

    def test_of_another_policy(self) -> None:
        """Where everything has to be there at once, a result waits until the older one has got there."""
        digest = self.blob()
        self.queue.actions = [KEY]
        self.failureResultOf(self.through.store(KEY, self.result(digest)), Unavailable)
        self.assertFalse(self.is_here())
        self.queue.actions.clear()
        self.successResultOf(self.through.store(KEY, self.result(digest)))
        self.assertEqual(set(self.upstream.results), {KEY})


class ThroughTests(PolicyTestCase):
    def test_blob(self) -> None:
        """A blob that arrived is there when the write is done, and nobody asked before."""
        digest = self.blob()
        self.successResultOf(self.through.blob_arrived(digest))
        self.assertEqual((set(self.remote.blobs), self.remote.asked), ({digest}, []))

    def test_known_blob(self) -> None:
        """What is known to be there is not sent again."""
        digest = self.blob()
        self.presence.add([digest])
        self.successResultOf(self.through.blob_arrived(digest))
        self.assertEqual(self.remote.blobs, {})

    def test_blob_is_gone_there(self) -> None:
        """If the backing cache has lost a blob that it had, it gets it again before the action result."""
        digest = self.blob()
        self.presence.add([digest])
        self.upstream.refusals = [FailedPrecondition("backing cache: no blob")]
        self.successResultOf(self.through.store(KEY, self.result(digest)))
        self.assertEqual((set(self.remote.blobs), set(self.upstream.results)), ({digest}, {KEY}))

    def test_present_blob(self) -> None:
        """A blob that is here already is sent only if it is missing there."""
        digest = self.blob()
        self.successResultOf(self.through.blob_present(digest))
        self.assertEqual((set(self.remote.blobs), self.remote.asked), ({digest}, [[digest]]))

    def test_here_alone(self) -> None:
        """A blob that did not get there is known to be here alone, until it has got there or will."""
        digest = self.blob()
        for write in (self.through.blob_arrived, self.through.blob_present):
            self.remote.failure = DOWN
            self.failureResultOf(write(digest), Unavailable)
            self.assertEqual(self.alone.joined([], [digest]), [digest])
            self.remote.failure = None
            self.successResultOf(write(digest))
            self.assertEqual(len(self.alone), 0)
            self.remote.blobs.clear()
            self.presence.clear()
        self.remote.failure = DOWN
        for write in (self.through_or_back.blob_arrived, self.through_or_back.blob_present):
            self.successResultOf(write(digest))
            self.assertEqual(len(self.alone), 0)

    def test_down(self) -> None:
        """Without the backing cache a write fails, and the action result is nowhere."""
        digest = self.blob()
        self.remote.failure = DOWN
        self.failureResultOf(self.through.blob_arrived(digest), Unavailable)
        self.failureResultOf(self.through.blob_present(digest), Unavailable)
        self.failureResultOf(self.through.store(KEY, self.result(digest)), Unavailable)
        self.assertFalse(self.is_here())
        self.assertFalse(self.through.writes_without_backing)

    def test_action_result(self) -> None:
        """An action result is kept in both tiers, after what is missing of its blobs there."""
        digest = self.blob()
        self.successResultOf(self.through.store(KEY, self.result(digest)))
        self.assertEqual(set(self.remote.blobs), {digest})
        self.assertEqual(self.upstream.results, {KEY: b"result"})
        self.assertTrue(self.is_here())

    def test_action_result_refused(self) -> None:
        """An action result that the backing cache does not take is not kept here either."""
        self.upstream.failure = PermissionDenied("backing cache: read only")
        self.failureResultOf(self.through.store(KEY, self.result()), PermissionDenied)
        self.assertFalse(self.is_here())

    def test_action_result_without_its_outputs(self) -> None:
        """An action result never arrives there before its blobs."""
        absent = digest_of(b"absent", DigestFunction.SHA256)
        failure = self.failureResultOf(
            self.through.store(KEY, self.result(absent)), FailedPrecondition
        )
        self.assertIn("upload the outputs", failure.value.message)
        self.assertEqual(self.upstream.results, {})

    def test_evicted_at_once(self) -> None:
        """A blob that is gone again before it was copied has to be sent again: no word of absence."""
        absent = digest_of(b"absent", DigestFunction.SHA256)
        self.failureResultOf(self.through.blob_arrived(absent), Unavailable)
        self.failureResultOf(self.through.blob_present(absent), Unavailable)

    def test_too_large(self) -> None:
        """What is too large for the backing cache stays here, and so does what refers to it."""
        large = self.blob(bytes(1001))
        self.successResultOf(self.through.blob_arrived(large))
        self.successResultOf(self.through.blob_present(large))
        self.successResultOf(self.through.store(KEY, self.result(large)))
        self.assertEqual((self.remote.blobs, self.upstream.results), ({}, {}))
        self.assertTrue(self.is_here())


class BackTests(PolicyTestCase):
    def test_blob(self) -> None:
        """A blob will be uploaded, unless it is known to be there or too large for it."""
        digest, known, large = self.blob(), self.blob(b"known"), self.blob(bytes(1001))
        self.presence.add([known])
        for each in (digest, known, large):
            self.successResultOf(self.back.blob_arrived(each))
        self.successResultOf(self.back.blob_present(digest))
        self.assertEqual(self.queue.blobs, [digest, digest])
        self.assertEqual(self.remote.blobs, {})
        self.assertTrue(self.back.writes_without_backing)

    def test_action_result(self) -> None:
        """An action result is here, and will be uploaded."""
        self.successResultOf(self.back.store(KEY, self.result(self.blob())))
        self.assertTrue(self.is_here())
        self.assertEqual((self.queue.actions, self.upstream.results), ([KEY], {}))

    def test_too_large(self) -> None:
        """An action result with an output that stays here stays here."""
        self.successResultOf(self.back.store(KEY, self.result(self.blob(bytes(1001)))))
        self.assertEqual(self.queue.actions, [])

    def test_full_queue(self) -> None:
        """A write that would never be uploaded is not acknowledged."""
        self.queue.failure = ResourceExhausted("write-back queue: full")
        self.failureResultOf(self.back.blob_arrived(self.blob()), ResourceExhausted)
        self.failureResultOf(self.back.store(KEY, self.result()), ResourceExhausted)


class ThroughOrBackTests(PolicyTestCase):
    def test_up(self) -> None:
        """While the backing cache answers, a write is done when it has it."""
        digest = self.blob()
        self.successResultOf(self.through_or_back.blob_arrived(digest))
        self.successResultOf(self.through_or_back.blob_present(digest))
        self.successResultOf(self.through_or_back.store(KEY, self.result(digest)))
        self.assertEqual(set(self.remote.blobs), {digest})
        self.assertEqual(self.upstream.results, {KEY: b"result"})
        self.assertEqual((self.queue.blobs, self.queue.actions), ([], []))

    def test_down(self) -> None:
        """While it does not, everything will be uploaded later."""
        digest = self.blob()
        self.remote.failure = self.upstream.failure = DOWN
        self.successResultOf(self.through_or_back.blob_arrived(digest))
        self.successResultOf(self.through_or_back.blob_present(digest))
        self.successResultOf(self.through_or_back.store(KEY, self.result(digest)))
        self.assertEqual((self.queue.blobs, self.queue.actions), ([digest, digest], [KEY]))
        self.assertTrue(self.is_here())
        self.assertTrue(self.through_or_back.writes_without_backing)

    def test_refused(self) -> None:
        """A refusal is told: later it would be one, too."""
        self.remote.failure = self.upstream.failure = PermissionDenied("backing cache: read only")
        policy = self.through_or_back
        self.failureResultOf(policy.blob_arrived(self.blob()), PermissionDenied)
        self.failureResultOf(policy.blob_present(self.blob()), PermissionDenied)
        self.failureResultOf(policy.store(KEY, self.result()), PermissionDenied)


class AroundTests(PolicyTestCase):
    def test_never_written(self) -> None:
        """Writes stay here, whether the backing cache answers or not."""
        self.remote.failure = self.upstream.failure = DOWN
        digest = self.blob()
        self.successResultOf(self.around.blob_arrived(digest))
        self.successResultOf(self.around.blob_present(digest))
        self.successResultOf(self.around.store(KEY, self.result(digest)))
        self.assertTrue(self.is_here())
        self.assertEqual((self.remote.asked, self.queue.blobs), ([], []))
        self.assertTrue(self.around.writes_without_backing)
