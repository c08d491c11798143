"""The backing cache itself: from ``backing_cache.target`` and what belongs to it to a client of either protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from secrets import token_hex
from socket import gethostname
from typing import Any, NamedTuple, TypeVar

from OpenSSL.crypto import Error as CryptoError
from twisted.web.client import Agent
from txaio.tx import make_logger

from gorego_tw.certificates import first_expiry
from gorego_tw.config import Configuration
from gorego_tw.lifecycle import StartError
from gorego_tw.listen_address import leads_here
from gorego_tw.proxy.write_policy import UpstreamResults
from gorego_tw.remote.action_results import RemoteActionResults
from gorego_tw.remote.blobs import RemoteBlobs
from gorego_tw.remote.breaker import Breaker
from gorego_tw.remote.bulk.connections import BulkConnections, bypasses_proxy
from gorego_tw.remote.capabilities import Capabilities
from gorego_tw.remote.connections import Connections, Files, credentials
from gorego_tw.remote.http_action_results import HTTPActionResults
from gorego_tw.remote.http_blobs import HTTPBlobs
from gorego_tw.remote.http_connections import HTTPConnections
from gorego_tw.remote.http_peer import HTTPPeer
from gorego_tw.remote.http_tls import ClientPolicy
from gorego_tw.remote.link import Link
from gorego_tw.remote.retry import Retrying
from gorego_tw.remote.target import Target, parse_target
from gorego_tw.settings import BackingCache
from gorego_tw.via import Station

#: Over HTTP a connection has one request at a time: so many of them are as one of gRPC. There are more than
#: readers of what is not kept (MOST_UNKEPT), who may be slow, so that others find a place beside them.
HTTP_CONNECTIONS = 64

#: How long one may take to be made, in seconds.
CONNECT_SECONDS = 10.0

T = TypeVar("T")

_log = make_logger()


class Peer(NamedTuple):
    """A backing cache, whatever it speaks, and the daemon that asks it."""

    blobs: Any  # an IBlobAccess and a Sink at once
    action_results: UpstreamResults
    greet: Callable[[], Coroutine[Any, Any, None]]
    close: Callable[[], Awaitable[None]]
    breaker: Breaker
    retrying: Retrying
    station: Station


def grpc_peer(configuration: Configuration, target: Target, reactor: Any) -> Peer:
    """One that speaks the Remote Execution API.

    :raises StartError: a certificate cannot be read.
    """
    backing = configuration.settings.backing_cache
    station = _station(configuration)
    trust = _secure(configuration, credentials) if target.is_encrypted else None
    breaker, retrying = _patience(backing, target, reactor)
    connections = Connections(target, backing.connections, trust)
    bulk = None
    if not target.is_encrypted and bypasses_proxy():
        bulk = BulkConnections(target, reactor, backing.timeout_seconds)
    link = Link(
        connections,
        headers=tuple(backing.headers.items()),
        station=station,
        breaker=breaker,
        retrying=retrying,
        timeout_seconds=backing.timeout_seconds,
        clock=reactor,
        bulk=bulk,
    )
    capabilities = Capabilities(link, backing.instance_name)
    blobs = RemoteBlobs(
        link,
        capabilities,
        instance_name=backing.instance_name,
        compression=backing.compression == "zstd",
        max_blob_size_bytes=backing.max_backing_blob_size_bytes,
        clock=reactor,
    )

    async def close() -> None:
        if bulk is not None:
            bulk.close()
        await connections.close()

    results = RemoteActionResults(link, capabilities, backing.instance_name)
    return Peer(blobs, results, capabilities.refresh, close, breaker, retrying, station)


def http_peer(configuration: Configuration, target: Target, reactor: Any) -> Peer:
    """One that serves files by their URLs.

    :raises StartError: a certificate cannot be read.
    """
    backing = configuration.settings.backing_cache
    breaker, retrying = _patience(backing, target, reactor)
    most = backing.connections * HTTP_CONNECTIONS
    pool = HTTPConnections(reactor, most)
    policy = _secure(configuration, ClientPolicy)
    peer = HTTPPeer(
        Agent(reactor, policy, connectTimeout=CONNECT_SECONDS, pool=pool),
        str(target),
        headers=tuple(backing.headers.items()),
        breaker=breaker,
        retrying=retrying,
        seconds=backing.timeout_seconds,
        clock=reactor,
        most=most,
    )
    blobs = HTTPBlobs(peer, max_blob_size_bytes=backing.max_backing_blob_size_bytes)

    async def close() -> None:
        peer.close()
        await pool.closeCachedConnections()

    results = HTTPActionResults(peer, backing.instance_name)
    return Peer(blobs, results, peer.greet, close, breaker, retrying, _station(configuration))


def _station(configuration: Configuration) -> Station:
    """This daemon, until it ends: one that is started anew may have another backing cache."""
    address = configuration.settings.listen_addr
    between = "" if address.startswith(":") else "/"
    return Station(f"{gethostname()}{between}{address}", token_hex(4))


def _patience(backing: BackingCache, target: Target, reactor: Any) -> tuple[Breaker, Retrying]:
    breaker = Breaker(f"the backing cache {target}", clock=reactor)
    random = Random()  # noqa: S311 - how long it is waited is no secret
    return breaker, Retrying(backing.put_retry_count, clock=reactor, random=random)


def _secure(configuration: Configuration, make: Callable[[Files], T]) -> T:
    """What is made of the PEM files that are configured.

    :raises StartError: one cannot be read, or is none.
    """
    tls = configuration.settings.backing_cache.tls
    for key, path in (("ca_file", tls.ca_file), ("cert_file", tls.cert_file)):
        if path:
            _check_certificates(configuration.place(f"backing_cache.tls.{key}"), path)
    try:
        return make(Files(tls.ca_file, tls.cert_file, tls.key_file))
    except (OSError, CryptoError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "no PEM"
        place = configuration.place("backing_cache.tls")
        raise StartError(f"{place}: {reason}; allowed: the paths of PEM files") from error


def _check_certificates(place: str, path: str) -> None:
    # gRPC takes any file, and then trusts nobody.
    try:
        first_expiry(path)
    except OSError as error:
        raise StartError(f"{place}: {path}: {error.strerror}; allowed: a PEM file") from error
    except ValueError as error:
        raise StartError(f"{place}: {path}: no certificate; allowed: a PEM file") from error


def warn_of_unused(configuration: Configuration, target: Target) -> None:
    """Tell of certificates that nobody will ever look at."""
    if target.is_encrypted:
        return
    for key, path in configuration.settings.backing_cache.tls:
        if path:
            encrypted = {"http": "https", "grpc": "grpcs"}.get(target.scheme)
            _log.warn(
                "{place}: {path}: not in use: connections to {target} are not encrypted{instead}",
                place=configuration.place(f"backing_cache.tls.{key}"),
                path=path,
                target=str(target),
                instead=f"; to {encrypted}:// they would be" if encrypted else "",
            )


def make_peer(configuration: Configuration, reactor: Any) -> Peer | None:
    """The backing cache that is configured, if one is.

    :raises StartError: it cannot be what is configured.
    """
    if not configuration.settings.backing_cache.target:
        return None
    target = parse_target(configuration.settings.backing_cache.target)
    if leads_here(target.address, configuration.settings.listen_addr):
        place = configuration.place("backing_cache.target")
        raise StartError(f"{place}: {target} is this daemon itself; allowed: another cache")
    warn_of_unused(configuration, target)
    make = http_peer if target.is_http else grpc_peer
    return make(configuration, target, reactor)
