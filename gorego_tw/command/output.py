"""The file that a command writes: what was there stays until there is all of the new one."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

import click

#: The name of standard output.
STANDARD = "-"


@contextmanager
def output(path: str) -> Iterator[IO[bytes]]:
    """A file that is at ``path`` when the block has ended well, and nowhere when it has not.

    What is no regular file (a pipe, a device) is not replaced, but written to at once; so is
    standard output.

    :raises ClickException: it cannot be written; any OSError of the block is taken for that.
    """
    try:
        with _opened(path) as file:
            yield file
    except OSError as error:
        shown = "standard output" if path == STANDARD else path or repr(path)
        raise click.ClickException(f"{shown}: {error.strerror or error}") from error


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if _is_standard_output(path):
        with _standard_output() as file:
            yield file
        return
    fd = _present(path)
    status = None if fd is None else os.fstat(fd)
    if fd is not None and status is not None:
        if not stat.S_ISREG(status.st_mode):
            with os.fdopen(fd, "wb") as file:
                yield file
            return
        os.close(fd)
    with _replacing(Path(path).resolve(), status) as file:
        yield file


def _present(path: str) -> int | None:
    """What is there, open for writing; None if it has still to be made.

    :raises OSError: it is a folder, or may not be written.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        if not Path(path).name or path.endswith("/"):
            raise
        return None


@contextmanager
def _replacing(path: Path, status: os.stat_result | None) -> Iterator[IO[bytes]]:
    """A file that takes the place of another, and its mode and owner, at the end."""
    part = path.with_name(f".gorego-{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            if status is not None:
                with suppress(PermissionError):  # who may write to it need not own it
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _is_standard_output(path: str) -> bool:
    """Whether that is its name, or one of its other names, such as /dev/stdout."""
    if path == STANDARD:
        return True
    try:
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))  # noqa: PTH116 - "" is no path
    except OSError:
        return False


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    file = sys.stdout.buffer
    try:
        yield file
        file.flush()
    except OSError:
        # Python would write what is left once more when it ends, and fail once more.
        with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), file.fileno())
        raise
