"""``gorego cache export`` and ``import``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import IO, Any

import click

from gorego_tw.command import archive
from gorego_tw.command.access import Location, refused
from gorego_tw.command.bringing import Bringing
from gorego_tw.command.connection import NOT_ALL_WELL, Connection, Refused
from gorego_tw.command.digests import text_of
from gorego_tw.command.output import STANDARD
from gorego_tw.command.printing import bar, tell
from gorego_tw.pb.gorego.control.v1 import control_pb2 as pb


@click.command("export")
@click.argument("file", default="-")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A JSON object for each blob that is damaged, then one for all, on standard error.",
)
@click.pass_obj
def export(location: Location, file: str, as_json: bool) -> None:
    """Write all blobs and action results to FILE, a tar archive.

    Without FILE, or for -, to standard output; compressed with zstd if its name ends in .zst.
    Exit code 1 if something is damaged: it is left out, or refused by import.
    """
    try:
        with location.opened(all_of_it=True) as connection:
            with archive.target(file) as stream:
                counts = write_all(connection, archive.Writing(stream), as_json=as_json)
            _tell(counts, as_json=as_json)
    except Refused as error:
        refused(error)
    _end(counts, "damaged")


def write_all(
    connection: Connection, writing: archive.Writing, *, as_json: bool = False
) -> Counter[str]:
    """All blobs and action results into an archive: how many there were, and how many were damaged.

    :param as_json: whether what is damaged is told to a program.
    :raises Refused: they cannot be had.
    :raises OSError: the archive cannot be written.
    """
    counts: Counter[str] = Counter()
    kinds = connection.ask("Stat", pb.StatRequest(), pb.StatResponse).kinds
    with bar("export", sum(kind.entries for kind in kinds)) as progress:
        with closing(_every_blob(connection)) as replies:
            for blob in _blobs(replies):
                if blob.damage:
                    counts["damaged"] += 1
                    tell(
                        f"damaged: {blob.damage}",
                        {"entry": text_of(blob.name), "reason": blob.damage},
                        as_json=as_json,
                        err=True,
                    )
                else:
                    writing.blob(blob.name, iter(blob))
                    counts["blobs"] += 1
                    progress.update(1)
        with closing(_every_result(connection)) as responses:
            for response in responses:
                for result in response.results:
                    writing.result(result)
                    counts["action_results"] += 1
                    progress.update(1)
    writing.close()
    return counts


class _Blob:
    """A blob whose bytes come with the replies, or what is wrong with it.

    :ivar following: the reply after its last one.
    """

    def __init__(self, first: pb.ReadAllResponse, replies: Iterator[pb.ReadAllResponse]) -> None:
        self.name = first.name
        self.damage = first.damage
        self.following: pb.ReadAllResponse | None = None
        self._first = first
        self._replies = replies

    def __iter__(self) -> Iterator[bytes]:
        yield self._first.data
        for reply in self._replies:
            if reply.HasField("name"):
                self.following = reply
                return
            yield reply.data


def _blobs(replies: Iterator[pb.ReadAllResponse]) -> Iterator[_Blob]:
    """Every blob; each is read to its end before the next."""
    reply = next(replies, None)
    while reply is not None:
        blob = _Blob(reply, replies)
        yield blob
        reply = next(replies, None) if blob.damage else blob.following


def _every_blob(connection: Connection) -> Generator[pb.ReadAllResponse, None, None]:
    return connection.stream("ReadAll", pb.ReadAllRequest(), pb.ReadAllResponse)


def _every_result(connection: Connection) -> Generator[pb.ListActionResultsResponse, None, None]:
    request = pb.ListActionResultsRequest()
    return connection.stream("ListActionResults", request, pb.ListActionResultsResponse)


@click.command("import")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), default=STANDARD
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A JSON object for each entry that is refused, then one for all, on standard error.",
)
@click.pass_obj
def import_(location: Location, file: str, as_json: bool) -> None:
    """Keep what is in FILE, an archive made by export, beside what is stored.

    Without FILE, or for -, from standard input; compressed with zstd or not. Everything is verified.
    What is imported counts as used now. How many were kept is told also where the archive ends too
    early. Exit code 1 if something was refused: it is damaged, or there is no room for it.
    """
    try:
        # In this order: an archive that is not there is no reason to make a folder.
        with archive.source(file) as stream, location.opened(may_make=True) as connection:
            counts = _import(connection, stream, as_json=as_json)
    except Refused as error:
        refused(error)
    except archive.ArchiveError as error:
        raise click.ClickException(f"{file}: {error}") from error
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from error
    _end(counts, "refused")


def _import(connection: Connection, stream: IO[bytes], *, as_json: bool) -> Counter[str]:
    """Keep what is there, and tell what was kept, also where it breaks off.

    :returns: how many there were of each kind.
    """
    bringing = Bringing(connection, as_json=as_json)
    try:
        with bar("import", 1) as progress:
            try:
                for subject, size_bytes, data in archive.members(stream):
                    bringing.take(subject, size_bytes, data)
                    progress.length += 1
                    progress.update(1)
            except archive.ArchiveError:
                bringing.send()
                raise
            bringing.send()
    finally:
        _tell(bringing.counts, as_json=as_json)
    return bringing.counts


def _tell(counts: Mapping[str, int], *, as_json: bool) -> None:
    """What was done, on standard error, since the archive may be on standard output."""
    figures: dict[str, Any] = {"blobs": 0, "action_results": 0, **counts}
    words = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in figures.items())
    tell(words, figures, as_json=as_json, err=True)


def _end(counts: Mapping[str, int], damaged: str) -> None:
    """End with the exit code that says whether there were any of these."""
    if counts.get(damaged):
        raise SystemExit(NOT_ALL_WELL)
