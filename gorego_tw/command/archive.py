"""An archive of a cache: a tar file, which is read and written as a stream.

``cas/FUNCTION/HASH`` is a blob, ``ac/KEY`` an action result as the index has it, with its checksum.
Blobs come first, so that whoever reads the archive has them before what refers to them. The last
member is ``end``, which tells an archive that is whole from one that was cut off between two members.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from gorego_tw.command.output import output
from gorego_tw.digest import DigestFunction
from gorego_tw.pb.gorego.control.v1.control_pb2 import BlobName, StoredResult

_RESULT = "ac/"
_BLOB = "cas/"
_END = "end"
_COMPRESSED = ".zst"
#: How zstd begins: a frame, or one to be skipped, with which pzstd tells how long the next one is (RFC 8878, 3.1).
_MAGICS = (
    bytes.fromhex("28b52ffd"),
    *(bytes.fromhex(f"5{number:x}2a4d18") for number in range(16)),
)
_MAGIC_BYTES = 4
_FUNCTIONS = {function.name.lower(): function for function in DigestFunction}

#: Of action results in an archive, in bytes: gRPC messages are no longer.
MOST_RESULT_BYTES = 64 << 20


class ArchiveError(Exception):
    """What is wrong with the archive."""


@contextmanager
def source(file: str) -> Iterator[IO[bytes]]:
    """The file, or standard input for "-", unpacked if it begins as zstd does: a pipe has no name that tells."""
    with ExitStack() as stack:
        raw = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        head = raw.read(_MAGIC_BYTES)
        whole: Any = _Begun(head, raw)
        if head in _MAGICS:
            reader = zstandard.ZstdDecompressor().stream_reader(whole, read_across_frames=True)
            yield cast("IO[bytes]", stack.enter_context(reader))
        else:
            yield whole


@contextmanager
def target(file: str) -> Iterator[IO[bytes]]:
    """The file, or standard output for "-", compressed with zstd if its name ends in .zst.

    :raises ClickException: it cannot be written.
    """
    with output(file) as raw:
        if file.endswith(_COMPRESSED):
            with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as writer:
                yield cast("IO[bytes]", writer)
        else:
            yield raw


class _Begun:
    """A file of which the beginning has been read.

    :param head: that beginning.
    """

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head = head
        self._file = file

    def read(self, size: int) -> bytes:
        """So many bytes or less; none at the end."""
        head, self._head = self._head, b""
        return head or self._file.read(size)


class _Pieces:
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """So many bytes, or all that are left."""
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Sink:
    """A file that is told its position by nobody, for a pipe has none.

    ``tarfile`` knows such files as streams (``w|``); they are written to even after they have failed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write

    def tell(self) -> int:
        """Where the archive starts, in bytes: it is asked once."""
        return 0


class Writing:
    """An archive that is being written.

    :param file: where to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._tar: Any = tarfile.TarFile(
            fileobj=cast("IO[bytes]", _Sink(file)), mode="w", format=tarfile.PAX_FORMAT
        )

    def blob(self, name: BlobName, pieces: Iterator[bytes]) -> None:
        """Add a blob.

        :raises Refused: its bytes cannot be had to the end; the archive is of no use then.
        """
        function = DigestFunction(name.digest_function).name.lower()
        self._add(f"{_BLOB}{function}/{name.hash.hex()}", name.size_bytes, pieces)

    def result(self, result: StoredResult) -> None:
        """Add an action result."""
        self._add(_RESULT + result.key.hex(), len(result.value), iter([result.value]))

    def close(self) -> None:
        """Write the end."""
        self._add(_END, 0, iter(()))
        self._tar.close()

    def _add(self, path: str, size_bytes: int, pieces: Iterator[bytes]) -> None:
        info = tarfile.TarInfo(path)
        info.size, info.mode = size_bytes, 0o644
        source = _Pieces(pieces)
        self._tar.addfile(info, source)
        if source.read(1):
            raise ArchiveError(f"{path}: more than {size_bytes} bytes")
        # It would remember every member of millions.
        self._tar.members.clear()


class Data:
    """The bytes of one member."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left.

        :raises ArchiveError: they are not there.
        """
        with _damage():
            return self._file.read(size)


def members(file: IO[bytes]) -> Iterator[tuple[BlobName | bytes, int, Data]]:
    """What is in an archive: names of blobs and keys of action results, their sizes and bytes.

    :raises ArchiveError: it is none.
    """
    with _damage():
        tar: Any = tarfile.open(fileobj=file, mode="r|")  # noqa: SIM115 - the file is the caller's
    while (info := _next(tar)) is not None and info.name != _END:
        yield _name(info.name, info.size), info.size, Data(tar.extractfile(info))
    if info is None:
        raise ArchiveError("a damaged archive: it has no end")


def _next(tar: Any) -> tarfile.TarInfo | None:
    with _damage():
        info: tarfile.TarInfo | None = tar.next()
    tar.members.clear()
    if info is not None and not info.isreg():
        raise ArchiveError(f"no archive of a cache: {info.name[:200]!r} is no file")
    return info


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise ArchiveError(f"no archive of a cache, or a damaged one: {error}") from error


def _name(path: str, size_bytes: int) -> BlobName | bytes:
    try:
        if path.startswith(_RESULT):
            return bytes.fromhex(path.removeprefix(_RESULT))
        function, _, hash_hex = path.removeprefix(_BLOB).partition("/")
        if path.startswith(_BLOB):
            return BlobName(
                digest_function=_FUNCTIONS[function],
                hash=bytes.fromhex(hash_hex),
                size_bytes=size_bytes,
            )
    except (KeyError, ValueError):
        pass
    raise ArchiveError(f"no archive of a cache: {path[:200]!r} is in it")
