"""``gorego``: the groups of commands, and which folder is meant."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import click

from gorego_tw import __version__
from gorego_tw.command.access import Location
from gorego_tw.command.blobs import get, put, rm
from gorego_tw.command.ls import ls
from gorego_tw.command.stat import stat
from gorego_tw.command.transfer import export, import_
from gorego_tw.command.verify import verify
from gorego_tw.config import ConfigError, load

EXIT_CODES = """
\b
Exit codes:
  0  done
  1  a blob is absent, something is damaged, or it could not be done
  2  the command line is wrong
  3  the folder cannot be used: it is none of ours, or who holds it does not answer
"""


class OneLine(click.Group):
    """Ends with one line where what is written to, or read from, fails."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
            if stream is None:
                raise click.ClickException(f"standard {name} is closed; /dev/null would do")
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads has enough
                raise
            raise click.ClickException(f"{error.filename or 'output'}: {error.strerror}") from error
        return result


@click.group(cls=OneLine, epilog=EXIT_CODES)
@click.version_option(__version__)
def gorego() -> None:
    """For who runs a cache. The daemon itself is `twistd gorego`."""
    # Its core writes to standard error by itself; what is to be told, we tell.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@gorego.group(epilog=EXIT_CODES)
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False),
    help="The configuration of the daemon, which names the folder; GOREGO_ variables count too.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the cache, in place of the one that is configured; it has to exist.",
)
@click.pass_context
def cache(context: click.Context, config: str | None, folder: Path | None) -> None:
    """What is in the folder of a cache, whether a daemon runs there or not."""
    try:
        configured = load(config, os.environ).settings.local_cache
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    named = (folder or Path(configured.dir)).absolute()
    context.obj = Location(named, configured.max_size_gb, is_configured=folder is None)


for command in (stat, verify, ls, get, put, rm, export, import_):
    cache.add_command(command)


def main() -> None:
    """The console script."""
    gorego(prog_name="gorego")


if __name__ == "__main__":
    main()
