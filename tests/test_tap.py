"""The command line."""

from __future__ import annotations

import atexit
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from twisted.application.service import IService
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.usage import Options as TwistdOptions
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.exit_signals import ExitSignals
from gorego_tw.lifecycle import StartError
from gorego_tw.storage.checkpoint_schedule import WELL_SECONDS
from gorego_tw.tap import GiveUp, Options, StartAnew, makeService
from gorego_tw.telemetry import log
from tests.storage.test_local import failing

ROOT = Path(__file__).parent.parent

TWISTD = {"logger": None, "logfile": None, "nodaemon": True, "pidfile": None, "syslog": False}


class OptionsWithoutReactor(Options):
    """Options that leave the reactor of the tests alone."""

    install_reactor = staticmethod(lambda: None)


def options_of(*arguments: str, **twistd: object) -> Options:
    """The options of ``twistd gorego ARGUMENTS``, with twistd's own options as given."""
    options = OptionsWithoutReactor()
    parent = TwistdOptions()
    parent.update({**TWISTD, **twistd})
    options.parent = parent
    options.parseOptions(arguments)
    return options


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(log, "process_log", log.Log())
        self.addCleanup(setattr, log.process_log, "level", "info")

    def configuration(self, text: str) -> str:
        """A file with a text."""
        file: str = self.mktemp()
        Path(file).write_text(text, encoding="utf-8")
        return file

    def test_nothing_is_needed(self) -> None:
        """Without options there is the default configuration."""
        options = options_of()
        self.assertIsNone(options.configuration.file)

    def test_a_file(self) -> None:
        """The configuration is read from the file."""
        file = self.configuration("listen_addr: ':1'")
        self.assertEqual(options_of("--config", file).configuration.settings.listen_addr, ":1")

    def test_an_error_is_one_line(self) -> None:
        """A wrong configuration ends the process with its message alone, and exit code 1."""
        file = self.configuration("a: 1")
        ended = self.assertRaises(SystemExit, options_of, "--config", file)
        self.assertRegex(str(ended.code), f"^gorego: {file}: a: unknown key; [^\n]*$")

    def test_other_arguments_are_refused(self) -> None:
        """There is nothing but options."""
        self.assertRaises(UsageError, options_of, "serve")

    def test_the_log_has_the_level_of_the_configuration(self) -> None:
        """Twistd is given our log, which goes where twistd's would have gone."""
        file = self.configuration("telemetry: {log_level: warn}")
        for twistd, expected in (
            ({}, None),
            ({"logfile": "/x.log"}, "/x.log"),
            ({"nodaemon": False}, "twistd.log"),
        ):
            options = options_of("--config", file, **twistd)
            assert options.parent is not None
            self.assertEqual(options.parent["logger"], log.OBSERVER_NAME)
            self.assertEqual(log.process_log.level, "warn")
            self.assertEqual(log.process_log.file, expected)

    def test_a_log_that_was_asked_for_stays(self) -> None:
        """--logger and --syslog are not overruled."""
        for twistd in ({"logger": "my.observer"}, {"syslog": True}):
            options = options_of(**twistd)
            assert options.parent is not None
            self.assertEqual(options.parent["logger"], twistd.get("logger"))


class ReactorTests(SynchronousTestCase):
    def program(self, *lines: str) -> str:
        """What a fresh interpreter prints."""
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return str(done.stdout)

    def test_importing_installs_nothing(self) -> None:
        """Twistd reads the options before it has a reactor, and may have been told which one."""
        printed = self.program(
            "import sys, gorego_tw.tap",
            "print('twisted.internet.reactor' in sys.modules)",
        )
        self.assertEqual(printed, "False\n")

    def test_uvloop_is_the_reactor(self) -> None:
        """The options install a reactor on uvloop, and asyncio has the same loop."""
        printed = self.program(
            "import asyncio, warnings",
            "from gorego_tw.tap import Options",
            "Options().parseOptions([])",
            "from twisted.internet import reactor",
            "loop = reactor._asyncioEventloop",
            "print(type(loop).__module__, asyncio.get_event_loop_policy().get_event_loop() is loop)",
        )
        self.assertEqual(printed, "uvloop True\n")

    def test_another_reactor_stays(self) -> None:
        """Who asked twistd for a reactor gets it."""
        printed = self.program(
            "from twisted.internet import epollreactor; epollreactor.install()",
            "from gorego_tw.tap import Options",
            "Options().parseOptions([])",
            "from twisted.internet import reactor; print(type(reactor).__name__)",
        )
        self.assertEqual(printed, "EPollReactor\n")


class MakeServiceTests(SynchronousTestCase):
    def test_nothing_is_opened(self) -> None:
        """Twistd may leave the process between making the service and starting it."""
        folder = self.mktemp()
        file = self.mktemp()
        Path(file).write_text(f"local_cache: {{dir: {folder}}}", encoding="utf-8")
        service = makeService(options_of("--config", file))
        verifyObject(IService, service)
        self.assertFalse(Path(folder).exists())

    def test_doubts(self) -> None:
        """What may be a slip in the environment is in the log."""
        self.patch(os, "environ", {**os.environ, "GOREGO_LISTEN_ADDRR": ":1"})
        with capturedLogs() as events:
            makeService(options_of())
        self.assertIn("GOREGO_LISTEN_ADDRR", formatEvent(events[0]))


class ThreadedReactor(MemoryReactorClock):
    """One that other threads may call."""

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        """At once."""
        call(*arguments)


class StartAnewTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = ThreadedReactor()
        self.reactor.running = True
        self.stops: list[bool] = []
        self.patch(self.reactor, "stop", lambda: self.stops.append(True))
        self.exits: list[Callable[[], object]] = []
        self.patch(atexit, "register", self.exits.append)
        self.done: list[tuple[object, ...]] = []
        self.patch(os, "chdir", lambda *args: self.done.append(args))
        self.patch(os, "execv", lambda *args: self.done.append(args))
        self.patch(os, "_exit", lambda *args: self.done.append(args))
        self.patch(ExitSignals, "received", False)
        self.given_up: list[Exception] = []
        self.start_anew = StartAnew(self.reactor, self.given_up.append)

    def test_after_a_good_start(self) -> None:
        """The reactor is stopped, and the same command line is begun in the place of this process."""
        self.reactor.advance(WELL_SECONDS)
        with capturedLogs() as events:
            self.start_anew("damaged")
        self.assertEqual([formatEvent(event) for event in events], ["damaged; it starts anew"])
        self.assertEqual((len(self.stops), self.given_up), (1, []))
        (begin_again,) = self.exits
        self.assertEqual(self.done, [])
        begin_again()
        arguments = [sys.executable, *sys.orig_argv[1:]]
        self.assertEqual(self.done, [(Path.cwd(),), (sys.executable, arguments)])

    def test_asked_to_end(self) -> None:
        """A signal that came before the new start, or on the way to it, is not lost."""
        self.reactor.advance(WELL_SECONDS)
        self.start_anew("damaged")
        ExitSignals.received = True
        self.exits[0]()
        self.assertEqual(self.done, [])

    def test_impossible(self) -> None:
        """A program that is not there any more ends with an exit code, so that others start it again."""
        self.reactor.advance(WELL_SECONDS)
        self.start_anew("damaged")
        self.patch(os, "execv", failing(errno.ENOENT))
        errors = StringIO()
        self.patch(sys, "stderr", errors)
        self.exits[0]()
        self.assertEqual(self.done, [(Path.cwd(),), (1,)])
        self.assertIn("does not start anew", errors.getvalue())

    def test_soon_after_the_start(self) -> None:
        """Once it is tried; twice in a row it would go on for ever: the process ends as one that cannot start."""
        self.patch(os, "environ", {})
        self.reactor.advance(WELL_SECONDS - 1)
        self.start_anew("damaged")
        self.exits[0]()
        self.assertEqual((len(self.done), self.given_up), (2, []))
        self.stops.clear()
        self.exits.clear()
        again = StartAnew(self.reactor, self.given_up.append)
        again("damaged again")
        self.assertEqual(list(map(str, self.given_up)), ["damaged again"])
        self.assertEqual((self.stops, self.exits), ([], []))
        self.reactor.advance(WELL_SECONDS)
        again("damaged later")
        self.exits[0]()
        self.assertEqual((len(self.done), os.environ), (4, {}))


class GiveUpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sys, "excepthook", sys.excepthook)
        self.reactor = MemoryReactorClock()
        self.reactor.running = False

    def test_before_the_reactor_runs(self) -> None:
        """Twistd gets the error, to clean up after it; what is told is one line, without a traceback."""
        error = StartError("listen_addr: taken")
        with capturedLogs() as events:
            raised = self.assertRaises(StartError, GiveUp(self.reactor), error)
        self.assertIs(raised, error)
        self.assertEqual([formatEvent(event) for event in events], ["listen_addr: taken"])
        errors = StringIO()
        self.patch(sys, "stderr", errors)
        sys.excepthook(StartError, error, None)
        self.assertEqual(errors.getvalue(), "")

    def test_a_fault_of_ours(self) -> None:
        """What is not the operator's to change has a traceback in the log."""
        self.assertRaises(ZeroDivisionError, GiveUp(self.reactor), ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_while_the_reactor_runs(self) -> None:
        """Then the reactor is stopped, with the line in the log and exit code 1 to come."""
        stops, exits = [], []
        self.patch(self.reactor, "stop", lambda: stops.append(True))
        self.reactor.running = True
        self.patch(atexit, "register", lambda *args: exits.append(args))
        with capturedLogs() as events:
            GiveUp(self.reactor)(StartError("taken"))
        self.assertEqual([formatEvent(event) for event in events], ["taken"])
        self.assertEqual((len(stops), exits), (1, [(os._exit, 1)]))
