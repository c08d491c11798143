"""The moment from which on clients are welcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from socket import gethostname

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from txaio.tx import make_logger

from gorego_tw.grpc.health import Health
from gorego_tw.port import Port
from gorego_tw.settings import GB


class Announcement(Service):
    """Says, in the log and to those who ask for our health, that calls are taken.

    It starts last, so that what it says is true, and stops first, so that clients turn
    away before the port closes.

    :param health: is told.
    :param services: the names of the services that it answers for.
    :param folder: where the cache is.
    :param limit_bytes: how large it may grow, in bytes.
    :param port: where they are served.
    :param used: how large it is, in bytes: more than the limit, where that was lowered.
    :param web: where the pages for operators are, if they are anywhere.
    """

    _log = make_logger()

    def __init__(
        self,
        health: Health,
        services: Iterable[str],
        folder: str,
        limit_bytes: int,
        port: Port,
        *,
        used: Callable[[], int],
        web: Port | None,
    ) -> None:
        self._health = health
        self._services = ["", *services]
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._used = used
        self._port = port
        self._web = web

    def startService(self) -> None:
        """From now on all services are serving."""
        super().startService()
        for service in self._services:
            self._health.set_status(service, True)
        self._log.info(
            "the cache is in {folder}, has {used_gb:.3g} GB and may grow to {limit_gb:.6g} GB",
            folder=self._folder,
            used_gb=self._used() / GB,
            limit_gb=self._limit_bytes / GB,
        )
        if self._web is not None:
            self._log.info("metrics are on {page}", page=metrics_page(self._web.address))
        self._log.info("ready; for Bazel: {flags}", flags=bazel_flags(self._port.address))

    def stopService(self) -> None:
        """From now on none is."""
        super().stopService()
        self._health.close()
        self._log.info("shutting down")


def bazel_flags(address: object) -> str:
    """What to call Bazel with to use a server that listens on ``address``."""
    return _shown(
        address,
        tcp="--remote_cache=grpc://{}",
        unix="--remote_cache=grpc://localhost --remote_proxy=unix:{}",
        other="--remote_cache=grpc://HOST:PORT (listening on {})",
    )


def metrics_page(address: object) -> str:
    """Where to look for metrics of a server that listens on ``address``."""
    return _shown(
        address,
        tcp="http://{}/metrics",
        unix="/metrics of unix:{}",
        other="/metrics of {}",
    )


def _shown(address: object, *, tcp: str, unix: str, other: str) -> str:
    """What is said of a server that listens there, by the kind of the address."""
    if isinstance(address, IPv4Address | IPv6Address):
        return tcp.format(f"{_reachable(address.host)}:{address.port}")
    if isinstance(address, UNIXAddress) and address.name:
        return unix.format(os.fsdecode(address.name))
    return other.format(address)


def _reachable(host: str) -> str:
    """A host to connect to: an address that stands for every interface is none."""
    ip = ip_address(host.partition("%")[0])
    if ip.is_unspecified:
        return gethostname()
    return f"[{host}]" if ip.version == 6 else host
