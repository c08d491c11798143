"""A daemon on a disk of its own whose power is cut, in the middle of the traffic."""

from __future__ import annotations

import random

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.storage.checkpoint_record import CheckpointRecord
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually
from tests.end_to_end.file_systems import MIB, Disk

SIZES = (100, 3000, 5000, 50_000, 700_000)
CHECKPOINT_SECONDS = 1


class PowerCutTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(6)
        folder = self.make_folder()
        self.disk = Disk(self, folder / "disk", 256 * MIB)
        self.daemon = Daemon(
            folder,
            GOREGO_LOCAL_CACHE_MAX_SIZE_GB="0.2",
            GOREGO_LOCAL_CACHE_CHECKPOINT_SECONDS=str(CHECKPOINT_SECONDS),
        )
        self.daemon.cache_dir = self.disk.place / "cache"
        self.addCleanup(self.daemon.kill)
        self.blobs: dict[str, bytes] = {}

    def put(self, client: Client, times: int) -> list[str]:
        """Upload blobs of all sizes.

        :returns: their hashes.
        """
        hashes = []
        for _ in range(times):
            for size in SIZES:
                data = self.random.randbytes(size)
                digest = client.batch_update(data)[0]
                self.blobs[digest.hash] = data
                hashes.append(digest.hash)
        return hashes

    def action(self, number: int) -> reapi.Digest:
        return digest_of(b"action %d" % number)

    def put_result(self, client: Client, number: int) -> None:
        """Store an action result that refers to nothing."""
        result = reapi.ActionResult(exit_code=number)
        client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(action_digest=self.action(number), action_result=result)
        )

    def checkpoint(self) -> None:
        """Wait until all that was answered by now is on the disk."""
        seen = []
        for _ in range(2):  # one that was under way may have begun earlier
            record = CheckpointRecord.read(self.daemon.cache_dir / "index")
            seen.append(record)
            with self.daemon.client() as client:
                self.put_result(client, 1000 + len(seen))
            eventually(
                lambda: CheckpointRecord.read(self.daemon.cache_dir / "index") != seen[-1],
                "a checkpoint",
            )

    def cut(self) -> None:
        """Cut the power, and start in what is the next boot as far as the daemon can tell."""
        self.disk.cut()
        self.daemon.kill()
        self.disk.unmount()
        self.disk.mount()
        record = CheckpointRecord.read(self.daemon.cache_dir / "index")
        assert record is not None
        self.assertFalse(record.clean)
        record._replace(boot_id="an earlier one").write(self.daemon.cache_dir / "index")
        self.daemon.start()

    def wait_for_comparison(self, times: int) -> None:
        """Wait until index and files were compared so often."""
        line = '"message": "index and files are in step'
        eventually(lambda: self.daemon.log.count(line) == times, "index and files are compared")

    def served(self, client: Client) -> set[str]:
        """The blobs that are served, after a look that none is wrong."""
        served = set()
        for hash_, data in self.blobs.items():
            try:
                found = client.read(read_name(digest_of(data)))
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
            else:
                self.assertEqual(found, data)
                served.add(hash_)
        return served

    def test_in_the_middle_of_the_traffic(self) -> None:
        """After each of some power cuts all is there that was at the checkpoint, and nothing is wrong."""
        self.daemon.start()
        kept: set[str] = set()
        for number in range(3):
            with self.daemon.client() as client:
                kept |= set(self.put(client, 4))
                self.put_result(client, number)
                self.checkpoint()
                self.put(client, 6 + 10 * number)
            self.cut()
            with self.daemon.client() as client:
                served = self.served(client)
                self.assertEqual(kept - served, set(), self.daemon.log)
                kept = served  # what is served once is there to stay, from the next checkpoint on
                for earlier in range(number + 1):
                    request = reapi.GetActionResultRequest(action_digest=self.action(earlier))
                    found = client.action_cache.GetActionResult(request)
                    self.assertEqual(found.exit_code, earlier)
                self.wait_for_comparison(number + 1)
                self.checkpoint()
        self.assertEqual(self.daemon.log.count("the machine went down"), 3)
        self.assertNotIn("Traceback", self.daemon.log)
        self.daemon.stop()
