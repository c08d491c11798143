"""The log: one line an event, from a level on."""

from __future__ import annotations

import sys
from typing import TextIO, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatTime,
)
from twisted.python.logfile import LogFile

# Below warnings Twisted tells what it starts and stops; we tell it in our words.
_TWISTED_LEVEL = LogLevel.warn
_TWISTED = ("twisted", "log_legacy")


def format_line(event: LogEvent) -> str | None:
    """An event as a line of time, level, namespace and message; a traceback follows on lines of its own."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    level = event.get("log_level", LogLevel.info).name
    namespace = event.get("log_namespace", "-")
    return f"{formatTime(event.get('log_time'))} {level} [{namespace}] {text}\n"


def filtered_observer(out: TextIO, level: str) -> ILogObserver:
    """An observer that writes the events of ``level`` and above to ``out``.

    :param level: debug, info, warn or error.
    """
    least = LogLevel.levelWithName(level)
    levels = LogLevelFilterPredicate(defaultLogLevel=least)
    for namespace in _TWISTED:
        levels.setLogLevelForNamespace(namespace, max(least, _TWISTED_LEVEL))
    return FilteringLogObserver(FileLogObserver(out, format_line), [levels])


class ObserverFactory:
    """What twistd's ``--logger`` names. twistd calls it with nothing, so it is told beforehand what it needs."""

    def __init__(self) -> None:
        self.level = "info"
        self.file: str | None = None

    def __call__(self) -> ILogObserver:
        """The observer: to the file, or to standard output if that is None or ``-``."""
        if self.file in (None, "", "-"):
            return filtered_observer(sys.stdout, self.level)
        out = LogFile.fromFullPath(self.file)
        return filtered_observer(cast(TextIO, out), self.level)


#: The one that twistd finds under :data:`FACTORY_NAME`.
observer_factory = ObserverFactory()

FACTORY_NAME = f"{__name__}.observer_factory"
