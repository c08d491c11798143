"""What an error of the operating system means to who asked."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from gorego_tw.errors import ResourceExhausted, StatusError, Unavailable

#: When to try again where there was no room, in seconds: the janitor makes gigabytes of it in a few.
RETRY_SECONDS = 2

#: No space, no quota, no file of that length.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: What keeps a file from being opened that has nothing to do with the file.
NOT_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})

#: What may be over soon, and then the file is as good as ever: a disk, or a way to it, that fails for a moment.
PASSING = frozenset({errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES})


def no_room(message: str) -> ResourceExhausted:
    """The failure of a write there is no room for; it says when to try again."""
    return ResourceExhausted(message, RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))


def status_of(error: OSError) -> StatusError:
    """The failure a client is told. It names no path: those are the operator's."""
    message = f"local tier: {error.strerror or error}"
    return no_room(message) if error.errno in FULL else Unavailable(message)


@contextmanager
def telling() -> Iterator[None]:
    """Turn an OSError in the block into a failure a client can be told.

    :raises ResourceExhausted: disk or quota are full.
    :raises Unavailable: any other trouble.
    """
    try:
        yield
    except OSError as error:
        raise status_of(error) from error
