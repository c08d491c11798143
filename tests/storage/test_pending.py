"""The queue of what is to be uploaded: kept, bounded, pinned."""

from __future__ import annotations

from pathlib import Path

from google.rpc.error_details_pb2 import RetryInfo

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import ResourceExhausted, Unavailable
from gorego_tw.forwarding import VIA, carrying
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.storage.local import action_key
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.tier import LocalTier
from tests.storage.queue_crash import run_and_kill
from tests.storage.tiers import LIMIT_BYTES, TierTestCase, blob, read


class PendingTestCase(TierTestCase):
    """Has a queue in the local tier of its folder."""

    def setUp(self) -> None:
        super().setUp()
        self.pending = self.open_pending(self.tier)

    def open_pending(
        self, tier: LocalTier, max_entries: int = 1000, max_bytes: int = 1 << 30
    ) -> Pending:
        return Pending(tier.environment, self.clock, max_entries=max_entries, max_bytes=max_bytes)

    def again(self) -> Pending:
        """The same queue in the next process, as it were."""
        return self.open_pending(self.reopen(LIMIT_BYTES))

    def put_action(self, number: int, *references: Digest) -> ActionKey:
        """Keep an action result of six bytes."""
        key = ActionKey("a/\udc80", blob(10, number, DigestFunction.SHA1)[0])
        result = StoredActionResult(b"result", references)
        self.successResultOf(self.tier.action_results.put(key, result))
        return key


class PendingTests(PendingTestCase):
    def test_empty(self) -> None:
        """Nothing is waiting at first."""
        self.assertEqual((len(self.pending), self.pending.size_bytes), (0, 0))
        self.assertEqual(self.pending.oldest_age_seconds, 0)
        self.assertEqual(list(self.pending), [])

    def test_order_when_the_clock_goes_back(self) -> None:
        """What was added first comes first, though the clock was set back between two processes or
        while one was running.
        """
        keys: list[bytes] = []
        pending = self.pending
        for start in (self.clock.seconds(), 500.0, 20.0):
            self.clock.rightNow = start
            pending = self.open_pending(self.reopen())
            self.assertEqual(list(pending), keys)
            for back in (5.0, -3.0, 0.0):
                digest, _ = self.put(10 + len(keys))
                pending.add_blob(digest)
                keys.append(digest.key)
                self.clock.rightNow += back
        action = self.put_action(1)
        pending.add_action(action, 6, ())
        self.assertEqual(list(self.again()), [*keys, action_key(action)])

    def test_way(self) -> None:
        """An entry has the way of the call that has added it last, and nothing else of that call."""
        digest, _ = self.put(10)
        for came in ("a#1", "b#2"):
            context = carrying((("authorization", "x"), (VIA, came)))
            context.run(self.pending.add_blob, digest)
            self.assertEqual(self.pending[digest.key].way, ((VIA, came),))
        self.assertEqual(self.again()[digest.key].way, ())

    def test_age_when_the_clock_goes_back(self) -> None:
        """After the clock was set back ages go on from the latest time that is known."""
        self.pending.add_blob(self.put(10)[0])
        self.clock.advance(30)
        self.pending.add_blob(self.put(11)[0])
        self.clock.rightNow = 500.0
        pending = self.open_pending(self.reopen())
        self.clock.advance(5)
        self.assertEqual(pending.oldest_age_seconds, 35)

    def test_kept(self) -> None:
        """What was added is there after a restart, as it was, in the order in which it was added."""
        digests = [self.put(size_bytes)[0] for size_bytes in (9000, 10, 500, 8000)]
        for digest in digests:
            self.pending.add_blob(digest)
            self.clock.advance(10)
        action = self.put_action(1)
        self.pending.add_action(action, 6, ())
        self.clock.advance(1)
        keys = [*(digest.key for digest in digests), action_key(action)]
        before = [self.pending[key] for key in keys]
        after = self.again()
        self.assertEqual(list(after), keys)
        self.assertEqual([after[key] for key in keys], before)
        self.assertEqual([after[key].record.subject for key in keys], [*digests, action])
        self.assertEqual(after.size_bytes, 9000 + 10 + 500 + 8000 + 6)
        self.assertEqual(after.oldest_age_seconds, 41)

    def test_done(self) -> None:
        """What is done does not come back, and waits no more."""
        one, other = self.put(100)[0], self.put(5000)[0]
        self.pending.add_blob(one)
        self.clock.advance(5)
        self.pending.add_blob(other)
        self.pending.done(one.key)
        for pending in (self.pending, self.again()):
            self.assertEqual(list(pending), [other.key])
            self.assertEqual((len(pending), pending.size_bytes), (1, 5000))
            self.assertEqual(pending.oldest_age_seconds, 0)

    def test_added_again(self) -> None:
        """What is added again keeps its place and its age, and is known to have been added again."""
        digest = self.put(100)[0]
        action = self.put_action(1)
        self.assertEqual(self.pending.add_blob(digest), [digest.key])
        self.assertEqual(self.pending.add_action(action, 6, ()), [action_key(action)])
        self.clock.advance(7)
        self.assertEqual(self.pending.add_blob(digest), [])
        self.assertEqual(self.pending.add_action(action, 6, ()), [])
        self.assertEqual([self.pending[key].times for key in self.pending], [2, 2])
        self.assertEqual((len(self.pending), self.pending.size_bytes), (2, 106))
        self.assertEqual(self.pending.oldest_age_seconds, 7)

    def test_pinned(self) -> None:
        """An entry is pinned from when it was added until it is done, across restarts."""
        digest = self.put(100)[0]
        self.assertFalse(self.pending.is_pinned(digest.key))
        self.pending.add_blob(digest)
        self.assertTrue(self.pending.is_pinned(digest.key))
        pending = self.again()
        self.assertTrue(pending.is_pinned(digest.key))
        pending.done(digest.key)
        self.assertFalse(pending.is_pinned(digest.key))

    def test_references(self) -> None:
        """With an action result, what it refers to and is here is added, before it."""
        waiting, idle, gone = self.put(100)[0], self.put(5000)[0], blob(30)[0]
        self.pending.add_blob(waiting)
        action = self.put_action(1, waiting, idle, gone)
        added = self.pending.add_action(action, 6, (waiting, idle, gone))
        self.assertEqual(added, [idle.key, action_key(action)])
        for pending in (self.pending, self.again()):
            self.assertEqual(list(pending), [waiting.key, idle.key, action_key(action)])
            flags = [pending[key].record.may_be_there for key in pending]
            self.assertEqual(flags, [False, True, False])

    def test_references_of_another_result(self) -> None:
        """What a later result of an action refers to is added even if the action is waiting."""
        action = self.put_action(1)
        self.pending.add_action(action, 6, ())
        digest = self.put(100)[0]
        self.assertEqual(self.pending.add_action(action, 6, (digest,)), [digest.key])
        self.assertEqual(self.pending[action_key(action)].times, 2)

    def test_absent(self) -> None:
        """What is not here is not promised to anybody."""
        self.assertRaises(Unavailable, self.pending.add_blob, blob(100)[0])
        action = ActionKey("", blob(10)[0])
        self.assertRaises(Unavailable, self.pending.add_action, action, 6, ())
        self.assertEqual(len(self.pending), 0)

    def test_clock_goes_back(self) -> None:
        """No age is negative, whatever the clock does."""
        self.pending.add_blob(self.put(100)[0])
        self.clock.rightNow -= 100
        self.assertEqual(self.pending.oldest_age_seconds, 0)

    def test_damaged(self) -> None:
        """A record that cannot be read is taken out, and the others are there."""
        digest = self.put(100)[0]
        self.pending.add_blob(digest)
        environment = self.tier.environment
        unknown, short = bytes(25) + b"\7", bytes(25) + b"\1" + bytes(31)
        bad = {b"\0" + bytes(32): unknown, b"\0" + bytes(31) + b"\1": short, b"\1" + bytes(32): b""}
        with environment.begin(environment.pending, write=True) as txn:
            for key, value in bad.items():
                txn.put(key, value)
        self.assertEqual(list(self.again()), [digest.key])
        self.assertEqual(list(self.again()), [digest.key])

    def test_trouble(self) -> None:
        """If LMDB fails, the tier is unavailable, and nothing has changed."""
        digest = self.put(100)[0]
        self.pending.add_blob(digest)
        other = self.put(5000)[0]
        self.close_tier(self.tier)
        self.assertRaises(Unavailable, self.pending.add_blob, other)
        self.assertRaises(Unavailable, self.pending.done, digest.key)
        self.assertEqual(list(self.pending), [digest.key])


class BoundsTests(PendingTestCase):
    def test_entries(self) -> None:
        """With as many entries as it may hold, nothing is taken before one is done."""
        pending = self.open_pending(self.tier, max_entries=2)
        one, two, three = (self.put(100, seed)[0] for seed in range(3))
        pending.add_blob(one)
        pending.add_blob(two)
        error = self.assertRaises(ResourceExhausted, pending.add_blob, three)
        self.assertIsInstance(error.details[0], RetryInfo)
        self.assertIn("2 of 2 entries", error.message)
        self.assertRaises(ResourceExhausted, pending.add_action, self.put_action(1), 6, ())
        self.assertEqual(pending.add_blob(one), [])
        pending.done(one.key)
        pending.add_blob(three)

    def test_bytes(self) -> None:
        """With as many bytes as it may hold, nothing is taken; one blob may exceed them."""
        pending = self.open_pending(self.tier, max_bytes=1000)
        large, small = self.put(5000)[0], self.put(10)[0]
        pending.add_blob(large)
        self.assertRaises(ResourceExhausted, pending.add_blob, small)
        pending.done(large.key)
        pending.add_blob(small)
        pending.add_blob(large)
        self.assertEqual(pending.size_bytes, 5010)

    def test_nothing_of_an_action(self) -> None:
        """Where there is no room for an action result, nothing it refers to is added."""
        pending = self.open_pending(self.tier, max_entries=1)
        pending.add_blob(self.put(10)[0])
        digest = self.put(100)[0]
        action = self.put_action(1, digest)
        self.assertRaises(ResourceExhausted, pending.add_action, action, 6, (digest,))
        self.assertEqual(len(pending), 1)
        self.assertEqual(len(self.again()), 1)

    def test_smaller_after_a_restart(self) -> None:
        """A smaller limit loses nothing of what was taken before."""
        for seed in range(5):
            self.pending.add_blob(self.put(100, seed)[0])
        pending = self.open_pending(self.reopen(), max_entries=2)
        self.assertEqual(len(pending), 5)
        self.assertRaises(ResourceExhausted, pending.add_blob, self.put(10)[0])


class KillTests(PendingTestCase):
    """kill -9 at any time."""

    def test_kill(self) -> None:
        """Everything acknowledged and not done is in the queue, and its blob is here."""
        self.close_tier(self.tier)
        for lines in (1, 100, 777):
            self.folder = Path(self.mktemp())
            said = run_and_kill(self.folder, "emptied", lines)
            pending = self.open_pending(self.open_tier())
            waiting = {bytes.fromhex(key) for what, key in said if what == "added"}
            waiting -= {bytes.fromhex(key) for what, key in said if what == "done"}
            self.assertEqual(waiting - set(pending), set())
            # What was queued last may not have been acknowledged, what is done last not be done.
            self.assertLessEqual(len(set(pending) - waiting), 2)
            self.assertGreater(len(pending), 0)
            for key in pending:
                self.check(pending, key)
            self.close_tier(self.tier)

    def check(self, pending: Pending, key: bytes) -> None:
        subject = pending[key].record.subject
        if isinstance(subject, ActionKey):
            self.successResultOf(self.tier.action_results.get(subject))
        else:
            data = self.successResultOf(read(self.tier.blobs, subject))
            self.assertEqual(len(data), subject.size_bytes)
