"""``gorego cache ls``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from gorego_tw.command.access import Location, refused
from gorego_tw.command.connection import Connection, Refused
from gorego_tw.command.digests import text_of
from gorego_tw.command.printing import moment, tell
from gorego_tw.pb.gorego.control.v1.control_pb2 import ListRequest, ListResponse


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each blob.")
@click.pass_obj
def ls(location: Location, as_json: bool) -> None:
    """All blobs: digest, last use, and whether they are in the index or in a file."""
    try:
        with location.opened(all_of_it=True) as connection:
            for blob in blobs(connection):
                _tell(blob, as_json=as_json)
    except Refused as error:
        refused(error)


def blobs(connection: Connection) -> Iterator[ListResponse.Blob]:
    """Every blob, as they come."""
    for response in connection.stream("List", ListRequest(), ListResponse):
        yield from response.blobs


def _tell(blob: ListResponse.Blob, *, as_json: bool) -> None:
    where = "file" if blob.is_file else "index"
    digest, last_used = text_of(blob.name), moment(blob.last_used)
    tell(
        f"{digest}  {last_used}  {where}",
        {
            "digest": digest,
            "size_bytes": blob.name.size_bytes,
            "last_used": last_used,
            "where": where,
        },
        as_json=as_json,
    )
