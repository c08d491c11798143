"""``gorego cache`` beside a daemon that is at work in the same folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import grpc

from gorego_tw.command.access import Location, Unusable
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.gorego.control.v1.control_pb2 import StatRequest, StatResponse
from tests.end_to_end.client import digest_of, read_name
from tests.end_to_end.daemon import CHECKOUT, DaemonTestCase

LARGE, SMALL = os.urandom(3_000_000), b"small"


class CommandTests(DaemonTestCase):
    def setUp(self) -> None:
        self.daemon = self.make_daemon().start()
        self.client = self.connect(self.daemon)
        self.large = self.client.upload(LARGE)
        (self.small,) = self.client.batch_update(SMALL)
        self.action = digest_of(b"action")
        self.result = reapi.ActionResult()
        for digest in (self.large, self.small):
            self.result.output_files.add(path=digest.hash, digest=digest)
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(action_digest=self.action, action_result=self.result)
        )

    def run_command(self, *arguments: str, data: bytes = b"", code: int = 0) -> bytes:
        """What ``gorego cache`` writes to standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "gorego_tw.command.main", "cache", *arguments],
            env=self.daemon.environment | {"PYTHONPATH": str(CHECKOUT)},
            input=data,
            capture_output=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def fail_to_print(self, *arguments: str) -> None:
        """With a standard output that takes nothing it ends with a line and exit code 1."""
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "gorego_tw.command.main", "cache", *arguments],
                env=self.daemon.environment | {"PYTHONPATH": str(CHECKOUT)},
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
                timeout=60,
            )
        self.assertEqual(done.stderr, b"Error: standard output: No space left on device\n")
        self.assertEqual(done.returncode, 1)

    def get_action_result(self) -> reapi.ActionResult:
        request = reapi.GetActionResultRequest(action_digest=self.action)
        result: reapi.ActionResult = self.client.action_cache.GetActionResult(request)
        return result

    def test_it_asks_the_daemon(self) -> None:
        """Figures are those of the daemon, over a socket for its owner alone."""
        figures = json.loads(self.run_command("stat", "--json"))
        self.assertEqual(figures["pid"], self.daemon.process.pid)
        self.assertEqual(figures["limit_bytes"], 5_000_000_000)
        mode = (self.daemon.cache_dir / "control").stat().st_mode
        self.assertEqual((stat.S_ISSOCK(mode), stat.S_IMODE(mode)), (True, 0o600))

    def test_what_the_daemon_remembers(self) -> None:
        """A result that the daemon knows to be complete is a miss when a blob of it was removed."""
        for _ in range(3):
            self.assertEqual(self.get_action_result(), self.result)
        self.run_command("rm", self.large.hash)
        with self.assertRaises(grpc.RpcError) as raised:
            self.get_action_result()
        self.assertIs(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.run_command("put", "-", data=LARGE)
        self.assertEqual(self.get_action_result(), self.result)
        self.assertEqual(self.client.read(read_name(self.large)), LARGE)

    def test_there_and_back(self) -> None:
        """What is exported can be imported when it was lost."""
        archive = self.run_command("export")
        for digest in (self.large, self.small):
            self.run_command("rm", digest.hash)
        self.assertEqual(self.run_command("ls"), b"")
        self.run_command("import", data=archive)
        self.assertEqual(self.run_command("get", self.large.hash), LARGE)
        self.assertEqual(self.get_action_result(), self.result)

    def test_import_of_what_is_there(self) -> None:
        """Blobs that the daemon does not want to hear again do not confuse the archive."""
        self.run_command("import", data=self.run_command("export"))

    def test_a_damaged_archive(self) -> None:
        """What is wrong with an archive is told when the daemon gets it, too."""
        archive = self.run_command("export")
        self.run_command("rm", self.large.hash)
        self.run_command("import", data=archive[: len(archive) // 2], code=1)
        self.assertEqual(self.client.find_missing([self.large]), [self.large])

    def test_repair(self) -> None:
        """Damage is found and dropped while the daemon serves."""
        path = next((self.daemon.cache_dir / "cas").glob(f"*/*/{self.large.hash}"))
        with path.open("r+b") as file:
            file.write(bytes(10))
        self.run_command("verify", code=1)
        self.run_command("verify", "--repair", code=1)
        self.run_command("verify")
        self.assertEqual(self.client.find_missing([self.large]), [self.large])

    def test_before_and_after(self) -> None:
        """The folder that a daemon was killed in answers as well, and so does the next daemon."""
        self.daemon.kill()
        entries = self.run_command("ls")
        self.daemon.start()
        self.assertEqual(self.run_command("ls"), entries)
        self.daemon.stop()
        self.assertFalse((self.daemon.cache_dir / "control").exists())
        self.assertEqual(self.run_command("ls"), entries)

    def test_a_daemon_that_ends(self) -> None:
        """That the daemon has ended meanwhile is told as that, and not as a folder that somebody else holds."""
        location = Location(self.daemon.cache_dir, None, is_configured=True)
        with self.assertRaises(Unusable) as caught, location.opened() as connection:
            self.daemon.kill()
            connection.ask("Stat", StatRequest(), StatResponse)
        told = f"{self.daemon.cache_dir}: the daemon there has ended before all was done"
        self.assertTrue(caught.exception.message.startswith(told), caught.exception.message)

    def test_no_room_for_what_it_writes(self) -> None:
        """That is told in a line, with a daemon and without one, and nothing fails after it."""
        self.client.batch_update(*(os.urandom(20_000) for _ in range(10)))
        for _ in range(2):
            self.fail_to_print("export")
            self.fail_to_print("get", self.small.hash)
            self.daemon.stop()
