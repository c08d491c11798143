"""The socket in the folder."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from gorego_tw.control.port import NAME, ControlPort, socket_path


class NoSockets(MemoryReactor):
    """A reactor on a file system that has no sockets."""

    def listenUNIX(self, address: str, *_: object, **__: object) -> None:
        raise CannotListenError("unix", address, OSError(1, "Operation not permitted"))


class PortTestCase(TestCase):
    """Has a folder for the socket."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.drains = 0

    async def drain(self) -> None:
        self.drains += 1

    def port(self, reactor: IReactorUNIX) -> ControlPort:
        return ControlPort(self.folder, Factory(), self.drain, reactor)


class ControlPortTests(PortTestCase):
    def test_for_the_owner_alone(self) -> None:
        """The socket is one that others may not connect to."""
        reactor = MemoryReactor()
        self.successResultOf(self.port(reactor).startService())
        ((address, _, _, mode, _),) = reactor.unixServers
        self.assertEqual((address, mode), (str(self.folder / NAME), 0o600))

    def test_left_over_from_a_crash(self) -> None:
        """A socket that is there already is nobody's, since the folder is ours."""
        (self.folder / NAME).touch()
        self.successResultOf(self.port(MemoryReactor()).startService())
        self.assertFalse((self.folder / NAME).exists())

    def test_stop(self) -> None:
        """Calls are ended after the socket was closed."""
        port = self.port(MemoryReactor())
        self.successResultOf(port.startService())
        self.successResultOf(port.stopService())
        self.assertEqual(self.drains, 1)

    def test_no_sockets_there(self) -> None:
        """A file system without sockets keeps nobody from having a cache."""
        port = self.port(NoSockets())
        with capturedLogs() as events:
            self.successResultOf(port.startService())
        self.assertEqual([event["log_level"].name for event in events], ["warn"])
        self.successResultOf(port.stopService())


class RemovedTests(PortTestCase):
    def move(self) -> None:
        self.folder.rename(self.folder.with_name("moved"))

    async def test_stop(self) -> None:
        """A socket that somebody has removed, or moved with its folder, keeps no daemon from its end."""
        port = self.port(cast("IReactorUNIX", reactor))
        await port.startService()
        self.move()
        await port.stopService()
        self.assertEqual(self.drains, 1)


class PathTests(SynchronousTestCase):
    def test_short_enough(self) -> None:
        """A path that fits is taken as it is."""
        self.assertEqual(socket_path(Path("/a")), "/a/control")

    def test_too_long(self) -> None:
        """One that does not fit is shortened, and leads to the same folder."""
        folder = Path(self.mktemp()).absolute() / ("x" * 100)
        folder.mkdir(parents=True)
        short = Path(socket_path(folder))
        self.assertLess(len(str(short)), 100)
        self.assertEqual(short.parent.resolve(), folder)
