"""A collector that is down, hangs or refuses costs no request anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.collector import Collector
from tests.end_to_end.daemon import Daemon, eventually
from tests.end_to_end.trace import ClientSpan, arrived
from tests.end_to_end.traced import FIND_MISSING, TracedTestCase

#: So many that they do not all fit in one batch, by far.
REQUESTS = 700

BROKEN = "does not take spans; they are dropped until it does"
MENDED = "spans reach the collector"

#: How long a daemon tries to deliver its last spans, and what else an end takes, in seconds.
STOP_SECONDS = 5 + 3


#: Breaks a collector; what is returned gives one that works, in its place.
BreakIt = Callable[[Collector], Callable[[], Collector]]


def down(collector: Collector) -> Callable[[], Collector]:
    """It ends; another one is there in its place later."""
    collector.close()
    return lambda: Collector(collector.port)


def hanging(collector: Collector) -> Callable[[], Collector]:
    """It takes calls and does not answer them."""
    collector.hold.set()

    def mend() -> Collector:
        collector.hold.clear()
        return collector

    return mend


def refusing(collector: Collector) -> Callable[[], Collector]:
    """It answers each call with a failure that is no reason to try again."""
    collector.refuse = True

    def mend() -> Collector:
        collector.refuse = False
        return collector

    return mend


class Pair(NamedTuple):
    """A daemon, its collector, and what that one will suffer."""

    break_it: BreakIt
    collector: Collector
    daemon: Daemon

    def is_told(self) -> bool:
        """Whether the log says that spans are lost."""
        return BROKEN in self.daemon.log

    def is_mended(self) -> bool:
        """Whether the log says that spans are delivered again."""
        return MENDED in self.daemon.log


class TroubleTests(TracedTestCase):
    def make_pair(self, break_it: BreakIt) -> Pair:
        """A daemon that has a collector, which works for now."""
        collector = self.make_collector()
        return Pair(break_it, collector, self.make_traced(collector).start())

    def test_it_costs_nothing(self) -> None:
        """Requests go on as fast, one line tells of it, later spans arrive, and a stop ends in time."""
        pairs = [self.make_pair(break_it) for break_it in (down, hanging, refusing)]
        stopping = [self.make_pair(break_it) for break_it in (down, hanging)]
        well = [self.ask(pair.daemon) for pair in pairs]
        mend = [pair.break_it(pair.collector) for pair in (*pairs, *stopping)]
        for pair in stopping:
            self.ask(pair.daemon)
            pair.daemon.terminate()
        for pair, took in zip(pairs, well, strict=True):
            self.assertLess(self.ask(pair.daemon), 3 * took + 1, pair.break_it)
        for pair in stopping:
            self.assertEqual(pair.daemon.wait(STOP_SECONDS), 0)
            self.assertNotIn("Traceback", pair.daemon.log)
        for pair in pairs:
            eventually(pair.is_told, "it is told of")
            self.assert_told_once(pair.daemon)
        collectors = [mend_it() for mend_it in mend[: len(pairs)]]
        for pair, collector in zip(pairs, collectors, strict=True):
            self.addCleanup(collector.close)
            self.assert_arrives(pair.daemon, collector)
            eventually(pair.is_mended, "it is told that spans arrive again")
            self.assertEqual(pair.daemon.log.count(MENDED), 1)
            self.assert_told_once(pair.daemon)

    def ask(self, daemon: Daemon) -> float:
        """Make many calls that are traced, one after the other; how long they took, in seconds."""
        headers = ClientSpan.new().traceparent()
        with daemon.client() as client:
            self.assertTrue(client.is_serving())
            began = time.monotonic()
            for _ in range(REQUESTS):
                client.cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(), metadata=headers)
            return time.monotonic() - began

    def assert_told_once(self, daemon: Daemon) -> None:
        """One line of the log says it, and why, and no library says it again in its own words."""
        self.assertEqual(daemon.log.count(BROKEN), 1, daemon.log)
        self.assertRegex(daemon.log, rf"the collector \S+ {BROKEN}: [A-Z_]+: \w")
        for word in ("Traceback", "opentelemetry", "StatusCode", "Failed to export"):
            self.assertNotIn(word, daemon.log)

    def assert_arrives(self, daemon: Daemon, collector: Collector) -> None:
        """A call that is made now has its span there soon."""
        span = ClientSpan.new()
        with daemon.client() as client:
            request = reapi.FindMissingBlobsRequest()
            client.cas.FindMissingBlobs(request, metadata=span.traceparent())
        arrived(collector, span.trace_id, lambda trace: FIND_MISSING in trace.names)


class FlushTests(TracedTestCase):
    def test_last_spans(self) -> None:
        """What was recorded until SIGTERM is with the collector when the daemon has ended."""
        collector = self.make_collector()
        daemon = self.make_traced(collector).start()
        spans = [ClientSpan.new() for _ in range(50)]
        client = self.connect(daemon)
        for span in spans:
            request = reapi.FindMissingBlobsRequest()
            client.cas.FindMissingBlobs(request, metadata=span.traceparent())
        daemon.stop()
        traces = {found.trace_id.hex() for found in collector.spans}
        self.assertLessEqual({span.trace_id for span in spans}, traces)
