"""Pages for whoever is on this machine."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.web.http import FORBIDDEN
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request


def is_here(peer: IAddress) -> bool:
    """Whether the peer is on this machine."""
    if isinstance(peer, IPv4Address | IPv6Address):
        address = ip_address(peer.host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)
    return isinstance(peer, UNIXAddress)


def is_asked_here(request: Request) -> bool:
    """Whether a peer on this machine asks for it as being on this machine.

    A browser here may be led here by any page: a name of the attacker's that turns out to have our
    address (DNS rebinding). Then the name is still what it asks for.
    """
    host = (request.getHeader("host") or "").rpartition("@")[2]
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return is_here(request.getClientAddress()) and (not name or _is_ours(name))


def _is_ours(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class LoopbackOnly(Resource):
    """A page, and what is below it, for peers on this machine; 403 for others.

    :param page: the page.
    """

    def __init__(self, page: Resource) -> None:
        super().__init__()
        self.isLeaf = page.isLeaf
        self._page = page

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """What is below it."""
        if is_asked_here(request):
            child: IResource = self._page.getChildWithDefault(path, request)
            return child
        return _Refusal()

    def render(self, request: Request) -> bytes | int:
        """The page itself."""
        page = self._page if is_asked_here(request) else _Refusal()
        answer: bytes | int = page.render(request)
        return answer


class _Refusal(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Say who may."""
        request.setResponseCode(FORBIDDEN)
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return (
            b"for peers on this machine that ask for localhost or an address;"
            b" telemetry.debug_peers: any opens it to all\n"
        )
