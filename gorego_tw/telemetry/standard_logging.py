"""What libraries log by Python's own logging, as events of the log."""

from __future__ import annotations

import logging

from constantly import NamedConstant
from twisted.application.service import Service
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure

#: Below that, libraries tell what they do; who asks for everything of ours has not asked for that.
LEAST = logging.INFO

_LEVELS = (
    (logging.CRITICAL, LogLevel.critical),
    (logging.ERROR, LogLevel.error),
    (logging.WARNING, LogLevel.warn),
    (logging.INFO, LogLevel.info),
)


class StandardLogging(logging.Handler):
    """Passes records on, each under the name of its logger.

    :param observer: where they go; None for where all events go.
    """

    def __init__(self, observer: ILogObserver | None = None) -> None:
        super().__init__()
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on. In any thread."""
        log = Logger(record.name, observer=self._observer)
        failure = None
        if record.exc_info and record.exc_info[1] is not None:
            failure = Failure(record.exc_info[1], record.exc_info[0], record.exc_info[2])
        more = {} if failure is None else {"log_failure": failure}
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the library's own mistake must not hide what it meant
            message = f"{record.msg} {record.args}"
        log.emit(_level(record), "{log_text}", log_text=message, **more)


class StandardLoggingService(Service):
    """Passes them on while it runs."""

    def __init__(self) -> None:
        self._handler = StandardLogging()

    def startService(self) -> None:
        """Begin."""
        super().startService()
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(LEAST)

    def stopService(self) -> None:
        """Nothing is passed on any more."""
        super().stopService()
        logging.getLogger().removeHandler(self._handler)


def _level(record: logging.LogRecord) -> NamedConstant:
    for least, level in _LEVELS:
        if record.levelno >= least:
            return level
    return LogLevel.debug
