"""The object graph."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw import assembly, local_tier
from gorego_tw.assembly import (
    assemble,
    cache_services,
    endpoint,
    make_daemon,
    service_names,
    warn_of_unused,
    web_port,
)
from gorego_tw.config import Configuration, load
from gorego_tw.lifecycle import Opened, StartError
from gorego_tw.local_tier import cache_size, open_tier
from gorego_tw.pages import Shown
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.telemetry.kept import Kept
from gorego_tw.telemetry.log import Log
from gorego_tw.telemetry.registry import make_registry


class Reactor(MemoryReactorClock):
    """A reactor in memory that can be called from threads, of which there are none."""

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        callable(*args, **kwargs)


class InlineDiskThreads(NoDiskThreads, Service):
    """Stands for the pool, without threads."""

    def __init__(self, reactor: object, threads: int = 1, **_: object) -> None:
        """As of the pool."""


class AssemblyTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        for module in (assembly, local_tier):
            self.patch(module, "DiskThreadPool", InlineDiskThreads)
        self.reactor = Reactor()
        self.folder: str = self.mktemp()

    def configuration(self, **variables: str) -> Configuration:
        """A configuration with a cache folder of the test's own."""
        own = {"GOREGO_LOCAL_CACHE_DIR": self.folder, "GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "0.1"}
        return load(None, own | variables)


class AssembleTests(AssemblyTestCase):
    def names(self, services: Iterable[IService]) -> list[str]:
        return [type(service).__name__ for service in services]

    def test_the_order(self) -> None:
        """Signals and threads come first, then the store, what tends it, the ports, the word that we are here."""
        services = list(
            assemble(self.configuration(), self.reactor, lambda: True, self.fail, Log())
        )
        names = self.names(services)
        self.assertEqual(names[:3], ["ExitSignals", "StandardLoggingService", "InlineDiskThreads"])
        self.assertLess(names.index("InlineDiskThreads"), names.index("Opened"))
        self.assertEqual(
            names[-6:], ["Port", "ControlPort", "Port", "SettledHeap", "Announcement", "Readiness"]
        )
        opened = next(service for service in services if isinstance(service, Opened))
        self.successResultOf(opened.stopService())

    def test_compression(self) -> None:
        """What compresses is there if it is configured: its thread before it, both after the store."""
        configuration = self.configuration(GOREGO_LOCAL_CACHE_COMPRESSION="zstd")
        services = list(assemble(configuration, self.reactor, lambda: True, self.fail, Log()))
        at = self.names(services).index("Opened")
        expected = ["Opened", "CrashNote", "InlineDiskThreads", "Compressing"]
        self.assertEqual(self.names(services)[at : at + 4], expected)
        opened = next(service for service in services if isinstance(service, Opened))
        self.successResultOf(opened.stopService())
        self.assertEqual((Path(self.folder) / "version").read_text(encoding="ascii"), "6\n")

    def test_no_compression(self) -> None:
        """Without it nothing is compressed, and the folder stays one for programs that do not know it."""
        services = list(
            assemble(self.configuration(), self.reactor, lambda: True, self.fail, Log())
        )
        self.assertNotIn("Compressing", self.names(services))
        opened = next(service for service in services if isinstance(service, Opened))
        self.successResultOf(opened.stopService())
        self.assertEqual((Path(self.folder) / "version").read_text(encoding="ascii"), "5\n")

    def test_no_page_without_an_address(self) -> None:
        """An empty metrics_addr opens no port for the pages."""
        configuration = self.configuration(GOREGO_TELEMETRY_METRICS_ADDR="")
        shown = Shown({}, {}, make_registry(), Kept(), {})
        self.assertIsNone(web_port(configuration, shown, self.reactor))

    def test_all_services_are_there(self) -> None:
        """The four services of a cache are served, under their public names."""
        configuration = self.configuration()
        threads: Any = NoDiskThreads()
        tier = open_tier(configuration, cache_size(configuration), threads, self.reactor)
        self.assertEqual(
            service_names(cache_services(configuration, tier, None, Limits())),
            [
                "build.bazel.remote.execution.v2.ActionCache",
                "build.bazel.remote.execution.v2.Capabilities",
                "build.bazel.remote.execution.v2.ContentAddressableStorage",
                "google.bytestream.ByteStream",
            ],
        )
        self.successResultOf(tier.close())


class RefusalTests(AssemblyTestCase):
    """What is configured and cannot be had: the place, the reason, what is allowed."""

    def test_a_folder_that_cannot_have_compressed_files(self) -> None:
        """The version of the folder cannot be written."""
        configuration = self.configuration(GOREGO_LOCAL_CACHE_COMPRESSION="zstd")

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        services: list[IService] = []
        patch = self.patch(os, "replace", fail)
        error = self.assertRaises(
            StartError,
            services.extend,
            assemble(configuration, self.reactor, bool, self.fail, Log()),
        )
        patch.restore()
        self.assertIn("local_cache.dir", str(error))
        self.assertIn("version: Input/output error", str(error))
        opened = next(service for service in services if isinstance(service, Opened))
        self.successResultOf(opened.stopService())

    def test_a_folder_that_cannot_be_made(self) -> None:
        """A file is in the way."""
        Path(self.folder).write_text("", encoding="utf-8")
        configuration = self.configuration(GOREGO_LOCAL_CACHE_DIR=f"{self.folder}/cache")
        error = self.assertRaises(
            StartError, list, assemble(configuration, self.reactor, bool, self.fail, Log())
        )
        self.assertIn("GOREGO_LOCAL_CACHE_DIR (in the environment): local_cache.dir", str(error))
        self.assertIn("; allowed: a folder that this daemon alone uses", str(error))

    def test_a_file_system_that_does_not_answer(self) -> None:
        """Its size cannot be learned."""

        def fail(_: object) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "statvfs", fail)
        error = self.assertRaises(StartError, cache_size, self.configuration())
        self.assertIn("Input/output error", str(error))

    def test_an_endpoint_that_is_none(self) -> None:
        """What begins like an endpoint of Twisted and goes on otherwise."""
        error = self.assertRaises(
            StartError, endpoint, self.configuration(), "listen_addr", "tcp:what", self.reactor
        )
        self.assertIn("listen_addr (no configuration file): 'tcp:what': ", str(error))

    def test_one_port_for_two(self) -> None:
        """The pages are not where the clients are: the line names both, not the one that came too late."""
        shown = Shown({}, {}, make_registry(), Kept(), {})
        for clients, pages in (
            ("127.0.0.1:9", "localhost:9"),
            (":9", "[::1]:9"),
            ("[::1]:9", ":9"),
        ):
            keys = {"GOREGO_LISTEN_ADDR": clients, "GOREGO_TELEMETRY_METRICS_ADDR": pages}
            configuration = self.configuration(**keys)
            error = self.assertRaises(StartError, web_port, configuration, shown, self.reactor)
            self.assertIn("GOREGO_TELEMETRY_METRICS_ADDR (in the environment)", str(error))
            self.assertIn(f"{pages!r} is where listen_addr is, {clients!r}", str(error))


class WarningTests(AssemblyTestCase):
    def test_a_limit_out_of_reach(self) -> None:
        """A limit that is more than the file system has is told, and one that is not is not."""
        with capturedLogs() as events:
            cache_size(self.configuration())
            self.assertEqual(events, [])
            cache_size(self.configuration(GOREGO_LOCAL_CACHE_MAX_SIZE_GB="5000000"))
        self.assertIn(
            "GOREGO_LOCAL_CACHE_MAX_SIZE_GB (in the environment): local_cache.max_size_gb: 5e+06 is more than there is",
            formatEvent(events[0]),
        )

    def test_what_is_not_in_use_yet(self) -> None:
        """Nobody is left to believe that connections are encrypted."""
        files = {"GOREGO_TLS_CERT_FILE": "a", "GOREGO_TLS_KEY_FILE": "b"}
        with capturedLogs() as events:
            warn_of_unused(self.configuration(**files))
            warn_of_unused(self.configuration(**files, GOREGO_TLS_CLIENT_CA_FILE="c"))
        alone, with_clients = map(formatEvent, events)
        self.assertEqual(
            alone,
            "GOREGO_TLS_CERT_FILE (in the environment): tls.cert_file: a: not in use yet: "
            "connections of clients are not encrypted",
        )
        self.assertEqual(with_clients, f"{alone}, and no client has to have a certificate")

    def test_nothing_to_warn_of(self) -> None:
        """The default is in use as it is."""
        with capturedLogs() as events:
            warn_of_unused(self.configuration())
        self.assertEqual(events, [])


class MakeDaemonTests(AssemblyTestCase):
    def test_nothing_is_opened(self) -> None:
        """A daemon that was made has touched neither disk nor network."""
        errors: list[Exception] = []
        daemon = make_daemon(self.configuration(), self.reactor, errors.append, self.fail, Log())
        self.assertFalse(Path(self.folder).exists())
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertFalse(daemon.ready)

    def test_a_life(self) -> None:
        """It starts, listens at both addresses, is ready, stops, and leaves the folder to the next one."""
        for _ in range(2):
            del self.reactor.tcpServers[:]
            daemon = make_daemon(self.configuration(), self.reactor, self.fail, self.fail, Log())
            daemon.startService()
            self.assertTrue(daemon.ready)
            ports = [server[0] for server in self.reactor.tcpServers]
            self.assertEqual(ports, [9090, 50051])
            self.successResultOf(daemon.stopService())
