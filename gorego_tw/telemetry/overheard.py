"""What a library says of its trouble by Python's own logging, where it tells nobody else."""

from __future__ import annotations

import logging

import grpc


class Overheard(logging.Filter):
    """Keeps the last thing that a logger was told, and lets nobody hear it.

    :param name: of the logger.
    :ivar last: why a call has failed, if that was it, or else what was said; empty if nothing was.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.last = ""
        self._logger = logging.getLogger(name)

    def begin(self) -> None:
        """From now on errors are kept."""
        self._logger.setLevel(logging.ERROR)
        self._logger.addFilter(self)

    def end(self) -> None:
        """And from now on they are not, nor heard by anybody."""
        self._logger.removeFilter(self)
        self._logger.setLevel(logging.CRITICAL)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep it. In any thread."""
        match record.args:
            case (*_, grpc.StatusCode() as code, details):
                self.last = f"{code.name}: {details}"
            case _:
                self.last = record.getMessage()
        return False
