"""One daemon behind another, and the real Bazel before them."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from unittest import SkipTest

import grpc

from tests.end_to_end.bazel import BAZEL, Bazel, Build
from tests.end_to_end.client import digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port

#: Blobs of a build that were written before the middle of it; all are about fifty.
MIDDLE = 20


class ChainTestCase(DaemonTestCase):
    """Tests with a daemon and those that it is behind of."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = self.make_daemon().start()

    def make_front(self, **backing_cache: str) -> Daemon:
        """A daemon before the backing one, not started yet.

        :param backing_cache: keys of the section of that name.
        """
        keys = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in backing_cache.items()}
        keys.setdefault("GOREGO_BACKING_CACHE_TARGET", f"grpc://{self.backing.listen_addr}")
        front = self.make_daemon(**keys)
        front.metrics_addr = f"127.0.0.1:{free_port()}"
        return front

    def unavailable(self, call: Callable[[], object]) -> str:
        """Why a call is UNAVAILABLE."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        return str(caught.exception.details())

    def metric(self, daemon: Daemon, name: str) -> float:
        """What a metric of a daemon says now; 0 if there is none of that name."""
        page = urllib.request.urlopen(f"http://{daemon.metrics_addr}/metrics", timeout=10).read()
        lines = [line.split() for line in page.decode().splitlines()]
        return next((float(line[1]) for line in lines if line[0] == name), 0.0)


class BlobTests(ChainTestCase):
    """Blobs and what becomes of them in two tiers."""

    def test_reads_fall_through(self) -> None:
        """What only the backing daemon has is read through the front one, which then has it too."""
        blobs = [bytes([n]) * size for n, size in enumerate((100, 5000, 100_000, 5_000_000))]
        with self.backing.client() as client:
            digests = [client.upload(blob) for blob in blobs]
        front = self.make_front().start()
        client = self.connect(front)
        self.assertEqual(
            client.find_missing([*digests, digest_of(b"nowhere")]), [digest_of(b"nowhere")]
        )
        for _ in range(2):
            read = [client.read(read_name(digest)) for digest in digests]
            self.assertEqual(read, blobs)
        self.backing.stop()
        self.assertEqual([client.read(read_name(digest)) for digest in digests], blobs)

    def test_compressed_over_a_unix_socket(self) -> None:
        """What travels compressed between two daemons is the same in both, whichever had it first."""
        self.backing.stop()
        self.backing.listen_addr = f"unix:{self.backing.folder}/socket"
        self.backing.start()
        front = self.make_front(target=self.backing.listen_addr, compression="zstd").start()
        client = self.connect(front)
        with self.backing.client() as behind:
            for n, size in enumerate((100, 5000, 100_000, 5_000_000)):
                ours, theirs = b"o%d " % n * (size // 3), b"t%d " % n * (size // 3)
                uploaded = client.upload(ours)
                self.assertEqual(behind.read(read_name(uploaded)), ours)
                self.assertEqual(client.read(read_name(behind.upload(theirs))), theirs)

    def test_writes_go_through(self) -> None:
        """What is written through the front daemon is in the backing one when the write is done."""
        client = self.connect(self.make_front().start())
        blobs = [bytes([n]) * size for n, size in enumerate((100, 5000, 100_000, 5_000_000))]
        digests = [*client.batch_update(*blobs[:2]), *(client.upload(blob) for blob in blobs[2:])]
        with self.backing.client() as behind:
            self.assertEqual(behind.find_missing(digests), [])

    def test_backing_daemon_is_gone(self) -> None:
        """Without it local hits go on; what is not here is UNAVAILABLE, soon at once; writes fail."""
        front = self.make_front(put_retry_count="1", timeout_seconds="2").start()
        client = self.connect(front)
        kept = client.upload(b"kept" * 50_000)
        self.backing.kill()
        absent = read_name(digest_of(b"absent"))
        details = [self.unavailable(lambda: client.read(absent)) for _ in range(12)]
        self.assertIn("not asked", details[-1])
        self.assertEqual(client.read(read_name(kept)), b"kept" * 50_000)
        self.unavailable(lambda: client.upload(b"new" * 50_000))
        self.assertEqual(self.metric(front, 'gorego_backing_breaker_state{state="open"}'), 1)
        self.backing.start()
        eventually(
            lambda: self.metric(front, 'gorego_backing_breaker_state{state="closed"}'),
            "the breaker closes",
        )
        self.assertIn("answers again", front.log)
        self.assertIn("calls were not made", front.log)
        client.upload(b"new" * 50_000)


class WriteBackTests(ChainTestCase):
    """The policy that uploads later."""

    def test_killed_with_a_full_queue(self) -> None:
        """All that was acknowledged gets there, though the backing daemon was down and the front one killed."""
        front = self.make_front(write_policy="back", timeout_seconds="2").start()
        self.backing.kill()
        with front.client() as client:
            blobs = [b"%d" % n * 2000 for n in range(200)]
            digests = [*client.batch_update(*blobs[:100]), *map(client.upload, blobs[100:])]
            self.assertEqual(client.find_missing(digests), [])
        front.kill()
        front.start()
        self.assertEqual(self.metric(front, "gorego_write_back_queue_entries"), 200)
        self.backing.start()
        eventually(
            lambda: not self.metric(front, "gorego_write_back_queue_entries"), "the queue is empty"
        )
        self.assertEqual(self.metric(front, 'gorego_write_back_total{outcome="uploaded"}'), 200)
        with self.backing.client() as behind:
            self.assertEqual(behind.find_missing(digests), [])


class BazelTests(ChainTestCase):
    """Builds."""

    def setUp(self) -> None:
        if BAZEL is None:
            raise SkipTest("bazel is not installed (Debian: bazel-bootstrap)")
        super().setUp()
        self.bazel = Bazel(self.make_folder())

    def build(self, daemon: Daemon, *flags: str) -> Build:
        """A build from nothing."""
        return self.bazel.build(f"grpc://{daemon.listen_addr}", *flags)

    def assert_from_the_cache(self, build: Build, first: Build) -> None:
        """No action was run, each was a hit, and the outputs are those of the first build."""
        self.assertEqual(set(build.runners), {"remote cache hit"}, build.text)
        self.assertEqual(build.outputs, first.outputs)
        self.assertEqual(build.warnings, [])

    def test_one_build_fills_both(self) -> None:
        """What one build brings serves the next from either daemon, and from a third with nothing of its own."""
        first = self.build(self.make_front().start())
        self.assertEqual((first.cache_hits, first.warnings), (0, []))
        self.assert_from_the_cache(self.build(self.backing), first)
        third = self.make_front().start()
        self.assert_from_the_cache(self.build(third), first)
        self.assertGreater(self.metric(third, 'gorego_fetches_total{outcome="completed"}'), 0)
        self.backing.kill()
        self.assert_from_the_cache(self.build(third), first)

    def test_backing_daemon_is_killed_during_a_build(self) -> None:
        """The build ends well, and the front daemon says what it did without."""
        front = self.make_front(put_retry_count="0", timeout_seconds="2").start()
        written = "gorego_backing_blobs_written_total"

        def kill_in_the_middle() -> None:
            eventually(lambda: self.metric(front, written) > MIDDLE, "the build writes")
            self.backing.kill()

        killing = threading.Thread(target=kill_in_the_middle)
        killing.start()
        # Bazel waits for seconds before it tries a write for the fifth time.
        build = self.build(front, "--remote_retries=1")
        killing.join()
        self.assertEqual((len(build.outputs), build.cache_hits), (14, 0))
        self.assertNotEqual(build.warnings, [])
        again = self.build(front, "--remote_retries=1")
        self.assertGreater(again.cache_hits, 0)
        self.assertLess(again.cache_hits, len(build.runners))
        self.assertEqual(again.outputs, build.outputs)
        self.assertIn("left alone", front.log)
        self.assertNotIn("Traceback", front.log)
