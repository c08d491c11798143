"""The way to a folder: through the daemon that holds it, or by holding it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple, NoReturn

import click

from gorego_tw.capacity import capacity
from gorego_tw.command.connection import NOT_ALL_WELL, UNUSABLE, Connection, Refused
from gorego_tw.command.direct import Direct, WallClock, finished, sleep
from gorego_tw.command.remote import Remote
from gorego_tw.control.port import NAME, socket_path
from gorego_tw.control.service import Control
from gorego_tw.errors import Code, StatusError
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.folder import FolderError, FolderInUse
from gorego_tw.storage.tier import LocalTier

#: What is said of a folder whose index was lost, or went back to a checkpoint.
_INCOMPLETE = (
    "the index was damaged, and does not know all files yet; a daemon that runs on the folder compares them "
    "with it, and brings back what is left"
)


class Unusable(click.ClickException):
    """The folder cannot be used; the message says why and what would help."""

    exit_code = UNUSABLE


class Location(NamedTuple):
    """Which folder is meant.

    :ivar max_size_gb: how large it may grow, in gigabytes; None for the default.
    :ivar is_configured: whether a daemon would use it, so that it may be made: a name on the command line that is
        none yet may be a slip.
    """

    folder: Path
    max_size_gb: float | None
    is_configured: bool

    @contextmanager
    def opened(self, *, may_make: bool = False, all_of_it: bool = False) -> Iterator[Connection]:
        """The control service of the folder.

        :param may_make: whether a folder that is empty is made a cache, and one that is configured is made.
        :param all_of_it: whether it is no success if the index does not know all that is in the folder.
        :raises Unusable: it cannot be used.
        :raises ClickException: the disk fails at the end; exit code 1.
        """
        try:
            self._check(may_make=may_make)
            tier = self._tier()
        except FolderInUse:
            with self._daemon() as connection:
                yield connection
        except (FolderError, OSError) as error:
            raise Unusable(str(error)) from error
        else:
            known = tier.inventory.doubt is None
            if not known:
                click.echo(f"{self.folder}: {_INCOMPLETE}", err=True)
                finished(tier.reconciliation.estimate())
            try:
                service = Control(tier, Random(), sleep)  # noqa: S311 - samples
                began = tier.environment.last_transaction

                async def settle() -> None:
                    if tier.environment.last_transaction != began:  # else nothing was written
                        await tier.checkpoints.take_if_due(tier.threads)

                yield Direct(service, settle)
            finally:
                self._close(tier)
            if all_of_it and not known:
                raise SystemExit(NOT_ALL_WELL)

    def _check(self, *, may_make: bool) -> None:
        if (self.folder / "version").exists():
            return
        exists = self.folder.exists()
        if may_make and (exists or self.is_configured):
            return  # whether it may become one, or has begun to, is known where it is made
        what = "is no cache of gorego" if exists else "does not exist"
        hint = "name one by --folder, or the daemon's configuration by --config"
        if may_make and not exists:
            hint = "an empty folder would be made a cache (mkdir)"
        raise Unusable(f"{self.folder}: {what}; {hint}")

    def _tier(self) -> LocalTier:
        size = capacity(self.folder, self.max_size_gb)
        return LocalTier.open(
            self.folder,
            limit_bytes=size.limit_bytes,
            free_reserve_bytes=size.free_reserve_bytes,
            clock=WallClock(),
            threads=NoDiskThreads(),
        )

    def _close(self, tier: LocalTier) -> None:
        try:
            finished(tier.close())
        except (OSError, StatusError) as error:
            raise click.ClickException(
                f"{self.folder}: not brought to the disk at the end: {error}; what was done is kept "
                "unless the power fails"
            ) from error

    @contextmanager
    def _daemon(self) -> Iterator[Connection]:
        if not (self.folder / NAME).exists():
            raise Unusable(
                f"{self.folder}: in use by another gorego cache command, or by a daemon that starts or stops, for there "
                f"is no {NAME!r} in it: try again when that is done"
            )
        remote = Remote(socket_path(self.folder))
        has_greeted = False
        try:
            remote.greet()
            has_greeted = True
            yield remote
        except Refused as error:
            if error.code is not Code.UNAVAILABLE or error.message.startswith("local tier"):
                raise  # it has answered
            if has_greeted:
                raise Unusable(
                    f"{self.folder}: the daemon there has ended before all was done, which can be tried again: "
                    f"{error.message}"
                ) from error
            raise Unusable(
                f"{self.folder}: in use by a process that does not answer at {self.folder / NAME} "
                f"(a daemon that stands still or stops, or another gorego cache): {error.message}"
            ) from error
        finally:
            remote.close()


def refused(error: Refused) -> NoReturn:
    """End with what the service said.

    :raises ClickException: always; exit code 1.
    """
    raise click.ClickException(error.message) from error
