"""What a full cache lets go of, and what it says of a larger one."""

from __future__ import annotations

import json
import os
from time import sleep

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.client import MIB, Client, digest_of
from tests.end_to_end.daemon import Daemon, DaemonTestCase, eventually, free_port
from tests.end_to_end.pages import metric


def store(client: Client, data: bytes) -> reapi.Digest:
    """Upload a blob; again, if there was no room yet."""

    def stored() -> bool:
        try:
            client.upload(data)
        except grpc.RpcError:
            return False
        return True

    eventually(stored, "there is room for a blob")
    return digest_of(data)


def keep_result(client: Client, name: bytes, outputs: list[reapi.Digest]) -> reapi.Digest:
    """Store an action result that refers to those blobs."""
    action = digest_of(name)
    files = [reapi.OutputFile(path=output.hash, digest=output) for output in outputs]
    result = reapi.ActionResult(output_files=files)
    client.action_cache.UpdateActionResult(
        reapi.UpdateActionResultRequest(action_digest=action, action_result=result)
    )
    return action


class PinTests(DaemonTestCase):
    def missing_after_a_flood(self, **settings: str) -> tuple[int, Daemon]:
        """How many of the blobs of an answered result are gone after uploads of twice the limit."""
        daemon = self.make_daemon(GOREGO_LOCAL_CACHE_MAX_SIZE_GB="0.03", **settings)
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        client = self.connect(daemon.start())
        outputs = [store(client, os.urandom(MIB)) for _ in range(3)]
        action = keep_result(client, b"action", outputs)
        client.action_cache.GetActionResult(reapi.GetActionResultRequest(action_digest=action))
        sleep(1.1)  # last uses are kept in whole seconds: what comes now is younger
        for _ in range(60):
            store(client, os.urandom(MIB))
        self.assertGreater(metric(daemon, 'gorego_janitor_evictions_total{unit="files"}'), 30)
        return len(client.find_missing(outputs)), daemon

    def test_answered(self) -> None:
        """What an action result refers to that was answered stays while twice the limit is uploaded."""
        missing, daemon = self.missing_after_a_flood()
        self.assertEqual(missing, 0)
        self.assertEqual(metric(daemon, 'gorego_pins_released_total{reason="need"}'), 0)

    def test_switched_off(self) -> None:
        """Unless that is not wanted."""
        missing, _ = self.missing_after_a_flood(GOREGO_LOCAL_CACHE_MIN_AGE_SECONDS="0")
        self.assertGreater(missing, 0)


class EstimateTests(DaemonTestCase):
    def test_a_life(self) -> None:
        """What is estimated is in the metrics, in the folder, and there again after a restart."""
        daemon = self.make_daemon()
        daemon.metrics_addr = f"127.0.0.1:{free_port()}"
        client = self.connect(daemon.start())
        blob = store(client, os.urandom(33 * MIB))
        for number in range(300):
            action = digest_of(b"action %d" % number)
            request = reapi.GetActionResultRequest(action_digest=action)
            self.assertRaises(grpc.RpcError, client.action_cache.GetActionResult, request)
        client.find_missing([blob] * 4)
        name = 'gorego_estimated_hit_ratio{kind="action_result",limit="2"}'
        before = metric(daemon, name)
        self.assertLess(before, 1)
        daemon.stop()
        report = json.loads((daemon.cache_dir / "reuse.json").read_text())
        self.assertAlmostEqual(report["lookups"]["action_result"], 300, places=0)
        self.assertEqual(len(report["stack"]), report["samples"])
        self.assertGreaterEqual(report["samples"], 1)  # the large blob always is
        daemon.start()
        self.assertAlmostEqual(metric(daemon, name), before, places=4)
        daemon.stop()

    def test_without_metrics(self) -> None:
        """A daemon that has no port for metrics estimates for who asks the folder."""
        daemon = self.make_daemon()
        daemon.metrics_addr = ""
        client = self.connect(daemon.start())
        client.find_missing([client.upload(b"blob")])
        daemon.stop()
        report = json.loads((daemon.cache_dir / "reuse.json").read_text())
        self.assertEqual(report["lookups"]["blob"], 1)
