"""Tools that others wrote, which some tests let judge or use the daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

#: Where ``make test`` unpacks what Debian has and what is not to be installed.
UNPACKED = Path(sys.prefix) / "debian" / "usr" / "bin"

TOOL_SECONDS = 180


def tool(name: str) -> str:
    """The path of a tool: $NAME, or what ``make test`` has unpacked, or the first of that name in $PATH.

    :raises SkipTest: it is not here.
    """
    path = os.environ.get(name.upper()) or shutil.which(name, path=UNPACKED) or shutil.which(name)
    if path is None:
        raise SkipTest(f"{name} is not installed, and ${name.upper()} does not say where it is")
    return path


def run(*command: str, given: str = "") -> tuple[int, str]:
    """Run a tool.

    :param given: its standard input.
    :returns: the exit code, and what it says.
    """
    done = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TOOL_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def output_of(*command: str) -> str:
    """What a tool says, whatever its exit code."""
    return run(*command)[1]
