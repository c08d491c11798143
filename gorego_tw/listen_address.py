"""Where a server listens: the short forms an operator writes, as Twisted's endpoint strings."""

from __future__ import annotations

import re
from socket import has_dualstack_ipv6

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

#: The forms, for messages.
ALLOWED = (
    '":PORT" (every interface), "HOST:PORT", "[IPV6]:PORT", "unix:/PATH" or a Twisted server '
    'endpoint such as "tcp:PORT:interface=127.0.0.1"'
)

# Built into twisted.internet.endpoints; the others are plugins.
_BUILT_IN = frozenset({"tcp", "ssl", "unix"})
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]/]*)):(?P<port>\d{1,5})"
)


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def endpoint_description(address: str, *, dual_stack: bool | None = None) -> str:
    """``address`` as a server endpoint string for ``twisted.internet.endpoints``.

    :param dual_stack: whether a socket can serve IPv4 and IPv6 at once; None asks the system.
    :raises ValueError: not one of the forms of :data:`ALLOWED`. An endpoint string is only
        looked at as far as its first word.
    """
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest.startswith("///"):
        return f"unix:{quoteStringArgument(rest[2:])}"
    if kind == "unix" and not rest.startswith(("/", "address=")):
        raise ValueError(f"{address!r}: the path of a unix socket is absolute")
    if kind in _BUILT_IN or kind in _plugged_in():
        return address
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is not an address to listen on")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"{address!r}: a port is 0 (any that is free) to 65535")
    return _tcp(match["host"], match["ipv6"], port, dual_stack)


def leads_here(host_and_port: str, address: str) -> bool:
    """Whether a client on this machine that is told to connect to the one reaches who listens on the other."""
    there, here = _HOST_AND_PORT.fullmatch(host_and_port), _HOST_AND_PORT.fullmatch(address)
    if there is None or here is None or int(there["port"]) != int(here["port"]):
        return False
    if not int(here["port"]):
        return False  # any that is free
    host, own = (match["ipv6"] or match["host"] for match in (there, here))
    is_loopback = host in _LOOPBACK
    return host == own or (is_loopback and (own in _LOOPBACK or own in _ANY))


def _tcp(host: str | None, ipv6: str | None, port: int, dual_stack: bool | None) -> str:
    if ipv6:
        return f"tcp6:{port}:interface={quoteStringArgument(ipv6)}"
    if host:
        return f"tcp:{port}:interface={host}"
    if has_dualstack_ipv6() if dual_stack is None else dual_stack:
        return f"tcp6:{port}:interface={quoteStringArgument('::')}"
    return f"tcp:{port}"


def _plugged_in() -> set[str]:
    return {parser.prefix for parser in getPlugins(IStreamServerEndpointStringParser)}
