"""A backing cache that is down from the start, dies, or stands still: a process of its own, stopped for real."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually

OUTPUT = b"output" * 50_000
SMALL = b"small output"
NEW = b"new" * 50_000
ACTION = digest_of(b"action")

TIMEOUT_SECONDS = 1.0
FAILURES = 5
ASKED = 50

# An answer that waits for nobody takes a millisecond; this leaves room for a busy machine.
AT_ONCE_SECONDS = 0.05


class OutageTests(DaemonTestCase):
    """Two daemons, and what clients of the front one see."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = self.make_daemon()

    def make_front(self, policy: str = "through") -> Daemon:
        """A daemon before the backing one, not started yet."""
        return self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=f"grpc://{self.backing.listen_addr}",
            GOREGO_BACKING_CACHE_WRITE_POLICY=policy,
            GOREGO_BACKING_CACHE_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS),
            GOREGO_BACKING_CACHE_PUT_RETRY_COUNT="0",
        )

    def get(self, client: Client, action: reapi.Digest = ACTION) -> reapi.ActionResult:
        """An action result."""
        request = reapi.GetActionResultRequest(action_digest=action)
        found: reapi.ActionResult = client.action_cache.GetActionResult(request)
        return found

    def update(self, client: Client) -> None:
        """Store the action result; its outputs are there."""
        request = reapi.UpdateActionResultRequest(action_digest=ACTION)
        for output in (OUTPUT, SMALL):
            request.action_result.output_files.add(path="out", digest=digest_of(output))
        client.action_cache.UpdateActionResult(request)

    def fill(self, client: Client) -> None:
        """Store a result with its outputs."""
        client.upload(OUTPUT)
        client.batch_update(SMALL)
        self.update(client)

    def code(self, call: Callable[[], object]) -> grpc.StatusCode:
        """What a call fails with."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        code: grpc.StatusCode = caught.exception.code()
        return code

    def assert_local_hits(self, client: Client) -> None:
        """What is here is served: an action result, its outputs in streams and batches."""
        self.assertEqual(len(self.get(client).output_files), 2)
        self.assertEqual(client.read(read_name(digest_of(OUTPUT))), OUTPUT)
        request = reapi.BatchReadBlobsRequest(digests=[digest_of(SMALL), digest_of(b"absent")])
        here, absent = client.cas.BatchReadBlobs(request).responses
        self.assertEqual((here.status.code, here.data), (0, SMALL))
        self.assertEqual(absent.status.code, grpc.StatusCode.UNAVAILABLE.value[0])

    def assert_misses(self, client: Client) -> None:
        """What is not here: an action result is absent, a blob UNAVAILABLE, for it may well exist."""
        absent = digest_of(b"absent")
        self.assertEqual(self.code(lambda: self.get(client, absent)), grpc.StatusCode.NOT_FOUND)
        read = self.code(lambda: client.read(read_name(absent)))
        self.assertEqual(read, grpc.StatusCode.UNAVAILABLE)

    def assert_writes_fail(self, client: Client) -> None:
        """A write that has to reach the backing cache is not acknowledged."""
        unavailable = grpc.StatusCode.UNAVAILABLE
        self.assertEqual(self.code(lambda: client.upload(NEW)), unavailable)
        self.assertEqual(
            self.code(lambda: client.find_missing([digest_of(b"absent")])), unavailable
        )
        self.assertEqual(self.code(lambda: self.update(client)), unavailable)

    def assert_answers_at_once(self, client: Client) -> None:
        """With the breaker open nobody waits for the backing cache."""
        absent = read_name(digest_of(b"absent"))
        for _ in range(FAILURES):
            self.code(lambda: client.read(absent))
        seconds = []
        for _ in range(ASKED):
            began = time.monotonic()
            self.code(lambda: client.read(absent))
            seconds.append(time.monotonic() - began)
        self.assertLess(statistics.median(seconds), AT_ONCE_SECONDS)

    def test_down_from_the_start(self) -> None:
        """A daemon starts without its backing cache; when that comes it is used."""
        front = self.make_front().start()
        client = self.connect(front)
        self.assert_misses(client)
        self.assert_writes_fail(client)
        self.assert_answers_at_once(client)
        self.backing.start()
        eventually(lambda: "answers again" in front.log, "the backing cache is used")
        self.fill(client)
        with self.backing.client() as behind:
            self.assertEqual(len(self.get(behind).output_files), 2)
        self.assertNotIn("Traceback", front.log)

    def test_dies(self) -> None:
        """Local hits go on when it is killed; misses and writes say what they are."""
        self.backing.start()
        front = self.make_front().start()
        client = self.connect(front)
        self.fill(client)
        self.backing.kill()
        self.assert_local_hits(client)
        self.assert_misses(client)
        self.assert_writes_fail(client)
        self.assert_answers_at_once(client)
        self.assert_local_hits(client)
        self.assertNotIn("Traceback", front.log)

    def test_stands_still(self) -> None:
        """A process that is there and does not answer costs a deadline, then nothing; it may go on later."""
        self.backing.start()
        front = self.make_front().start()
        client = self.connect(front)
        self.fill(client)
        self.backing.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        self.assert_misses(client)
        self.assertGreater(time.monotonic() - began, TIMEOUT_SECONDS)
        self.assert_answers_at_once(client)
        self.assert_local_hits(client)
        self.backing.process.send_signal(signal.SIGCONT)
        eventually(lambda: "answers again" in front.log, "the backing cache is used")
        self.assertEqual(client.find_missing([digest_of(b"absent")]), [digest_of(b"absent")])
        self.assertNotIn("Traceback", front.log)

    def test_writes_that_need_it_not(self) -> None:
        """Under each other policy writes are acknowledged without it, and are served from here."""
        for policy in ("back", "through_or_back", "around"):
            client = self.connect(self.make_front(policy).start())
            missing = [digest_of(OUTPUT), digest_of(SMALL)]
            self.assertEqual(client.find_missing(missing), missing, policy)
            self.fill(client)
            self.assertEqual(client.find_missing(missing), [], policy)
            self.assert_local_hits(client)
