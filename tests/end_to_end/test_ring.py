"""Daemons that are, one through another, their own backing caches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, digest_of, read_name
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port

#: How long a call may take that goes round once, in seconds; a read that goes round for ever waits a minute.
ROUND_SECONDS = 10.0

#: What a daemon says to which a call has come back.
REFUSED = "a call was refused: a ring of backing caches"


class RingTests(DaemonTestCase):
    def make_ring(self, count: int, **backing_cache: str) -> list[Daemon]:
        """So many daemons, each with the next one behind it, and the first behind the last."""
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(count)]
        keys = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in backing_cache.items()}
        ring = []
        for number, address in enumerate(addresses):
            target = f"grpc://{addresses[(number + 1) % count]}"
            daemon = self.make_daemon(GOREGO_BACKING_CACHE_TARGET=target, **keys)
            daemon.listen_addr = address
            ring.append(daemon.start())
        for daemon in ring:  # what does not answer yet is a miss
            eventually(partial(self.has_greeted, daemon), "the next one answers")
        return ring

    def has_greeted(self, daemon: Daemon) -> bool:
        """Whether the one behind it has answered."""
        return bool(re.search(r"the backing cache \S+ answers", daemon.log))

    def refused(self, call: Callable[[], object]) -> str:
        """Why a call is refused, soon."""
        began = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertLess(time.monotonic() - began, ROUND_SECONDS)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        return str(caught.exception.details())

    def get(self, client: Client) -> reapi.ActionResult:
        """An action result that nobody has."""
        request = reapi.GetActionResultRequest(action_digest=digest_of(b"nobody has it"))
        result: reapi.ActionResult = client.action_cache.GetActionResult(request)
        return result

    def test_named(self) -> None:
        """Whatever would go round for ever is refused, with the ring; what is here is served."""
        ring = self.make_ring(3)
        client = self.connect(ring[0])
        absent = digest_of(b"nobody has it either")
        first, second, third = (daemon.listen_addr for daemon in ring)
        for call in (
            lambda: self.get(client),
            lambda: client.find_missing([absent]),
            lambda: client.read(read_name(absent)),
            lambda: client.upload(b"x" * 1_000_000),
        ):
            told = self.refused(call)
            self.assertRegex(told, rf"ring .*/{first} -> .*/{second} -> .*/{third} -> .*/{first};")
        self.assertEqual(client.read(read_name(digest_of(b"x" * 1_000_000))), b"x" * 1_000_000)
        self.assertEqual(ring[0].log.count(REFUSED), 1)

    def test_queues(self) -> None:
        """What was acknowledged and is uploaded later does not go round for ever either."""
        ring = self.make_ring(2, write_policy="back")
        client = self.connect(ring[0])
        request = reapi.UpdateActionResultRequest(
            action_digest=digest_of(b"action"), action_result=reapi.ActionResult(stdout_raw=b"out")
        )
        client.action_cache.UpdateActionResult(request)
        eventually(lambda: REFUSED in ring[0].log, "it has come back")
        eventually(lambda: "upload queue: " in ring[1].log, "the queue tells why it waits")
        self.assertNotIn(REFUSED, ring[1].log)
