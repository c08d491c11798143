"""The metrics of what is behind the local tier."""

from __future__ import annotations

from collections.abc import Callable

from gorego_tw.backing import Backing
from gorego_tw.remote.breaker import Breaker, State
from gorego_tw.replication.flight import State as FlightState
from gorego_tw.replication.flights import Flights
from gorego_tw.telemetry.observed import Observed
from gorego_tw.telemetry.tallies import Operation, Tallies


def observe_backing(observed: Observed, backing: Backing, tallies: Tallies) -> None:
    """Let all of it be seen."""
    _observe_saved(observed, backing, tallies)
    _observe_calls(observed, backing)
    _observe_fetches(observed, backing)
    _observe_writes(observed, backing)
    _observe_citizenship(observed, backing)


def _observe_calls(observed: Observed, backing: Backing) -> None:
    breaker, retrying = backing.peer.breaker, backing.peer.retrying
    observed.gauge(
        "gorego_backing_breaker_state",
        "1 for the state that the circuit breaker is in",
        {state.value: _is_in(breaker, state) for state in State},
        "state",
    )
    observed.counter(
        "gorego_backing_breaker_opened_total",
        "How often the circuit breaker has opened",
        lambda: breaker.opened,
    )
    observed.counter(
        "gorego_backing_calls_refused_total",
        "Calls that failed at once because the circuit breaker was not closed",
        lambda: breaker.refused,
    )
    observed.counter(
        "gorego_backing_retries_total",
        "Calls to the backing cache that were tried again",
        lambda: retrying.retried,
    )
    observed.counter(
        "gorego_degraded_action_results_total",
        "Lookups of action results that were answered without the backing cache, by its trouble",
        lambda: backing.outage.told,
    )


def _observe_saved(observed: Observed, backing: Backing, tallies: Tallies) -> None:
    reads: tuple[Operation, ...] = ("get", "get_result")

    def spared_reads() -> int:
        found = tallies.sum(reads, "local", "hit") + tallies.sum(reads, "backing", "coalesced")
        return max(0, found - backing.action_results.compared)

    observed.counter(
        "gorego_backing_saved_total",
        "Reads, writes and existence checks that the backing cache did not have to answer",
        {
            "read": spared_reads,
            "write": lambda: backing.copying.joined + backing.copying.spared,
            "find_missing": lambda: (
                tallies.sum(("find_missing",), "local", "hit") + backing.presence.spared
            ),
        },
        "operation",
    )


def _observe_fetches(observed: Observed, backing: Backing) -> None:
    flights = backing.flights
    observed.gauge(
        "gorego_fetches_in_flight",
        "Blobs that are being fetched from the backing cache",
        lambda: flights.in_flight,
    )
    observed.counter(
        "gorego_fetches_started_total",
        "Fetches of blobs from the backing cache",
        lambda: flights.started,
    )
    observed.counter(
        "gorego_fetches_joined_total",
        "Reads that joined a fetch under way",
        lambda: flights.joined,
    )
    observed.counter(
        "gorego_fetches_resumed_total",
        "Streams from the backing cache that broke off and were gone on with",
        lambda: backing.peer.blobs.resumed,
    )
    observed.counter(
        "gorego_fetches_total",
        "Fetches that ended, by how",
        {state.value: _ended(flights, state) for state in _LAST},
        "outcome",
    )


def _observe_writes(observed: Observed, backing: Backing) -> None:
    queue, copying = backing.write_back, backing.copying
    observed.counter(
        "gorego_backing_blobs_written_total",
        "Blobs that were copied to the backing cache",
        lambda: copying.copied,
    )
    observed.counter(
        "gorego_backing_writes_joined_total",
        "Writes that waited for a copy of the same blob that was under way",
        lambda: copying.joined,
    )
    observed.gauge(
        "gorego_write_back_queue_entries",
        "Blobs and action results that have still to be uploaded",
        lambda: queue.depth,
    )
    observed.gauge(
        "gorego_write_back_queue_bytes",
        "What they come to, in bytes",
        lambda: queue.size_bytes,
    )
    observed.gauge(
        "gorego_write_back_queue_oldest_age_seconds",
        "How long the oldest of them has been waiting",
        lambda: queue.oldest_age_seconds,
    )
    observed.counter(
        "gorego_write_back_total",
        "Blobs and action results that left the upload queue, by how",
        {"uploaded": lambda: queue.uploaded, "lost": lambda: queue.lost},
        "outcome",
    )


def _observe_citizenship(observed: Observed, backing: Backing) -> None:
    renewal, results = backing.renewal, backing.action_results
    observed.counter(
        "gorego_backing_renewed_total",
        "Blobs used here that were renewed in the backing cache",
        lambda: renewal.count,
    )
    observed.counter(
        "gorego_backing_renewals_absent_total",
        "Blobs used here that turned out to be gone from the backing cache",
        lambda: renewal.absent,
    )
    observed.counter(
        "gorego_action_results_compared_total",
        "Local action results that were compared with the backing cache",
        lambda: results.compared,
    )
    observed.counter(
        "gorego_action_results_different_total",
        "Local action results in whose place that of the backing cache was taken",
        lambda: results.different,
    )


_LAST = (
    FlightState.COMPLETED,
    FlightState.UNKEPT,
    FlightState.ABSENT,
    FlightState.CORRUPT,
    FlightState.FAILED,
    FlightState.CANCELLED,
)


def _is_in(breaker: Breaker, state: State) -> Callable[[], float]:
    return lambda: float(breaker.state is state)


def _ended(flights: Flights, state: FlightState) -> Callable[[], float]:
    return lambda: flights.outcomes[state]
