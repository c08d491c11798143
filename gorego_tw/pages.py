"""From the configuration to the pages for operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from twisted.web.resource import Resource
from twisted.web.server import Site

from gorego_tw.backing import Backing
from gorego_tw.concurrency import in_daemon_thread
from gorego_tw.config import Configuration
from gorego_tw.remote.answer_probe import AnswerProbe
from gorego_tw.remote.breaker import State
from gorego_tw.storage.space import Space
from gorego_tw.storage.write_probe import WriteProbe
from gorego_tw.telemetry.kept import Kept
from gorego_tw.telemetry.reactor_lag import ReactorLag
from gorego_tw.web.configz import Configz
from gorego_tw.web.health import Check, Finding, Health
from gorego_tw.web.log import Control, LogPage
from gorego_tw.web.loopback import LoopbackOnly
from gorego_tw.web.metrics import Metrics
from gorego_tw.web.profile import Profile
from gorego_tw.web.root import Root
from gorego_tw.web.stacks import Stacks
from gorego_tw.web.tracez import Tracez

#: A reactor that is later than that has stopped serving, whatever it does, in seconds.
MOST_LAG_SECONDS = 5.0


class Shown(NamedTuple):
    """What the pages tell of.

    ``liveness`` has to be well for the process not to be ended, ``readiness`` for calls to be taken.
    ``kept`` are the last slow and failed requests, ``log`` what of the log can be changed.
    """

    liveness: Mapping[str, Check]
    readiness: Mapping[str, Check]
    registry: CollectorRegistry
    kept: Kept
    log: Mapping[str, Control]


def make_site(configuration: Configuration, shown: Shown, reactor: Any) -> Site:
    """All pages."""
    pages: dict[str, Resource] = {
        "metrics": Metrics(shown.registry, reactor),
        "healthz": Health(shown.liveness),
        "readyz": Health(shown.readiness),
        "tracez": Tracez(shown.kept, reactor),
    }
    inside: dict[str, Resource] = {
        "configz": Configz(configuration.shown),
        "debug": debug_pages(shown.log, reactor),
    }
    if configuration.settings.telemetry.debug_peers == "loopback":
        inside = {name: LoopbackOnly(page) for name, page in inside.items()}
    site = Site(Root(pages | inside), reactor=reactor)
    site.displayTracebacks = False
    return site


def debug_pages(log: Mapping[str, Control], reactor: Any) -> Resource:
    """For whoever wants to know what the process is doing."""
    profile = Profile(partial(in_daemon_thread, reactor))
    return Root({"log": LogPage(log), "stacks": Stacks(), "profile": profile})


def turning(lag: ReactorLag) -> Check:
    """Whether the reactor turns, and turns soon enough to be of use to anybody."""

    def check() -> Finding:
        seconds = lag.seconds
        late = f"timers are {seconds:.3f} s late" if seconds > MOST_LAG_SECONDS else ""
        return Finding(not late, late, lag.age_seconds)

    return check


def started(is_ready: Callable[[], bool]) -> Check:
    """Whether all services run and none was told to stop."""

    def check() -> Finding:
        ready = is_ready()
        return Finding(ready, "" if ready else "starting or shutting down")

    return check


def writable(probe: WriteProbe, space: Space) -> Check:
    """Whether the local tier took what was written to try it, and has room for more than that."""

    def check() -> Finding:
        failure = probe.failure or space.failure
        return Finding(failure is None, failure or "", probe.age_seconds)

    return check


def answering(backing: Backing, probe: AnswerProbe | None) -> Check:
    """Whether the backing cache answers. Without it local hits go on, so it need not decide anything.

    :param probe: asks it, if that is to decide; else it is known from the calls that there are.
    """
    breaker = backing.peer.breaker

    def check() -> Finding:
        required = probe is not None
        if probe is not None and probe.failure is not None:
            return Finding(False, probe.failure, probe.age_seconds, required=required)
        closed = breaker.state is State.CLOSED
        return Finding(closed, breaker.reason, breaker.seconds, required=required)

    return check
