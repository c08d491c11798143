"""What of the log can be changed while the daemon runs."""

from __future__ import annotations

from gorego_tw.telemetry.access_log import AccessLog
from gorego_tw.telemetry.log import LEVELS, Log
from gorego_tw.telemetry.tracing import Tracing


class LevelControl:
    """From which level on events are told."""

    allowed = ", ".join(LEVELS)

    def __init__(self, log: Log) -> None:
        self._log = log

    def get(self) -> str:
        """Its name."""
        return self._log.level

    def set(self, text: str) -> None:
        """Another one.

        :raises ValueError: there is none of that name.
        """
        self._log.level = LEVELS[LEVELS.index(text)]


class AccessLogControl:
    """Which part of the calls has a line in the log."""

    allowed = "a number from 0 (none) to 1"

    def __init__(self, tracing: Tracing, access_log: AccessLog) -> None:
        self._tracing = tracing
        self._access_log = access_log

    def get(self) -> float:
        """From 0 to 1."""
        return self._access_log.ratio

    def set(self, text: str) -> None:
        """Another one.

        :raises ValueError: it is none.
        """
        ratio = float(text)
        if not 0 <= ratio <= 1:
            raise ValueError(text)
        self._access_log.ratio = ratio
        # Who does not write need not be told.
        self._tracing.log_access = self._access_log if ratio else None
