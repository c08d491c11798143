"""Runs h2load and reads what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

RUN_SECONDS = 120
H2LOAD = shutil.which("h2load")
HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")

_FINISHED = re.compile(r"finished in (?P<time>[\d.]+)(?P<unit>us|ms|s|m)")
_REQUESTS = re.compile(r"(?P<done>\d+) done, (?P<succeeded>\d+) succeeded")
_DATA = re.compile(r"\((\d+)\) data")
_UNIT_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class LoadError(Exception):
    """Not every request was answered as it should be."""


class Run(NamedTuple):
    """One run: how many requests were answered, in how many seconds, with how many bytes of DATA."""

    requests: int
    seconds: float
    data_bytes: int


def run(port: int, path: str, body: Path, *options: str) -> Run:
    """Put a load on a server of the loopback interface.

    :param body: the file that every request sends.
    :param options: how much, and how.
    :raises LoadError: a request failed.
    """
    assert H2LOAD is not None
    done = subprocess.run(
        [H2LOAD, "-t", "1", *options, "-d", str(body), *HEADERS, f"http://127.0.0.1:{port}{path}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    return parse(done.stdout)


def parse(said: str) -> Run:
    """What h2load's report says.

    :raises LoadError: a request failed, or nothing was done.
    """
    finished, requests, data = (p.search(said) for p in (_FINISHED, _REQUESTS, _DATA))
    if finished is None or requests is None or data is None:
        raise LoadError(f"h2load said:\n{said}")
    if requests["done"] != requests["succeeded"] or requests["done"] == "0":
        raise LoadError(f"requests failed:\n{said}")
    seconds = float(finished["time"]) * _UNIT_SECONDS[finished["unit"]]
    return Run(int(requests["done"]), seconds, int(data[1]))
