"""The two servers, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc

from bench import content
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import Client, write_name, write_requests
from tests.end_to_end.daemon import CHECKOUT, Daemon, eventually, free_port

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Contestant(NamedTuple):
    """A server that runs."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """The processor time it has used, in its threads and in the kernel (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@contextmanager
def gorego(folder: Path) -> Iterator[Contestant]:
    """The daemon as it is, with everything stored that will be asked for."""
    daemon = Daemon(folder)
    try:
        daemon.start()
        with daemon.client() as client:
            fill(client)
        port = int(daemon.target.rpartition(":")[2])
        yield Contestant("gorego", port, daemon.process.pid)
        daemon.stop()
    finally:
        daemon.kill()


def fill(client: Client) -> None:
    """Upload the blobs and the action result."""
    for blob in (*content.outputs(), content.large_blob()):
        digest = content.digest_of(blob)
        client.byte_stream.Write(write_requests(write_name(digest, content.INSTANCE_NAME), blob))
    client.batch_update(*content.known_blobs())
    request = content.get_action_result()
    client.action_cache.UpdateActionResult(
        reapi.UpdateActionResultRequest(
            instance_name=request.instance_name,
            action_digest=request.action_digest,
            action_result=content.action_result(),
        )
    )


@contextmanager
def grpcio() -> Iterator[Contestant]:
    """The server made with grpcio, which answers the same from memory."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.grpcio_server", str(port)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
    )
    try:
        client = Client(f"127.0.0.1:{port}")
        eventually(lambda: answers(client), "grpcio's server answers")
        client.close()
        yield Contestant("grpcio", port, process.pid)
    finally:
        process.kill()
        process.wait()


def answers(client: Client) -> bool:
    """Whether the server has the action result."""
    request = content.get_action_result()
    try:
        result = client.action_cache.GetActionResult(request, timeout=1)
    except grpc.RpcError:
        return False
    return bool(result == content.action_result())
