"""Writes that are acknowledged before the backing cache has them, and what may happen until it has."""

from __future__ import annotations

import time

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.backing import Backing
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import DaemonTestCase, eventually

ACTIONS = 40
SHARED = b"an output of every action" * 100

# A stop waits for uploads under way, but not longer than the daemon has for all of its stop.
STOP_SECONDS = 15.0


def outputs(number: int) -> tuple[bytes, bytes, bytes]:
    """What an action makes: something large, something small, and what all of them make."""
    return b"large %d " % number * 20_000, b"small %d" % number, SHARED


def action(number: int) -> reapi.Digest:
    """The digest of an action."""
    return digest_of(b"action %d" % number)


def result(number: int) -> reapi.ActionResult:
    """Its result."""
    made = reapi.ActionResult(exit_code=number)
    for output in outputs(number):
        made.output_files.add(path=digest_of(output).hash, digest=digest_of(output))
    return made


class KilledTests(DaemonTestCase):
    """A daemon that is killed with SIGKILL before a backing cache that records what comes."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)
        self.daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=self.backing.target,
            GOREGO_BACKING_CACHE_WRITE_POLICY="back",
            GOREGO_BACKING_CACHE_TIMEOUT_SECONDS="2",
        )

    def write(self, client: Client, numbers: range) -> None:
        """Store what those actions made; it is acknowledged when this returns."""
        for number in numbers:
            large, *small = outputs(number)
            client.upload(large)
            client.batch_update(*small)
            request = reapi.UpdateActionResultRequest(
                action_digest=action(number), action_result=result(number)
            )
            client.action_cache.UpdateActionResult(request)

    def assert_all_there(self, numbers: range) -> None:
        """The backing cache has all of it, and had no action result before its outputs."""
        for number in numbers:
            self.assertEqual(self.backing.results[action(number).hash], result(number))
            at = self.backing.order.index(action(number).hash)
            for output in outputs(number):
                digest = digest_of(output)
                self.assertEqual(self.backing.blobs[digest.hash, digest.size_bytes], output)
                self.assertLess(self.backing.order.index(digest.hash), at)

    def test_killed_again_and_again(self) -> None:
        """All that was acknowledged gets there, in order, though it was killed while it waited and while it uploaded."""
        self.backing.script.hang.set()
        half, whole = range(ACTIONS // 2), range(ACTIONS)
        with self.daemon.start().client() as client:
            self.write(client, half)
        self.daemon.kill()
        with self.daemon.start().client() as client:
            self.write(client, whole[ACTIONS // 2 :])
            self.assertEqual(client.read(read_name(digest_of(outputs(0)[0]))), outputs(0)[0])
        self.assertEqual((self.backing.results, self.backing.blobs), ({}, {}))
        self.daemon.kill()
        self.backing.script.hang.clear()
        self.daemon.start()
        eventually(lambda: self.backing.results, "some of it is there")
        self.daemon.kill()
        self.daemon.start()
        eventually(lambda: len(self.backing.results) == ACTIONS, "all of it is there")
        self.assert_all_there(whole)
        self.assertNotIn("Traceback", self.daemon.log)

    def test_last_write_wins(self) -> None:
        """Of an action result that was written twice while nobody answered the newer one gets there."""
        self.backing.script.hang.set()
        with self.daemon.start().client() as client:
            for code in (1, 2):
                request = reapi.UpdateActionResultRequest(
                    action_digest=action(0), action_result=reapi.ActionResult(exit_code=code)
                )
                client.action_cache.UpdateActionResult(request)
        self.daemon.kill()
        self.backing.script.hang.clear()
        self.daemon.start()
        eventually(lambda: self.backing.results, "it is there")
        self.assertEqual(self.backing.results[action(0).hash].exit_code, 2)
        self.assertEqual(self.backing.order, [action(0).hash])

    def test_stop_does_not_wait_for_it(self) -> None:
        """A daemon before a backing cache that does not answer stops soon, and loses nothing."""
        self.backing.script.hang.set()
        with self.daemon.start().client() as client:
            self.write(client, range(3))
        began = time.monotonic()
        self.daemon.stop()
        self.assertLess(time.monotonic() - began, STOP_SECONDS)
        self.backing.script.hang.clear()
        self.daemon.start()
        eventually(lambda: len(self.backing.results) == 3, "all of it is there")
        self.assert_all_there(range(3))
