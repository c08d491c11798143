"""``gorego cache verify``."""

from __future__ import annotations

import click

from gorego_tw.command.access import Location, refused
from gorego_tw.command.connection import NOT_ALL_WELL, Connection, Refused
from gorego_tw.command.printing import bar, size, tell
from gorego_tw.pb.gorego.control.v1.control_pb2 import VerifyRequest, VerifyResponse

#: The largest number that a message takes.
MOST_BYTES = (1 << 63) - 1


@click.command()
@click.option("--repair", is_flag=True, help="Drop what is damaged.")
@click.option(
    "--bytes-per-second",
    type=click.IntRange(min=1, max=MOST_BYTES),
    default=None,
    help="How fast it reads. Default: as fast as it can.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON object for each damage, then one for all."
)
@click.pass_obj
def verify(location: Location, repair: bool, bytes_per_second: int | None, as_json: bool) -> None:
    """Compare everything that is stored with its hash.

    Exit code 1 if something is damaged, repaired or not.
    """
    request = VerifyRequest(repair=repair, bytes_per_second=bytes_per_second or 0)
    try:
        with location.opened(all_of_it=True) as connection:
            last, damaged = _run(connection, request, as_json=as_json)
            tell(
                f"{last.entries} entries, {size(last.bytes)}: {damaged} damaged",
                {"entries": last.entries, "bytes": last.bytes, "damaged": damaged},
                as_json=as_json,
            )
    except Refused as error:
        refused(error)
    if damaged:
        raise SystemExit(NOT_ALL_WELL)


def _run(
    connection: Connection, request: VerifyRequest, *, as_json: bool
) -> tuple[VerifyResponse, int]:
    """The last that is told, and how much was damaged."""
    last, damaged = VerifyResponse(), 0
    all_entries = connection.stream("Verify", request, VerifyResponse)
    with bar("verifying", 1) as progress:
        for response in all_entries:
            progress.length = max(1, response.all_entries)
            progress.update(response.entries - last.entries)
            for damage in response.damages:
                damaged += 1
                _tell(damage, as_json=as_json)
            last = response
    return last, damaged


def _tell(damage: VerifyResponse.Damage, *, as_json: bool) -> None:
    tell(
        f"{damage.entry}: {damage.reason}{'; dropped' if damage.dropped else ''}",
        {"entry": damage.entry, "reason": damage.reason, "dropped": damage.dropped},
        as_json=as_json,
    )
