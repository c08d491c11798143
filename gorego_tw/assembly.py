"""From the configuration to the objects: the only place that names everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.web.server import Site

from gorego_tw.announcement import Announcement
from gorego_tw.capacity import Capacity, capacity
from gorego_tw.config import Configuration
from gorego_tw.eviction.janitor import Janitor
from gorego_tw.exit_signals import ExitSignals
from gorego_tw.garbage import SettledHeap
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.grpc.health import Health
from gorego_tw.grpc.reflection import Reflection
from gorego_tw.interfaces import IRPCService
from gorego_tw.lifecycle import Lifecycle, Opened, StartError
from gorego_tw.listen_address import endpoint_description
from gorego_tw.port import Port
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.capabilities import Capabilities
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.completeness import CompletenessChecking
from gorego_tw.storage.disk_threads import DiskThreadPool
from gorego_tw.storage.empty_blob import EmptyBlob
from gorego_tw.storage.folder import FolderError
from gorego_tw.storage.tier import LocalTier
from gorego_tw.storage.write_probe import WriteProbe
from gorego_tw.telemetry.registry import make_registry
from gorego_tw.web.health import Check, Finding
from gorego_tw.web.health import Health as HealthPage
from gorego_tw.web.metrics import Metrics
from gorego_tw.web.root import Root

_log = Logger()


def make_daemon(
    configuration: Configuration, reactor: Any, give_up: Callable[[Exception], None]
) -> Lifecycle:
    """The daemon. Nothing is opened before it starts.

    :param reactor: any; it has more interfaces than a type can name at once.
    :param give_up: told why the daemon cannot start.
    """

    def children() -> Iterator[IService]:
        return assemble(configuration, reactor, lambda: daemon.ready)

    daemon = Lifecycle(children, give_up)
    return daemon


def assemble(
    configuration: Configuration, reactor: Any, is_ready: Callable[[], bool]
) -> Iterator[IService]:
    """All that runs, in the order of its start; each part is made when those before it run.

    :raises StartError: something that is configured cannot be had.
    """
    warn_of_unused(configuration)
    yield ExitSignals(reactor)
    yield (threads := DiskThreadPool(reactor))

    size = cache_size(configuration)
    tier = open_tier(configuration, size, threads, reactor)
    yield Opened(tier.close)
    yield from tier.services
    yield Janitor(tier, Random())  # noqa: S311 - samples to evict are no secret

    health = Health()
    services = cache_services(tier, configuration)
    server = make_server([*services, health], configuration, reactor)
    yield (probe := WriteProbe(tier.files, threads, reactor))
    checks = {"started": started(is_ready), "local_tier": writable(probe)}
    yield from web_ports(configuration, checks, reactor)
    yield (port := grpc_port(configuration, server, reactor))
    yield SettledHeap()
    yield Announcement(
        health, service_names(services), str(tier.folder.path), size.limit_bytes, port
    )


def cache_size(configuration: Configuration) -> Capacity:
    """How large the cache may grow.

    :raises StartError: its file system does not answer.
    """
    cache = configuration.settings.local_cache
    try:
        return capacity(Path(cache.dir), cache.max_size_gb)
    except OSError as error:
        reason = f"{cache.dir}: {error.strerror}"
        raise _folder_error(configuration, reason) from error


def open_tier(
    configuration: Configuration, size: Capacity, threads: DiskThreadPool, reactor: Any
) -> LocalTier:
    """The local tier.

    :raises StartError: its folder cannot be used.
    """
    try:
        return LocalTier.open(
            Path(configuration.settings.local_cache.dir),
            limit_bytes=size.limit_bytes,
            free_reserve_bytes=size.free_reserve_bytes,
            clock=reactor,
            threads=threads,
        )
    except FolderError as error:
        raise _folder_error(configuration, str(error)) from error


def cache_services(tier: LocalTier, configuration: Configuration) -> list[IRPCService]:
    """The services of a cache, on the local tier."""
    limits = Limits(max_blob_size_bytes=configuration.settings.max_blob_size_bytes)
    blobs = EmptyBlob(tier.blobs)
    # References never name the empty blob, so the tier itself can be asked for them.
    results = CompletenessChecking(tier.action_results, tier.blobs)
    return [
        Capabilities(limits),
        ContentAddressableStorage(blobs, limits, tier.threads),
        ActionCache(results, blobs, limits),
        ByteStream(blobs, tier.uploads, limits),
    ]


def started(is_ready: Callable[[], bool]) -> Check:
    """Whether all services run and none was told to stop."""

    def check() -> Finding:
        ready = is_ready()
        return Finding(ready, "" if ready else "starting or shutting down")

    return check


def writable(probe: WriteProbe) -> Check:
    """Whether the local tier took what was written to try it."""
    return lambda: Finding(probe.failure is None, probe.failure or "", probe.age_seconds)


def make_server(
    services: Iterable[IRPCService], configuration: Configuration, reactor: Any
) -> GRPCFactory:
    """The gRPC server of those services, which tells their names to those who ask."""
    services = list(services)
    return GRPCFactory(
        [*services, Reflection(service_names(services))],
        clock=reactor,
        max_message_bytes=configuration.settings.max_message_bytes,
    )


def service_names(services: Iterable[IRPCService]) -> list[str]:
    """The names of services, as in the paths of their methods."""
    return sorted({path.split("/")[1] for service in services for path in service.methods()})


def grpc_port(configuration: Configuration, server: GRPCFactory, reactor: Any) -> Port:
    """Where build clients connect.

    :raises StartError: the address is none.
    """
    settings = configuration.settings
    return Port(
        endpoint(configuration, "listen_addr", settings.listen_addr, reactor),
        server,
        _address_place(configuration, "listen_addr", settings.listen_addr),
        lambda: server.drain(settings.shutdown_grace_seconds),
    )


def web_ports(
    configuration: Configuration, checks: Mapping[str, Check], reactor: Any
) -> Iterator[Port]:
    """Where operators and their tools look, if they are to.

    :param checks: what has to be well for calls to be taken.
    :raises StartError: the address is none.
    """
    key, address = "telemetry.metrics_addr", configuration.settings.telemetry.metrics_addr
    if not address:
        return
    site = Site(
        Root(
            {
                "metrics": Metrics(make_registry()),
                "healthz": HealthPage({"process": lambda: Finding(True)}),
                "readyz": HealthPage(checks),
            }
        ),
        reactor=reactor,
    )
    site.displayTracebacks = False
    yield Port(
        endpoint(configuration, key, address, reactor),
        site,
        _address_place(configuration, key, address),
    )


def endpoint(
    configuration: Configuration, key: str, address: str, reactor: Any
) -> IStreamServerEndpoint:
    """Where to listen.

    :raises StartError: Twisted does not know what to make of the address.
    """
    try:
        made: IStreamServerEndpoint = serverFromString(reactor, endpoint_description(address))
    except Exception as error:  # any: what parses the string may come from any plugin
        place = _address_place(configuration, key, address)
        raise StartError(f"{place}: {error}; allowed: an endpoint of Twisted") from error
    return made


def warn_of_unused(configuration: Configuration) -> None:
    """Tell of what is configured and not in use yet: above all that nothing is encrypted."""
    settings = configuration.settings
    if settings.tls.cert_file:
        _log.warn(
            "{place}: not in use yet: connections are not encrypted",
            place=configuration.place("tls"),
        )
    if settings.backing_cache.target:
        _log.warn("{place}: not in use yet", place=configuration.place("backing_cache.target"))
    if settings.telemetry.tracing_endpoint:
        place = configuration.place("telemetry.tracing_endpoint")
        _log.warn("{place}: not in use yet", place=place)


def _folder_error(configuration: Configuration, reason: str) -> StartError:
    place = configuration.place("local_cache.dir")
    return StartError(
        f"{place}: {reason}; allowed: a folder that this daemon alone uses and may write to"
    )


def _address_place(configuration: Configuration, key: str, address: str) -> str:
    return f"{configuration.place(key)}: {address!r}"
