"""Where a backing cache is, and how it is talked to."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

#: What a target may be, for messages.
ALLOWED = (
    "grpc://host:port, grpcs://host:port, unix:/path, http://host/prefix or https://host/prefix"
)

_HTTP_PORTS = {"http": 80, "https": 443}
_GRPC = frozenset({"grpc", "grpcs"})


class Target(NamedTuple):
    """``scheme`` is grpc, grpcs, unix, http or https; ``address`` is host:port, with an IPv6 host in
    brackets, or the path of a socket; ``prefix`` is what comes before /ac/ and /cas/ in a URL.
    """

    scheme: str
    address: str
    prefix: str = ""

    @property
    def grpc_name(self) -> str:
        """The name that a gRPC channel is opened with (gRPC Name Resolution)."""
        return f"unix:{self.address}" if self.scheme == "unix" else f"dns:///{self.address}"

    @property
    def is_http(self) -> bool:
        """Whether it speaks plain HTTP."""
        return self.scheme in _HTTP_PORTS

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self.scheme in {"grpcs", "https"}

    def __str__(self) -> str:
        slashes = "" if self.scheme == "unix" else "//"
        return f"{self.scheme}:{slashes}{self.address}{self.prefix}"


def parse_target(text: str) -> Target:
    """The target that is written so.

    :raises ValueError: it is none; the message says what is wrong.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(f"{_shown(text)!r}: the path of a unix socket begins with a slash")
        return Target("unix", path)
    url, port = _split(text)
    if url.scheme not in _GRPC and url.scheme not in _HTTP_PORTS:
        raise ValueError(f"{_shown(text)!r} has no scheme that is known")
    if not url.hostname:
        raise ValueError(f"{_shown(text)!r} names no host")
    if url.username is not None or url.query or url.fragment:
        raise ValueError(
            f"{_shown(text)!r}: a user, a query or a fragment is out of place; credentials are headers"
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if url.scheme in _GRPC:
        if port is None:
            raise ValueError(f"{_shown(text)!r} names no port")
        if url.path not in {"", "/"}:
            raise ValueError(f"{_shown(text)!r}: a path is out of place; see instance_name")
        return Target(url.scheme, f"{host}:{port}")
    return Target(url.scheme, f"{host}:{port or _HTTP_PORTS[url.scheme]}", url.path.rstrip("/"))


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"{_shown(text)!r}: {error}") from None
    return url, port


def _shown(text: str) -> str:
    """What was written, for messages, without what may be a password or a token: they come to logs."""
    return re.sub(r"\?.*", "?…", re.sub(r"//[^/]*@", "//…@", text))
