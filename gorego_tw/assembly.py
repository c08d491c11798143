"""From the configuration to the objects: the only place that names everything."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from txaio.tx import make_logger

from gorego_tw.announcement import Announcement
from gorego_tw.backing import Backing, make_backing
from gorego_tw.cache import local_cache, make_sketch
from gorego_tw.certificates import Certificates, certificate_files
from gorego_tw.concurrency import Periodic
from gorego_tw.config import Configuration
from gorego_tw.control.port import control_port
from gorego_tw.eviction.janitor import nothing_pinned
from gorego_tw.exit_signals import ExitSignals
from gorego_tw.forwarding import VIA
from gorego_tw.garbage import SettledHeap
from gorego_tw.grpc.factory import GRPCFactory
from gorego_tw.grpc.health import Health
from gorego_tw.grpc.reflection import Reflection
from gorego_tw.grpc.router import IRPCService
from gorego_tw.lifecycle import Lifecycle, Opened, StartError
from gorego_tw.listen_address import endpoint_description, leads_here
from gorego_tw.local_tier import cache_size, compression, make_janitor, open_tier
from gorego_tw.logging_controls import AccessLogControl, LevelControl
from gorego_tw.metrics.catalogue import Counting, catalogue
from gorego_tw.pages import Shown, answering, make_site, started, turning, writable
from gorego_tw.port import Port
from gorego_tw.readiness import Readiness
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.capabilities import Capabilities
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.forwarding_metadata import ForwardingMetadata
from gorego_tw.reapi.limits import Limits
from gorego_tw.reapi.refusing_rings import TELL_SECONDS, RefusingRings
from gorego_tw.reapi.traced import Traced
from gorego_tw.remote.answer_probe import AnswerProbe
from gorego_tw.reuse.report import ReuseReport
from gorego_tw.reuse.sketch import Sketch
from gorego_tw.seldom import Seldom
from gorego_tw.settings import Telemetry
from gorego_tw.storage.disk_threads import DiskThreadPool, DiskThreads
from gorego_tw.storage.tier import LocalTier
from gorego_tw.storage.write_probe import WriteProbe
from gorego_tw.telemetry.export import SpanExport
from gorego_tw.telemetry.log import Log
from gorego_tw.telemetry.reactor_lag import ReactorLag
from gorego_tw.telemetry.standard_logging import StandardLoggingService
from gorego_tw.telemetry.tallies import SETTLE_SECONDS, Tallies
from gorego_tw.telemetry.tracing import Tracing
from gorego_tw.traces import Invocations, make_access_log, make_export, make_tracing
from gorego_tw.tracing.threads import TracedThreads
from gorego_tw.turns import Turns
from gorego_tw.web.health import Check

_log = make_logger()


def make_daemon(
    configuration: Configuration,
    reactor: Any,
    give_up: Callable[[Exception], None],
    start_anew: Callable[[str], None],
    log: Log,
) -> Lifecycle:
    """The daemon. Nothing is opened before it starts.

    :param reactor: any; it has more interfaces than a type can name at once.
    :param give_up: told why the daemon cannot start.
    :param start_anew: told, in any thread, why it cannot go on, though it could start again.
    :param log: of the process.
    """

    def children() -> Iterator[IService]:
        return assemble(configuration, reactor, lambda: daemon.ready, start_anew, log)

    daemon = Lifecycle(children, give_up)
    return daemon


def assemble(
    configuration: Configuration,
    reactor: Any,
    is_ready: Callable[[], bool],
    start_anew: Callable[[str], None],
    log: Log,
) -> Iterator[IService]:
    """All that runs, in the order of its start; each part is made when those before it run.

    :raises StartError: something that is configured cannot be had.
    """
    settings = configuration.settings
    warn_of_unused(configuration)
    yield ExitSignals(reactor)
    yield StandardLoggingService()
    yield (pool := DiskThreadPool(reactor))
    threads = TracedThreads(pool)
    yield (lag := ReactorLag(reactor))
    yield (certificates := Certificates(certificate_files(settings), threads, reactor))
    traces = yield from tracing_parts(configuration, threads, reactor)

    size = cache_size(configuration)
    tier = open_tier(configuration, size, threads, reactor)
    yield Opened(tier.close)
    tier.environment.damage.met = start_anew
    yield tier.crash_note
    compressing = yield from compression(configuration, tier, reactor)
    limits = Limits(max_blob_size_bytes=settings.max_blob_size_bytes)
    sketch = make_sketch(tier)
    yield ReuseReport(sketch, tier.folder.path, size.limit_bytes, threads, reactor)
    backing = make_backing(configuration, tier, limits, reactor, sketch)
    yield from tier.services
    pinned = nothing_pinned if backing is None else backing.pending.is_pinned
    yield (janitor := make_janitor(configuration, tier, pinned, traces.tracing.traced))
    if backing is not None:
        yield from backing.services()

    health = Health()
    tallies = Tallies(["local"] if backing is None else ["local", "backing"])
    services = cache_services(configuration, tier, backing, limits, sketch)
    if is_observed(settings.telemetry):
        services = [Traced(service, traces.tracing, tallies) for service in services]
        yield Periodic("counting of what was noted", tallies.settle, SETTLE_SECONDS, reactor)
    server = make_server([*services, health], configuration, reactor)
    checks = yield from readiness_checks(configuration, tier, backing, reactor)
    counting = Counting(
        *(tallies, server, tier, janitor, compressing, backing, threads, lag, certificates, log),
        *(traces.export, sketch),
    )
    shown = Shown(
        {"reactor": turning(lag)},
        {"started": started(is_ready), **checks},
        catalogue(counting),
        traces.tracing.kept,
        {"level": LevelControl(log), "access_log_ratio": traces.access_log},
    )
    web = web_port(configuration, shown, reactor)
    if web is not None:
        yield web
    yield control_port(tier, reactor)
    yield (port := grpc_port(configuration, server, reactor))
    yield SettledHeap()
    yield Announcement(
        health,
        service_names(services),
        str(tier.folder.path),
        size.limit_bytes,
        port,
        used=lambda: tier.space.used_bytes,
        web=web,
    )
    yield Readiness(checks, health, reactor)


class Traces(NamedTuple):
    """What records requests, and whom it tells.

    ``export`` is None if there is no collector.
    """

    tracing: Tracing
    access_log: AccessLogControl
    export: SpanExport | None


def tracing_parts(
    configuration: Configuration, threads: DiskThreads, reactor: Any
) -> Generator[IService, None, Traces]:
    """What records requests."""
    tracing = make_tracing(configuration)
    access_log = make_access_log(configuration, tracing)
    export = make_export(configuration, threads)
    if export is not None:
        tracing.export = export
        yield export
        yield Invocations(tracing, reactor)
    return Traces(tracing, AccessLogControl(tracing, access_log), export)


def readiness_checks(
    configuration: Configuration, tier: LocalTier, backing: Backing | None, reactor: Any
) -> Generator[IService, None, dict[str, Check]]:
    """What has to be well for calls to be taken, once the daemon has started."""
    yield (probe := WriteProbe(tier.files, tier.environment, tier.threads, reactor))
    checks = {"local_tier": writable(probe, tier.space)}
    if backing is not None:
        asked = None
        if configuration.settings.telemetry.readiness_requires_backing:
            yield (asked := AnswerProbe(backing.peer.greet, reactor))
        checks["backing_cache"] = answering(backing, asked)
    return checks


def is_observed(telemetry: Telemetry) -> bool:
    """Whether anybody gets to see what is recorded of requests."""
    return bool(telemetry.metrics_addr or telemetry.tracing_endpoint or telemetry.access_log_ratio)


def cache_services(
    configuration: Configuration,
    tier: LocalTier,
    backing: Backing | None,
    limits: Limits,
    sketch: Sketch | None = None,
) -> list[IRPCService]:
    """The services of the cache.

    :param sketch: told of its uses.
    """
    cache = local_cache(tier, sketch) if backing is None else backing.cache
    turns = Turns(tier.clock) if backing is None else backing.turns
    services: list[IRPCService] = [
        Capabilities(limits),
        ContentAddressableStorage(cache.blobs, limits, tier.threads, turns),
        ActionCache(cache.action_results, cache.blobs, limits, turns),
        ByteStream(cache.blobs, cache.uploads, limits),
    ]
    if backing is None:
        return services
    names = (*configuration.settings.backing_cache.forward_headers, VIA)
    told = Seldom(TELL_SECONDS, tier.clock, at_once=True)
    return [
        RefusingRings(ForwardingMetadata(service, names), backing.peer.station, told)
        for service in services
    ]


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


def web_port(configuration: Configuration, shown: Shown, reactor: Any) -> Port | None:
    """Where operators and their tools look; None if they are not to.

    :raises StartError: the address is none, or that of the build clients.
    """
    key, address = "telemetry.metrics_addr", configuration.settings.telemetry.metrics_addr
    if not address:
        return None
    place = _address_place(configuration, key, address)
    clients = configuration.settings.listen_addr
    if leads_here(address, clients) or leads_here(clients, address):
        raise StartError(
            f"{place} is where listen_addr is, {clients!r}; allowed: another port, or nothing"
        )
    site = make_site(configuration, shown, reactor)
    return Port(endpoint(configuration, key, address, reactor), site, place)


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
    tls = configuration.settings.tls
    if tls.cert_file:
        _log.warn(
            "{place}: {path}: not in use yet: connections of clients are not encrypted{nobody}",
            place=configuration.place("tls.cert_file"),
            path=tls.cert_file,
            nobody=", and no client has to have a certificate" if tls.client_ca_file else "",
        )


def _address_place(configuration: Configuration, key: str, address: str) -> str:
    return f"{configuration.place(key)}: {address!r}"
