"""``twistd gorego``: its options, and the service they make."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import uvloop
from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorCore
from twisted.internet.main import installReactor
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from txaio.tx import make_logger

from gorego_tw.config import ConfigError, Configuration, load
from gorego_tw.exit_signals import ExitSignals
from gorego_tw.lifecycle import StartError
from gorego_tw.reactor import Reactor
from gorego_tw.steady_clock import Timed, keep_steady
from gorego_tw.storage.checkpoint_schedule import WELL_SECONDS
from gorego_tw.telemetry import log

_log = make_logger()


def install_reactor() -> None:
    """Make Twisted run on uvloop, unless a reactor was chosen before (``twistd --reactor``)."""
    if "twisted.internet.reactor" in sys.modules:
        return
    loop = uvloop.new_event_loop()
    # Without this, futures made before the loop runs belong to another loop and never finish.
    asyncio.set_event_loop(loop)
    installReactor(Reactor(loop))


class Options(UsageOptions):
    """The command line after ``twistd gorego``."""

    synopsis = "[--config FILE]"
    longdesc = "Serves a cache for the Bazel Remote Execution API."
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration, a YAML file; etc/config.yaml shows every key."],
    ]

    configuration: Configuration
    install_reactor = staticmethod(install_reactor)

    def postOptions(self) -> None:
        """Read the configuration and choose reactor and log, before twistd comes to need them.

        :raises SystemExit: the configuration is wrong. (A UsageError would bury the one line
            that matters below the whole of twistd's help.)
        """
        self.install_reactor()
        try:
            self.configuration = load(self["config"], os.environ)
        except ConfigError as error:
            raise SystemExit(f"gorego: {error}") from None
        self._choose_log()

    def _choose_log(self) -> None:
        parent = {} if self.parent is None else self.parent
        process_log, telemetry = log.process_log, self.configuration.settings.telemetry
        process_log.level = telemetry.log_level
        process_log.form = telemetry.log_format
        if parent.get("logger", "") is not None or parent.get("syslog"):
            return  # asked for on the command line, or not twistd
        file = parent["logfile"]
        process_log.file = file if file or parent["nodaemon"] else "twistd.log"
        parent["logger"] = log.OBSERVER_NAME


class GiveUp:
    """Ends a process that cannot start, with one line in the log and exit code 1.

    :param reactor: the one that runs, or is about to.
    """

    _log = make_logger()

    def __init__(self, reactor: IReactorCore) -> None:
        self._reactor = reactor

    def __call__(self, error: Exception) -> None:
        """Tell ``error`` and end.

        :raises Exception: ``error`` itself, if the reactor does not run yet: on its way out
            twistd removes its pid file and tells the process that waits for the daemon.
        """
        if isinstance(error, StartError):
            self._log.critical("{error}", error=error)
        else:
            self._log.failure("this is a fault of gorego", Failure(error))
        if not self._reactor.running:
            sys.excepthook = _say_nothing  # all has been said
            raise error
        # twistd has no exit code of its own to give.
        atexit.register(os._exit, 1)
        self._reactor.stop()


#: In the environment of a process that follows one which had only just started.
_BEGUN_ANEW = "_GOREGO_BEGUN_ANEW"


class StartAnew:
    """Lets another process go on where this one cannot: the same one, begun again with its command line.

    :param reactor: the one that runs.
    :param give_up: told instead if this one has only just started, and so had the one before: what does not
        last is not tried for ever.
    """

    _log = make_logger()

    def __init__(self, reactor: Any, give_up: Callable[[Exception], None]) -> None:
        self._reactor = reactor
        self._give_up = give_up
        self._young = False
        self._well_from = reactor.seconds() + WELL_SECONDS
        self._folder = (
            Path.cwd()
        )  # twistd may go elsewhere; names on the command line are from here

    def __call__(self, reason: str) -> None:
        """End for that reason, in one line. Any thread may."""
        self._reactor.callFromThread(self._end, reason)

    def _end(self, reason: str) -> None:
        self._young = self._reactor.seconds() < self._well_from
        if self._young and _BEGUN_ANEW in os.environ:
            self._give_up(StartError(reason))
            return
        self._log.critical("{reason}; it starts anew", reason=reason)
        # When all is closed: twistd removes its pid file before.
        atexit.register(self._begin_again)
        with suppress(ReactorNotRunning):  # it is on its way already
            self._reactor.stop()

    def _begin_again(self) -> None:
        if ExitSignals.received:  # before or meanwhile: whoever sent it wants an end
            return
        os.environ.pop(_BEGUN_ANEW, None)
        if self._young:
            os.environ[_BEGUN_ANEW] = "soon after its start"
        try:
            os.chdir(self._folder)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
        except OSError as error:
            sys.stderr.write(f"gorego: it does not start anew: {error}\n")
            os._exit(1)


def _say_nothing(*_: object) -> None:
    """An exception hook without a traceback."""


def makeService(options: Options) -> IService:
    """The whole daemon. Nothing is opened yet."""
    # Its core writes to standard error by itself; what is to be told, we tell.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    from twisted.internet import reactor  # installed by Options, so not before them

    from gorego_tw.assembly import make_daemon  # it imports what imports a reactor

    for doubt in options.configuration.doubts:
        _log.warn("{doubt}", doubt=doubt)
    keep_steady(cast(Timed, reactor))
    give_up = GiveUp(reactor)
    start_anew = StartAnew(reactor, give_up)
    return make_daemon(options.configuration, reactor, give_up, start_anew, log.process_log)
