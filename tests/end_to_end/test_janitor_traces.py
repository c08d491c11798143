"""What the daemon does by itself: each run of the janitor is a trace."""

from __future__ import annotations

import os

import grpc

from tests.end_to_end.client import MIB
from tests.end_to_end.collector import attributes
from tests.end_to_end.daemon import eventually
from tests.end_to_end.trace import INTERNAL, SERVER, ClientSpan, Trace
from tests.end_to_end.traced import WRITE, TracedTestCase, write


class JanitorTests(TracedTestCase):
    def test_runs(self) -> None:
        """A run is a trace of its own, though writes have called for it, and tells what it evicted."""
        collector = self.make_collector()
        daemon = self.make_traced(collector, GOREGO_LOCAL_CACHE_MAX_SIZE_GB="0.01").start()
        client, span = self.connect(daemon), ClientSpan.new()
        calls = 0

        def written() -> bool:
            nonlocal calls
            calls += 1
            try:
                write(client, os.urandom(MIB), span.traceparent())
            except grpc.RpcError as error:
                # Who writes faster than room is made hears of it.
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                return False
            return True

        for _ in range(24):
            eventually(written, "there is room for 1 MiB")
        collector.wait_for(
            lambda spans: sum(_evicted(Trace(spans))) > 10 and len(_evicted(Trace(spans))) > 1,
            "runs that evict",
        )
        daemon.stop()
        runs = [found for found in collector.spans if found.name == "Janitor"]
        self.assertEqual(len({run.trace_id for run in runs}), len(runs))
        self.assertEqual({(run.kind, run.parent_span_id) for run in runs}, {(INTERNAL, b"")})
        for run in runs:
            trace = Trace(collector.of_trace(run.trace_id.hex()))
            self.assertEqual(trace.strangers, {""})
            self.assertLessEqual({"Janitor.Tidy", "Janitor.Evict"}, set(trace.names))
            self.assertLessEqual({found.name.partition(".")[0] for found in trace}, {"Janitor"})
        writes = Trace(collector.of_trace(span.trace_id))
        self.assertEqual(len(writes.named(WRITE, SERVER)), calls)
        self.assertNotIn("Janitor", "".join(writes.names))


def _evicted(trace: Trace) -> list[int]:
    """How many files each run has evicted that had to."""
    told = [attributes(span)["gorego.evicted.files"] for span in trace.named("Janitor.Evict")]
    return [count for count in told if isinstance(count, int) and count]
