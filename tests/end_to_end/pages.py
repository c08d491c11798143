"""The pages of a daemon, as tools and people ask for them."""

from __future__ import annotations

import urllib.error
import urllib.request
from email.message import Message
from typing import NamedTuple

from tests.end_to_end.daemon import Daemon

PAGE_SECONDS = 10


class Page(NamedTuple):
    """What was answered."""

    status: int
    headers: Message
    text: str


def page(daemon: Daemon, path: str, accept: str = "", method: str = "GET") -> Page:
    """One page of a daemon whose ``metrics_addr`` has a port.

    :param accept: which media types are wanted; "" for any.
    """
    request = urllib.request.Request(f"http://{daemon.metrics_addr}{path}", method=method)
    if accept:
        request.add_header("Accept", accept)
    try:
        with urllib.request.urlopen(request, timeout=PAGE_SECONDS) as answer:
            return Page(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return Page(refused.code, refused.headers, refused.read().decode())


def metric(daemon: Daemon, name: str) -> float:
    """What a metric says now; 0 if there is none of that name and those labels.

    :param name: with its labels in the order of the alphabet.
    """
    lines = (line.rpartition(" ") for line in page(daemon, "/metrics").text.splitlines())
    return next((float(value) for found, _, value in lines if _sorted(found) == name), 0.0)


def _sorted(name: str) -> str:
    bare, brace, labels = name.removesuffix("}").partition("{")
    return f"{bare}{{{','.join(sorted(labels.split(',')))}}}" if brace else name
