"""A daemon whose disk is filled up by somebody else, and freed again."""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually
from tests.end_to_end.file_systems import MIB, tmpfs

#: What a write there is no room for ends with. LMDB has the same word for a write that was cut short by
#: the end of the disk and for a disk that fails; by the time the disk is asked which it was, there may be
#: room again.
REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


class FullDiskTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(7)
        folder = self.make_folder()
        self.disk = tmpfs(self, folder / "disk", 32 * MIB)
        self.daemon = Daemon(folder)
        self.daemon.cache_dir = self.disk.place / "cache"
        self.addCleanup(self.daemon.kill)
        self.blobs: list[bytes] = []

    def put(self, client: Client, size: int) -> bool:
        """Whether a new blob is taken; if not, then for want of room."""
        data = self.random.randbytes(size)
        request = reapi.BatchUpdateBlobsRequest.Request(digest=digest_of(data), data=data)
        answer = client.cas.BatchUpdateBlobs(reapi.BatchUpdateBlobsRequest(requests=[request]))
        code = answer.responses[0].status.code
        self.assertIn(code, (0, *(refusal.value[0] for refusal in REFUSALS)), answer)
        if not code:
            self.blobs.append(data)
        return not code

    def stream(self, client: Client, size: int) -> bool:
        """The same with a stream."""
        data = self.random.randbytes(size)
        try:
            client.upload(data)
        except grpc.RpcError as error:
            self.assertIn(error.code(), REFUSALS)
            return False
        self.blobs.append(data)
        return True

    def put_result(self, client: Client) -> bool:
        """The same with an action result."""
        result = reapi.ActionResult(stderr_raw=self.random.randbytes(3000))
        digest = digest_of(self.random.randbytes(20))
        try:
            client.action_cache.UpdateActionResult(
                reapi.UpdateActionResultRequest(action_digest=digest, action_result=result)
            )
        except grpc.RpcError as error:
            self.assertIn(error.code(), REFUSALS)
            return False
        return True

    def served(self, client: Client) -> int:
        """How many blobs are served, after a look that none is wrong."""
        count = 0
        for data in self.blobs:
            try:
                self.assertEqual(client.read(read_name(digest_of(data))), data)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
            else:
                count += 1
        return count

    def assert_well(self, client: Client) -> None:
        """All kinds of writes are taken, all that was taken is right, and nothing was found damaged."""
        for size in (100, 5000, 600_000):
            self.assertTrue(self.put(client, size))
        self.assertTrue(self.put_result(client))
        for data in self.blobs[-3:]:
            self.assertEqual(client.read(read_name(digest_of(data))), data)
        self.served(client)
        for word in ("Traceback", "damage", "dropped"):
            self.assertNotIn(word, self.daemon.log)

    def start(self) -> Client:
        """Start the daemon, and store something."""
        self.daemon.start()
        client = self.connect(self.daemon)
        for size in (100, 5000, 600_000) * 10:
            self.assertTrue(self.put(client, size))
        return client

    def write_for(self, client: Client, seconds: float, then: Callable[[], object]) -> None:
        """Write and read, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for size in (100, 5000, 600_000):
                self.put(client, size)
            self.stream(client, 2_000_000)
            self.put_result(client)
            then()
            self.served(client)

    def test_filled_and_freed(self) -> None:
        """On a disk that others have filled old blobs make room for new ones; later there is room."""
        client = self.start()
        filler = self.disk.fill()
        self.write_for(client, 3, bool)
        eventually(lambda: self.put(client, 5000), "old blobs have made room")
        filler.unlink()
        eventually(lambda: self.stream(client, 1_000_000), "there is room again")
        self.assert_well(client)
        self.daemon.stop()

    def test_filled_again_and_again(self) -> None:
        """Where every byte that is freed is taken by others, writes are refused and reads go on."""
        client = self.start()
        self.write_for(client, 3, self.disk.fill)
        filler = self.disk.fill()
        filler.unlink()
        eventually(lambda: self.stream(client, 1_000_000), "there is room again")
        self.assert_well(client)
        self.daemon.stop()

    def test_stopped_and_started_while_full(self) -> None:
        """A daemon whose disk is full stops and starts; nothing that it had is wrong."""
        client = self.start()
        filler = self.disk.fill()
        self.daemon.terminate()
        self.daemon.wait()
        self.disk.fill()
        self.daemon.launch()
        eventually(lambda: client.is_serving() or not self.daemon.is_running, "an answer")
        if self.daemon.is_running:
            self.served(client)
            filler.unlink()
        else:
            self.assertIn("No space left on device", self.daemon.log)
            filler.unlink()
            self.daemon.start()
        eventually(lambda: self.stream(client, 1_000_000), "there is room again")
        self.daemon.stop()

    def test_filled_further_than_eviction_helps(self) -> None:
        """Where all of the cache would not make room enough, nothing of it goes, and calls are said not to be taken."""
        self.daemon.start()
        client = self.connect(self.daemon)
        for _ in range(5):
            self.assertTrue(self.put(client, 50_000))
        filler = self.disk.fill()
        os.truncate(filler, filler.stat().st_size - MIB // 2)
        eventually(lambda: not client.is_serving(), "not ready")
        eventually(
            lambda: "not ready: local_tier: local tier: no room" in self.daemon.log, "the reason"
        )
        time.sleep(2)  # the janitor looks each second
        self.assertFalse(self.put(client, 50_000))
        self.assertEqual(self.served(client), 5)
        filler.unlink()
        eventually(client.is_serving, "ready again")
        self.assert_well(client)
        self.assertEqual(self.served(client), 5 + 3)
        self.daemon.stop()

    def test_damaged_while_full(self) -> None:
        """A damaged index is made anew on a disk without any room, with what is kept for that."""
        self.start()
        self.daemon.stop()
        index = self.daemon.cache_dir / "index" / "data.mdb"
        index.write_bytes(b"?" * index.stat().st_size)
        filler = self.disk.fill()
        self.daemon.start()
        client = self.connect(self.daemon)
        eventually(lambda: self.served(client) > 10, "most files are known")
        filler.unlink()
        eventually(lambda: self.stream(client, 1_000_000), "there is room again")
        self.daemon.stop()


class FileNumberTests(DaemonTestCase):
    """The file system is for 700 files and folders, however small they are."""

    def test_no_more_files(self) -> None:
        """Old blobs make room for new ones, though there is no lack of bytes, and it is told."""
        folder = self.make_folder()
        daemon = Daemon(folder)
        daemon.cache_dir = tmpfs(self, folder / "disk", 32 * MIB, 700).place / "cache"
        self.addCleanup(daemon.kill)
        client = self.connect(daemon.start())
        blobs = [random.Random(seed).randbytes(5000) for seed in range(800)]
        old = [blobs.pop() for _ in range(400)]
        for data in old:
            client.upload(data)
            self.assertEqual(client.read(read_name(digest_of(data))), data)
        time.sleep(2)  # the last use is known to the second: the others are younger

        def are_taken() -> bool:
            try:
                while blobs:
                    client.upload(blobs[-1])
                    last = blobs.pop()
                    self.assertEqual(client.read(read_name(digest_of(last))), last)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            return not blobs

        eventually(are_taken, "old blobs have made room")
        self.assertIn("files too few left", daemon.log)
        daemon.stop()


class FileSizeTests(DaemonTestCase):
    """No file may become longer than a few MiB (RLIMIT_FSIZE): neither blobs nor the index."""

    def test_no_longer_file(self) -> None:
        """What does not fit is refused, what fits is taken, and the daemon lives on."""
        daemon = self.make_daemon()
        daemon.start()
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4 * MIB, -1))
        client = self.connect(daemon)
        with self.assertRaises(grpc.RpcError) as caught:
            client.upload(random.Random(1).randbytes(6 * MIB))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        blobs = [random.Random(seed).randbytes(3000) for seed in range(2000)]
        taken = []
        for data in blobs:
            try:
                client.upload(data)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            else:
                taken.append(data)
        self.assertTrue(100 < len(taken) < len(blobs), len(taken))
        for data in taken:
            self.assertEqual(client.read(read_name(digest_of(data))), data)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        client.upload(blobs[-1])
        client.upload(random.Random(1).randbytes(6 * MIB))
        daemon.stop()
