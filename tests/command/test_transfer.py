"""What an export asks for, and lets go of."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from random import Random

from google.protobuf.message import Message

from gorego_tw.command.archive import Writing
from gorego_tw.command.connection import ReplyT
from gorego_tw.command.direct import Direct, sleep
from gorego_tw.command.transfer import write_all
from gorego_tw.control.service import Control
from tests.storage.tiers import TierTestCase


async def sleep_not() -> None:
    """Nothing to do between two messages."""


class Watched(Direct):
    """A connection that tells which streams have ended."""

    def __init__(self, service: Control) -> None:
        super().__init__(service, sleep_not)
        self.ended: list[str] = []

    def stream(
        self, method: str, request: Message, reply: type[ReplyT]
    ) -> Generator[ReplyT, None, None]:
        try:
            yield from super().stream(method, request, reply)
        finally:
            self.ended.append(method)


class ExportTests(TierTestCase):
    def test_an_archive_that_takes_nothing(self) -> None:
        """What is read ends with what cannot be written, while the folder is still open."""
        for seed in range(3):
            self.put(20_000, seed)
        connection = Watched(Control(self.tier, Random(1), sleep))
        with Path("/dev/full").open("wb", buffering=0) as full:
            try:
                write_all(connection, Writing(full))
            except OSError:  # its traceback holds what was not let go of
                self.assertEqual(connection.ended, ["ReadAll"])
            else:
                self.fail("it was written")
