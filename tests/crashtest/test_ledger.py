"""What was acknowledged, and what may be there without it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from crashtest.ledger import Interrupted, Ledger
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import digest_of

ONE, TWO = digest_of(b"one"), digest_of(b"two")


class BlobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = Ledger()
        self.ledger.begin(1, ONE)
        self.ledger.begin(2, TWO)
        self.ledger.acknowledge(1)

    def test_acknowledged_or_uncertain(self) -> None:
        """A blob is the one or the other from the moment on in which it is sent."""
        self.assertEqual(self.ledger.acknowledged(), {1: ONE})
        self.assertEqual(self.ledger.uncertain(), {2: TWO})

    def test_acknowledged_twice_counts_once(self) -> None:
        """What is sent again is no other blob."""
        self.ledger.acknowledge(1)
        self.assertEqual(self.ledger.acknowledged_bytes, 3)

    def test_some(self) -> None:
        """Only what is acknowledged is chosen, each once."""
        self.assertEqual(self.ledger.some(Random(1), 10), [(1, ONE)])

    def test_evicted(self) -> None:
        """What was evicted is asked for no more, and may come again."""
        self.ledger.forget(1)
        self.assertEqual(self.ledger.some(Random(1), 10), [])
        self.assertEqual(self.ledger.uncertain(), {1: ONE, 2: TWO})


class UploadTests(SynchronousTestCase):
    def test_one_client_goes_on(self) -> None:
        """An upload that was broken off is given out once."""
        ledger, upload = Ledger(), Interrupted("name", 1, 10)
        ledger.interrupt(upload)
        self.assertEqual(ledger.take_interrupted(Random(1)), upload)
        self.assertIsNone(ledger.take_interrupted(Random(1)))


class ResultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = Ledger()
        self.results = [reapi.ActionResult(exit_code=code) for code in range(3)]

    def test_the_last_one_acknowledged(self) -> None:
        """An answer settles what the result is."""
        for result in self.results:
            self.ledger.send_result(1, result)
            self.ledger.acknowledge_result(1, result)
        versions = self.ledger.results()[1]
        self.assertTrue(versions.acknowledged)
        self.assertEqual(versions.possible, self.results[-1:])

    def test_no_answer(self) -> None:
        """A result sent without an answer is as possible as the one before."""
        self.ledger.send_result(1, self.results[0])
        self.ledger.acknowledge_result(1, self.results[0])
        self.ledger.send_result(1, self.results[1])
        self.assertEqual(self.ledger.results()[1].possible, self.results[:2])

    def test_never_sent(self) -> None:
        """It is known of each action what was ever sent."""
        self.ledger.send_result(1, self.results[0])
        self.assertTrue(self.ledger.was_sent(1, self.results[0]))
        self.assertFalse(self.ledger.was_sent(2, self.results[0]))
