"""The figures of ``gorego cache stat``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from gorego_tw.digest import DigestFunction
from gorego_tw.pb.gorego.control.v1.control_pb2 import StatResponse
from gorego_tw.storage.index import Index
from gorego_tw.storage.records import ACTIONS
from gorego_tw.storage.tier import LocalTier

#: How many places of the index are looked at for ages, and how many entries there. Keys are hashes,
#: so neighbours are as good a sample as any.
_PLACES = 64
_NEIGHBOURS = 16

#: How many places are looked at before others have their turn: 0.1 ms, or one if all results there have 2 MB.
_TURN_PLACES = 8

#: The parts of the sample whose ages are told, in percent: 0 is what was used last, 100 the oldest.
PERCENT = (0, 10, 25, 50, 75, 90, 100)


def name_of(kind: int) -> str:
    """What entries are called whose keys begin so."""
    return "action results" if kind == ACTIONS else DigestFunction(kind).name


async def statistics(
    tier: LocalTier, random: Random, daemon_pid: int, pause: Callable[[float], Awaitable[object]]
) -> StatResponse:
    """What is stored.

    :param daemon_pid: the process that keeps it in order; 0 for none.
    :param pause: waits for so many seconds, in which others have their turn.
    """
    used = await _last_uses(tier, random, pause)
    index_bytes = tier.environment.file_bytes
    space = tier.space
    response = StatResponse(
        used_bytes=space.used_bytes,
        limit_bytes=space.limit_bytes,
        index_bytes=index_bytes,
        index_free_bytes=max(0, index_bytes - tier.index.page_bytes),
        pid=daemon_pid,
        partial_bytes=space.partial_bytes,
        reserved_bytes=space.reserved_bytes,
        doomed_bytes=space.doomed_bytes,
        pending_entries=tier.environment.pending_entries,
    )
    for kind, tally in sorted(tier.index.tallies.items()):
        response.kinds.add(name=name_of(kind), entries=tally.entries, file_bytes=tally.file_bytes)
    tier.last_use.tick()
    ages = sorted(tier.last_use.now - time for time in used)
    for percent in PERCENT if ages else ():
        response.age_seconds[percent] = max(0, ages[(len(ages) - 1) * percent // 100])
    return response


async def _last_uses(
    tier: LocalTier, random: Random, pause: Callable[[float], Awaitable[object]]
) -> list[int]:
    """When entries were used, of a sample of all kinds according to their numbers."""
    latest = tier.last_use.latest
    used: list[int] = []
    for number, start in enumerate(_starts(tier.index, random), 1):
        found = tier.index.neighbours(start, _NEIGHBOURS)
        used += [latest(key, recorded) for key, recorded in found]
        if not number % _TURN_PLACES:
            await pause(0)
    return used


def _starts(index: Index, random: Random) -> list[bytes]:
    weights = {kind: max(0, tally.entries) for kind, tally in index.tallies.items()}
    if not any(weights.values()):
        return []
    kinds = random.choices(list(weights), list(weights.values()), k=_PLACES)
    return [bytes([kind]) + random.randbytes(8) for kind in kinds]
