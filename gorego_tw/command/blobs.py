"""``gorego cache get``, ``put`` and ``rm``: one blob."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import IO, Any

import click

from gorego_tw.command.access import Location, refused
from gorego_tw.command.connection import Connection, Refused
from gorego_tw.command.digests import DIGEST, text_of
from gorego_tw.command.output import STANDARD, output
from gorego_tw.command.printing import bar, size, tell
from gorego_tw.digest import DigestFunction
from gorego_tw.errors import Code
from gorego_tw.pb.gorego.control.v1 import control_pb2 as pb

#: How much of a blob is in one message, in bytes.
PIECE_BYTES = 1 << 20


@click.command()
@click.argument("digest", type=DIGEST)
@click.option(
    "-o",
    "--output",
    "path",
    default=STANDARD,
    help="A file, replaced when all of the blob is there; else, or for -, standard output.",
)
@click.pass_obj
def get(location: Location, digest: pb.BlobName, path: str) -> None:
    """Write the blob DIGEST ([FUNCTION:]HASH[/SIZE]) to standard output or to a file.

    That is no use of it: it is evicted no later.
    """
    request = pb.ReadRequest(name=digest)
    try:
        with (
            location.opened() as connection,
            closing(connection.stream("Read", request, pb.ReadResponse)) as replies,
        ):
            # One that is absent is no reason to open the file.
            name = next(replies).name
            with output(path) as file, _progress(path, name) as progress:
                for reply in replies:
                    file.write(reply.data)
                    progress.update(len(reply.data))
    except Refused as error:
        refused(error)


def _progress(path: str, name: pb.BlobName) -> AbstractContextManager[Any]:
    return bar(Path(path).name, name.size_bytes, hidden=path == STANDARD)


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--function",
    type=click.Choice([function.name.lower() for function in DigestFunction]),
    default="sha256",
    show_default=True,
    help="What names it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def put(location: Location, file: IO[bytes], function: str, as_json: bool) -> None:
    """Keep FILE (- for standard input) as a blob, and print its digest.

    It is not uploaded to a backing cache.
    """
    with tempfile.TemporaryFile() as copy:
        if not file.seekable():
            shutil.copyfileobj(file, copy, PIECE_BYTES)
            file = copy
        name = _named(file, DigestFunction[function.upper()])
        try:
            with location.opened(may_make=True) as connection:
                existed = send_blob(connection, name, _pieces(file, name.size_bytes))
        except Refused as error:
            if error.code is Code.INVALID_ARGUMENT:  # it was named by what is sent
                raise click.ClickException(
                    "the file has changed while it was read; what is put has to stay as it is"
                ) from error
            refused(error)
    digest = text_of(name)
    figures = {"digest": digest, "size_bytes": name.size_bytes, "existed": existed}
    tell(digest, figures, as_json=as_json)


def send_blob(connection: Connection, name: pb.BlobName, pieces: Iterator[bytes]) -> bool:
    """Bring a blob.

    :returns: whether it was there already.
    :raises Refused: it does not have that name, or there is no room.
    """

    def requests() -> Iterator[pb.WriteRequest]:
        yield pb.WriteRequest(name=name)
        for piece in pieces:
            yield pb.WriteRequest(data=piece)

    return connection.send("Write", requests(), pb.WriteResponse).existed


def _named(file: IO[bytes], function: DigestFunction) -> pb.BlobName:
    hasher, length = function.hasher(), 0
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        hasher.update(piece)
        length += len(piece)
    return pb.BlobName(digest_function=function, hash=hasher.digest(), size_bytes=length)


def _pieces(file: IO[bytes], length: int) -> Iterator[bytes]:
    file.seek(0)
    with bar("put", length) as progress:
        while piece := file.read(PIECE_BYTES):
            yield piece
            progress.update(len(piece))


@click.command()
@click.argument("digest", type=DIGEST)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def rm(location: Location, digest: pb.BlobName, as_json: bool) -> None:
    """Drop the blob DIGEST; action results that refer to it are misses from then on."""
    try:
        with location.opened() as connection:
            request = pb.RemoveRequest(name=digest)
            freed = connection.ask("Remove", request, pb.RemoveResponse).freed_bytes
    except Refused as error:
        refused(error)
    tell(f"{size(freed)} freed", {"freed_bytes": freed}, as_json=as_json)
