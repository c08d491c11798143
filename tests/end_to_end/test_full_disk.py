"""A daemon whose disk is filled up by somebody else, and freed again."""

from __future__ import annotations

import random
import time

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually
from tests.end_to_end.file_systems import MIB, tmpfs

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


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
        self.assertIn(code, (0, EXHAUSTED.value[0]), answer)
        if not code:
            self.blobs.append(data)
        return not code

    def stream(self, client: Client, size: int) -> bool:
        """The same with a stream."""
        data = self.random.randbytes(size)
        try:
            client.upload(data)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), EXHAUSTED)
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
            self.assertEqual(error.code(), EXHAUSTED)
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

    def fill_up_to(self, free_bytes: int) -> None:
        """Leave so much."""
        with (self.disk.place / "other").open("wb") as file:
            file.write(bytes(self.disk.free_bytes - free_bytes))

    def test_filled_by_others_and_freed(self) -> None:
        """Writes end in RESOURCE_EXHAUSTED, reads go on; when there is room again nothing is lost."""
        self.daemon.start()
        client = self.connect(self.daemon)
        for size in (100, 5000, 600_000) * 3:
            self.assertTrue(self.put(client, size))
        before = len(self.blobs)
        filler = self.disk.fill()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for size in (100, 5000, 600_000):
                self.put(client, size)
            self.stream(client, 2_000_000)
            self.put_result(client)
            self.disk.fill()
            self.served(client)
        self.assertTrue(self.daemon.is_running)
        filler.unlink()
        eventually(lambda: self.stream(client, 1_000_000), "there is room again")
        for size in (100, 5000, 600_000):
            self.assertTrue(self.put(client, size))
        self.assertTrue(self.put_result(client))
        print(self.served(client), len(self.blobs), before)
        print(self.daemon.log[-3000:])
        self.daemon.stop()
