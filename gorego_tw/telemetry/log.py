"""The log: one line an event, from a level on that can be changed while the process runs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Literal, Protocol, TypeAlias, cast

from constantly import NamedConstant
from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.python.logfile import LogFile
from txaio.tx import set_global_log_level
from zope.interface import implementer

from gorego_tw.telemetry.log_line import LineFormat, json_line, text_line

LevelName: TypeAlias = Literal["debug", "info", "warn", "error"]
FormName: TypeAlias = Literal["auto", "json", "text"]

LEVELS: tuple[LevelName, ...] = ("debug", "info", "warn", "error")

# Below warnings Twisted tells what it starts and stops; we tell it in our words.
_TWISTED = ("twisted", "log_legacy")


class Out(Protocol):
    """Where lines go."""

    def write(self, text: str) -> object:
        """Take one."""

    def flush(self) -> object:
        """Let it be seen."""


@implementer(ILogObserver)
class Log:
    """The log of a process.

    :ivar form: json, text, or auto: text on a terminal and JSON elsewhere.
    :ivar file: the path of a file; None or ``-`` for standard error.
    :ivar written: how many lines there are, by level.
    """

    def __init__(self) -> None:
        self.form: FormName = "auto"
        self.file: str | None = None
        self.written: Counter[NamedConstant] = Counter()
        self._level: LevelName = "info"
        self._out: Out = sys.stderr
        self._line: LineFormat = text_line
        self._lock = Lock()

    @property
    def level(self) -> LevelName:
        """Events below it are left out; ours are not even made."""
        return self._level

    @level.setter
    def level(self, level: LevelName) -> None:
        self._level = level
        set_global_log_level(level)

    def open(self) -> ILogObserver:
        """Begin to write. twistd calls this; it takes standard output and error for itself afterwards."""
        if self.file in (None, "", "-"):
            self._out = sys.stderr
        else:
            self._out = cast(Out, LogFile.fromFullPath(self.file))
        self._line = {"json": json_line, "text": text_line}.get(self.form) or _suited(self._out)
        return cast(ILogObserver, self)

    def __call__(self, event: LogEvent) -> None:
        """Write an event, unless it is below the level or says nothing. In any thread."""
        level = event.get("log_level", LogLevel.info)
        if level < self._least(event.get("log_namespace", "")):
            return
        line = self._line(event)
        if line is None:
            return
        with self._lock:
            self.written[level] += 1
            self._out.write(line)
            self._out.flush()

    def _least(self, namespace: str) -> NamedConstant:
        least = LogLevel.levelWithName(self._level)
        if namespace.partition(".")[0] in _TWISTED:
            return max(least, LogLevel.warn)
        return least

    def counts(self) -> Mapping[str, int]:
        """How many lines there are, by the name of each level."""
        return {level.name: self.written[level] for level in LogLevel.iterconstants()}


def _suited(out: Out) -> LineFormat:
    is_terminal = getattr(out, "isatty", bool)()
    return text_line if is_terminal else json_line


#: The log of this process, which twistd finds under OBSERVER_NAME.
process_log = Log()

OBSERVER_NAME = f"{__name__}.process_log.open"
