"""Whether the crash test would notice, tried on a server that can be made to do wrong."""

from __future__ import annotations

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from crashtest import findings
from crashtest.conditions import Conditions
from crashtest.content import Content
from crashtest.experiment import Experiment
from crashtest.findings import Findings
from crashtest.ledger import Ledger
from crashtest.verification import Verification
from crashtest.writing import action_digest
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import Client, digest_of

SMALL, LARGE = b"small", bytes(100_000)
BLOBS = {1: SMALL, 2: LARGE}
ACTION = 3


class VerificationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Backing()
        self.addCleanup(self.server.close)
        self.client = Client(f"127.0.0.1:{self.server.port}")
        self.addCleanup(self.client.close)
        self.ledger = Ledger()
        self.result = reapi.ActionResult()
        for number, data in BLOBS.items():
            digest = self.server.keep(data)
            self.ledger.begin(number, digest)
            self.ledger.acknowledge(number)
            self.result.output_files.add(path=str(number), digest=digest)
        self.server.results[action_digest(ACTION).hash] = self.result
        self.ledger.send_result(ACTION, self.result)
        self.ledger.acknowledge_result(ACTION, self.result)

    def faults(self, *, evicts: bool = False) -> dict[str, int]:
        """What is found wrong."""
        conditions = Conditions("in a test", is_tight=evicts)
        seen = Findings()
        experiment = Experiment(conditions, Content(0), self.ledger, seen)
        with contextlib.redirect_stdout(io.StringIO()):
            Verification(self.client, experiment).run()
        return {kind: seen[kind] for kind in findings.FAULTS if seen[kind]}

    def lose(self, data: bytes) -> None:
        digest = digest_of(data)
        del self.server.blobs[digest.hash, digest.size_bytes]

    def test_all_is_well(self) -> None:
        """A server that has everything has no fault."""
        self.assertEqual(self.faults(), {})

    def test_wrong_bytes(self) -> None:
        """A bit that is wrong is seen in every blob, small or large."""
        self.server.script.flip = True
        self.assertEqual(self.faults(), {findings.WRONG_BYTES: 2})

    def test_a_lost_blob(self) -> None:
        """A blob that is gone is seen, and so is the result that names it."""
        self.lose(LARGE)
        self.assertEqual(self.faults(), {findings.LOST: 1, findings.INCOMPLETE: 1})

    def test_an_evicted_blob(self) -> None:
        """Where blobs are evicted only the result that outlives them is wrong."""
        self.lose(SMALL)
        self.assertEqual(self.faults(evicts=True), {findings.INCOMPLETE: 1})

    def test_a_lost_result(self) -> None:
        """A result that is gone is seen, unless results are evicted."""
        self.server.results.clear()
        self.assertEqual(self.faults(), {findings.LOST_RESULTS: 1})
        self.assertEqual(self.faults(evicts=True), {})

    def test_another_result(self) -> None:
        """A result that nobody sent is seen."""
        self.server.results[action_digest(ACTION).hash] = reapi.ActionResult(exit_code=1)
        self.assertEqual(self.faults(), {findings.OTHER_RESULTS: 1})
