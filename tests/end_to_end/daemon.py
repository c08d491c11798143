"""The daemon under test: started as a user starts it, in a process group of its own."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

from twisted.trial.unittest import SynchronousTestCase

from tests.end_to_end.client import Client

CHECKOUT = Path(__file__).resolve().parents[2]
TWISTD = Path(sys.executable).parent / "twistd"

START_SECONDS = 30.0
STOP_SECONDS = 45.0
POLL_SECONDS = 0.02

#: Above those of well-known services, below those that Linux gives to whoever asks for any.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at this moment.

    The kernel gives none of these to a socket that asks for any port, so that it stays free.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Ask until ``condition`` holds.

    :raises AssertionError: it does not within ``seconds``.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(POLL_SECONDS)


class Daemon:
    """One daemon on free ports of the loopback interface.

    :param folder: for its cache and its log; its owner removes it.
    :param listen_addr: as in the configuration; "" is a free TCP port.
    :param settings: more of the configuration, as names and values of environment variables.
    """

    def __init__(self, folder: Path, *, listen_addr: str = "", **settings: str) -> None:
        self.folder = folder
        self.cache_dir = folder / "cache"
        self.log_path = folder / "log"
        self.listen_addr = listen_addr or f"127.0.0.1:{free_port()}"
        self.metrics_addr = "127.0.0.1:0"
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without its GOREGO_ variables, and those of the daemon."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GOREGO_")}
        own = {
            "PYTHONPATH": str(CHECKOUT),
            "GOREGO_LISTEN_ADDR": self.listen_addr,
            "GOREGO_LOCAL_CACHE_DIR": str(self.cache_dir),
            "GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "5",
            "GOREGO_TELEMETRY_METRICS_ADDR": self.metrics_addr,
        }
        return inherited | own | self.settings

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the process; it need not come to serve.

        :param arguments: what follows ``twistd gorego``.
        """
        command = [str(TWISTD), "--nodaemon", "--pidfile=", "gorego", *arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def start(self, *arguments: str) -> Self:
        """Start it and wait until it says that it serves.

        :raises AssertionError: it does not; the message has its log.
        """
        process = self.launch(*arguments)
        with self.client() as client:

            def answers() -> bool:
                if process.poll() is not None:
                    raise AssertionError(f"exit code {process.returncode}\n{self.log}")
                return client.is_serving()

            eventually(answers, f"the daemon serves\n{self.log}")
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, running or ended."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def target(self) -> str:
        """Where it is, in the words of gRPC."""
        anywhere = self.listen_addr.startswith(":")
        return f"127.0.0.1{self.listen_addr}" if anywhere else self.listen_addr

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client on a connection of its own, for the length of a ``with`` block."""
        client = Client(self.target)
        try:
            yield client
        finally:
            client.close()

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end.

        :returns: the exit code.
        :raises AssertionError: it lives on.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s\n{self.log}") from None

    def stop(self) -> None:
        """Stop it as a service manager does.

        :raises AssertionError: it did not end with exit code 0.
        """
        self.terminate()
        code = self.wait()
        if code != 0:
            raise AssertionError(f"exit code {code}\n{self.log}")

    def kill(self) -> None:
        """End it with SIGKILL; nothing happens if it has ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it wrote so far, of all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory_bytes(self, field: str) -> int:
        """A figure of /proc/PID/status: VmRSS is what is resident now, VmHWM the most that ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert match is not None, f"no {field}"
        return int(match[1]) * 1024

    def reset_peak_memory(self) -> None:
        """Let VmHWM start again from what is resident now (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class DaemonTestCase(SynchronousTestCase):
    """Tests that start daemons, and leave neither process nor file behind."""

    def make_folder(self) -> Path:
        """A new folder, with a path short enough for a unix socket, that goes with the test."""
        folder = tempfile.TemporaryDirectory(prefix="gorego-test-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def make_daemon(self, **options: str) -> Daemon:
        """A daemon that is not started yet.

        :param options: as for :class:`Daemon`.
        """
        daemon = Daemon(self.make_folder(), **options)
        self.addCleanup(daemon.kill)
        return daemon

    def connect(self, daemon: Daemon, *options: tuple[str, Any], **more: Any) -> Client:
        """A client that is closed after the test; its parameters are those of :class:`Client`."""
        client = Client(daemon.target, *options, **more)
        self.addCleanup(client.close)
        return client


class SharedDaemonTestCase(DaemonTestCase):
    """Tests that do not mind each other's blobs: they share a daemon, and have a client each."""

    def setUp(self) -> None:
        """Connect."""
        super().setUp()
        self.daemon = shared_daemon()
        self.client = self.connect(self.daemon)


def shared_daemon() -> Daemon:
    """The daemon that all tests share which can, started by the first of them."""
    daemon = _shared_daemon()
    if not daemon.is_running:
        daemon.start()
    return daemon


@cache
def _shared_daemon() -> Daemon:
    # Trial has no hook for the end of a class or a module of tests.
    folder = tempfile.TemporaryDirectory(prefix="gorego-test-")
    atexit.register(folder.cleanup)
    daemon = Daemon(Path(folder.name))
    atexit.register(daemon.kill)
    return daemon
