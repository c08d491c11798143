"""The lives of one folder: a daemon starts, works, is killed, starts again and is questioned."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from crashtest.experiment import Experiment
from crashtest.findings import NOT_UPSTREAM, UNCLEAN
from crashtest.traffic import Traffic
from crashtest.verification import Verification
from crashtest.writing import references
from tests.end_to_end.backing import Backing
from tests.end_to_end.daemon import Daemon, eventually

#: How long a daemon works before it is killed, in seconds: most times less than one.
_LEAST_SECONDS = 0.02
_MEAN_SECONDS = 1.0
_MOST_SECONDS = 6.0

#: How often it is killed while it starts, too, and when at the latest, in seconds.
_KILLED_AT_START = 0.2
_START_SECONDS = 1.2

#: A folder is left when this much was acknowledged, in bytes: reading it all takes seconds.
_MOST_BYTES = 200 << 20

#: How long a backing cache may take to get what is written back, in seconds.
_WRITE_BACK_SECONDS = 60.0


class Lives:
    """One folder under the same conditions.

    :param folder: new; its owner removes it.
    :param seed: what happens depends on it, as far as it does not depend on time.
    """

    def __init__(self, folder: Path, experiment: Experiment, seed: str) -> None:
        self._experiment = experiment
        conditions, _, self._ledger, self._findings = experiment
        self._seed = seed
        self._random = Random(seed)
        self._backing = Backing() if conditions.write_back else None
        settings = conditions.settings
        if self._backing is not None:
            settings["GOREGO_BACKING_CACHE_TARGET"] = self._backing.target
            settings["GOREGO_BACKING_CACHE_WRITE_POLICY"] = "back"
        address = f"unix:{folder}/socket" if conditions.socket else ""
        self._daemon = Daemon(folder, listen_addr=address, **settings)
        self._read_of_log = 0

    def run(self, lives: int, end: float) -> None:
        """Live so many times, or until ``end`` (time.monotonic); the last ends in good order.

        :raises AssertionError: the daemon does not start or stop.
        """
        try:
            self._daemon.start()
            for life in range(lives):
                self._live(life)
                if time.monotonic() > end or self._ledger.acknowledged_bytes > _MOST_BYTES:
                    break
            self._end()
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing running."""
        self._daemon.kill()
        if self._backing is not None:
            self._backing.close()

    def _live(self, life: int) -> None:
        traffic = Traffic(self._daemon.target, self._experiment, f"{self._seed} {life}")
        traffic.start()
        seconds = self._random.expovariate(1 / _MEAN_SECONDS)
        time.sleep(min(_MOST_SECONDS, _LEAST_SECONDS + seconds))
        traffic.expect_the_end()
        self._kill()
        traffic.join()
        while self._random.random() < _KILLED_AT_START:
            self._daemon.launch()
            time.sleep(self._random.random() * _START_SECONDS)
            self._kill()
        self._daemon.start()
        self._question()

    def _kill(self) -> None:
        if not self._daemon.is_running:
            raise AssertionError(f"it ended by itself\n{self._daemon.log[-10_000:]}")
        self._daemon.kill()
        self._findings.count("kills survived")

    def _question(self) -> None:
        with self._daemon.client() as client:
            Verification(client, self._experiment).run()
        self._check_log()
        self._check_backing()

    def _end(self) -> None:
        """Stop, start, question, and wait for what is written back."""
        self._daemon.stop()
        self._daemon.start()
        self._question()
        if self._backing is not None:
            self._wait_for_write_back(self._backing)
        self._daemon.stop()
        self._findings.count("stops")

    def _check_log(self) -> None:
        log = self._daemon.log
        new, self._read_of_log = log[self._read_of_log :], len(log)
        if "Traceback" in new:
            self._findings.fault(UNCLEAN, f"the log has a traceback:\n{new[-10_000:]}")

    def _check_backing(self) -> None:
        """No action result is there without its blobs."""
        if self._backing is None:
            return
        results = dict(self._backing.results)
        there = {key for key, _ in dict(self._backing.blobs)}
        for action, result in results.items():
            lacking = [digest for digest in references(result) if digest.hash not in there]
            if lacking:
                self._findings.fault(NOT_UPSTREAM, f"result of {action} before {lacking}")

    def _wait_for_write_back(self, backing: Backing) -> None:
        wanted = {(d.hash, d.size_bytes) for d in self._ledger.acknowledged().values()}
        try:
            eventually(lambda: wanted <= backing.blobs.keys(), "written back", _WRITE_BACK_SECONDS)
        except AssertionError:
            for key in wanted - backing.blobs.keys():
                self._findings.fault(NOT_UPSTREAM, key)
        self._findings.count("blobs written back", len(wanted))
