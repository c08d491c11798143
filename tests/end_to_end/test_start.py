"""What stops the start, and what is said then; what is said when it goes well."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from unittest import SkipTest

from tests.end_to_end.daemon import Daemon, DaemonTestCase, free_port


class RefusalTests(DaemonTestCase):
    """Each ends the process with one line that says what is wrong, and no traceback."""

    def refused(self, daemon: Daemon, *arguments: str) -> str:
        """Start a daemon that cannot start.

        :returns: the line.
        """
        daemon.launch(*arguments)
        self.assertNotEqual(daemon.wait(), 0, daemon.log)
        self.assertNotIn("Traceback", daemon.log)
        lines = daemon.log.splitlines()
        self.assertEqual(len(lines), 1, daemon.log)
        return lines[0]

    def with_configuration(self, text: str) -> str:
        """Start with a configuration file.

        :returns: the line it refuses with, after a look that the file is named in it.
        """
        daemon = self.make_daemon()
        path = daemon.folder / "gorego.yaml"
        path.write_text(text)
        line = self.refused(daemon, "--config", str(path))
        self.assertIn(str(path), line)
        return line

    def test_unknown_key(self) -> None:
        """A key that does not exist: the line names the file and the key."""
        self.assertIn("no_such_key", self.with_configuration("no_such_key: 1\n"))

    def test_unknown_inner_key(self) -> None:
        """The same below another key."""
        line = self.with_configuration("telemetry:\n  no_such_key: 1\n")
        self.assertIn("telemetry.no_such_key", line)

    def test_wrong_type(self) -> None:
        """A value of another type: the line names the key."""
        self.assertIn("max_blob_size_bytes", self.with_configuration("max_blob_size_bytes: lots\n"))

    def test_impossible_value(self) -> None:
        """A value that cannot be: the line names the key and what is allowed."""
        line = self.with_configuration("telemetry:\n  log_level: loud\n")
        for word in ("telemetry.log_level", "debug", "info", "warn", "error"):
            self.assertIn(word, line)

    def test_not_yaml(self) -> None:
        """A file that is no YAML."""
        self.with_configuration("a: [b\n")

    def test_no_such_file(self) -> None:
        """A configuration file that is not there."""
        daemon = self.make_daemon()
        self.assertIn("nowhere.yaml", self.refused(daemon, "--config", "/nowhere.yaml"))

    def test_bad_environment(self) -> None:
        """A value from the environment: the line names the variable."""
        daemon = self.make_daemon(GOREGO_LOCAL_CACHE_MAX_SIZE_GB="much")
        self.assertIn("GOREGO_LOCAL_CACHE_MAX_SIZE_GB", self.refused(daemon))

    def test_port_in_use(self) -> None:
        """The port of gRPC is taken: the line names it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            daemon = self.make_daemon(listen_addr=f"127.0.0.1:{port}")
            self.assertIn(str(port), self.refused(daemon))

    def test_metrics_port_in_use(self) -> None:
        """The port of the metrics is taken: the line names it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon = self.make_daemon()
            daemon.metrics_addr = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assertIn(daemon.metrics_addr.rpartition(":")[2], self.refused(daemon))

    def test_folder_in_use(self) -> None:
        """The cache folder belongs to a daemon that runs: the line names it, that one goes on."""
        first = self.make_daemon().start()
        second = self.make_daemon()
        second.cache_dir = first.cache_dir
        self.assertIn(str(first.cache_dir), self.refused(second))
        self.assertTrue(self.connect(first).is_serving())

    def test_folder_that_cannot_be(self) -> None:
        """The cache folder cannot be made: the line names it."""
        daemon = self.make_daemon()
        daemon.cache_dir = daemon.folder / "file" / "cache"
        (daemon.folder / "file").write_text("not a folder")
        self.assertIn(str(daemon.cache_dir), self.refused(daemon))

    def test_folder_that_cannot_be_written(self) -> None:
        """The cache folder is read-only: the line names it."""
        if os.geteuid() == 0:
            raise SkipTest("root may write everywhere")
        daemon = self.make_daemon()
        daemon.cache_dir.mkdir(mode=0o500)
        self.assertIn(str(daemon.cache_dir), self.refused(daemon))


class AnnouncementTests(DaemonTestCase):
    """The first lines of the log."""

    def test_says_where_how_large_and_what_to_tell_bazel(self) -> None:
        """The log has the address, the folder, the limit and Bazel's flag."""
        daemon = self.make_daemon(GOREGO_LOCAL_CACHE_MAX_SIZE_GB="3.5").start()
        for text in (f"--remote_cache=grpc://{daemon.listen_addr}", str(daemon.cache_dir), "3.5"):
            self.assertIn(text, daemon.log)

    def test_no_configuration_at_all(self) -> None:
        """Without any setting but HOME it serves on loopback, from the user's cache folder."""
        if not port_is_free(50051) or not port_is_free(9090):
            raise SkipTest("port 50051 or 9090 is taken")
        daemon = Unconfigured(self.make_folder(), listen_addr="127.0.0.1:50051")
        self.addCleanup(daemon.kill)
        daemon.start()
        self.assertIn("--remote_cache=grpc://127.0.0.1:50051", daemon.log)
        self.assertIn(str(daemon.folder / ".cache" / "gorego"), daemon.log)
        self.assertEqual({address for address, port in listening(daemon)}, {"127.0.0.1"})
        daemon.stop()

    def test_any_host(self) -> None:
        """An address without a host, ":port", listens for everyone."""
        port = free_port()
        daemon = self.make_daemon(listen_addr=f":{port}")
        daemon.start()
        self.assertTrue(
            {(a, p) for a, p in listening(daemon) if p == port} & {("0.0.0.0", port), ("::", port)}
        )


class Unconfigured(Daemon):
    """A daemon that is told nothing."""

    @property
    def environment(self) -> dict[str, str]:
        """Neither variables of its own nor a cache folder of the user's choice."""
        kept = {k: v for k, v in super().environment.items() if not k.startswith("GOREGO_")}
        kept.pop("XDG_CACHE_HOME", None)
        return kept | {"HOME": str(self.folder)}


def port_is_free(port: int) -> bool:
    """Whether one can listen there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def listening(daemon: Daemon) -> set[tuple[str, int]]:
    """The addresses and TCP ports that the process listens on (proc(5), net/tcp)."""
    process = Path(f"/proc/{daemon.process.pid}")
    inodes = {str(fd.readlink())[8:-1] for fd in (process / "fd").iterdir() if fd.is_symlink()}
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                found.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return found
