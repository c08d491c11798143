"""From ``local_cache.*`` to the local tier and what tends it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import IService
from txaio.tx import make_logger

from gorego_tw.capacity import Capacity, capacity
from gorego_tw.config import Configuration
from gorego_tw.eviction.in_progress import SHARE, InProgress
from gorego_tw.eviction.janitor import Janitor, Work
from gorego_tw.lifecycle import StartError
from gorego_tw.settings import GB
from gorego_tw.storage.background_thread import BackgroundThread
from gorego_tw.storage.compressing import Compressing
from gorego_tw.storage.disk_threads import DiskThreadPool, DiskThreads
from gorego_tw.storage.folder import FolderError
from gorego_tw.storage.tier import LocalTier, Upkeep

_log = make_logger()


def cache_size(configuration: Configuration) -> Capacity:
    """How large the cache may grow; what cannot be is told in the log.

    :raises StartError: its file system does not answer.
    """
    cache = configuration.settings.local_cache
    try:
        size = capacity(Path(cache.dir), cache.max_size_gb)
    except OSError as error:
        reason = f"{cache.dir}: {error.strerror}"
        raise _folder_error(configuration, reason) from error
    if size.is_cut:
        _log.warn(
            "{place}: {limit_gb:.6g} is more than there is: the file system of {folder} has {total_gb:.3g} GB, "
            "{reserve_gb:.3g} of them for other programs; the limit is {most_gb:.6g}",
            place=configuration.place("local_cache.max_size_gb"),
            limit_gb=cache.max_size_gb,
            folder=cache.dir,
            most_gb=size.limit_bytes / GB,
            total_gb=size.file_system_bytes / GB,
            reserve_gb=size.free_reserve_bytes / GB,
        )
    return size


def open_tier(
    configuration: Configuration, size: Capacity, threads: DiskThreads, reactor: Any
) -> LocalTier:
    """The local tier.

    :raises StartError: its folder cannot be used.
    """
    settings = configuration.settings.local_cache
    try:
        return LocalTier.open(
            Path(settings.dir),
            limit_bytes=size.limit_bytes,
            free_reserve_bytes=size.free_reserve_bytes,
            clock=reactor,
            threads=threads,
            notes_crashes=True,
            upkeep=Upkeep(settings.checkpoint_seconds, settings.scrub_bytes_per_second),
        )
    except FolderError as error:
        raise _folder_error(configuration, str(error)) from error


def compression(
    configuration: Configuration, tier: LocalTier, reactor: Any
) -> Generator[IService, None, Compressing | None]:
    """What makes the blobs of the tier smaller, if they are to be, after the thread it works in.

    :raises StartError: the folder cannot be used.
    """
    if configuration.settings.local_cache.compression == "none":
        return None
    yield (threads := DiskThreadPool(reactor, 1, name="background", kind=BackgroundThread))
    try:
        compressing = Compressing(tier, threads)
    except FolderError as error:
        raise _folder_error(configuration, str(error)) from error
    yield compressing
    return compressing


def make_janitor(
    configuration: Configuration,
    tier: LocalTier,
    pinned: Callable[[bytes], bool],
    traced: Callable[[str, Work], Work],
) -> Janitor:
    """What keeps the tier below its limit.

    :param pinned: whether the entry with that key must stay.
    :param traced: makes a trace of each run.
    """
    random = Random()  # noqa: S311 - samples to evict are no secret
    min_age_seconds = configuration.settings.local_cache.min_age_seconds
    max_bytes = round(tier.space.limit_bytes * SHARE)
    in_progress = InProgress(tier.last_use, min_age_seconds, max_bytes)
    return Janitor(tier, random, pinned, in_progress, traced)


def _folder_error(configuration: Configuration, reason: str) -> StartError:
    place = configuration.place("local_cache.dir")
    return StartError(
        f"{place}: {reason}; allowed: a folder that this daemon alone uses and may write to"
    )
