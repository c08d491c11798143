"""Clients at work, each in a thread of its own, until the daemon is gone."""

from __future__ import annotations

import threading
from random import Random

import grpc

from crashtest.experiment import Experiment
from crashtest.findings import UNEXPECTED
from crashtest.reading import Reading
from crashtest.writing import ACTIONS_OF_A_CLIENT, Writing
from tests.end_to_end.client import Client

#: How many clients there are.
CLIENTS = 6

#: What a daemon says whose limit is too small for what comes at once.
_REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED,)

#: What it says of an action result whose Tree was evicted before it came.
_EVICTED_MEANWHILE = (*_REFUSALS, grpc.StatusCode.FAILED_PRECONDITION)


class Traffic:
    """The clients of one life of a daemon.

    :param target: where the daemon is.
    :param seed: what each client does depends on this and its number, not when it does it.
    """

    def __init__(self, target: str, experiment: Experiment, seed: str) -> None:
        self._target = target
        self._experiment = experiment
        self._seed = seed
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        """Let them begin."""
        for thread in self._threads:
            thread.start()

    def expect_the_end(self) -> None:
        """From now on calls may fail in any way."""
        self._ending.set()

    def join(self) -> None:
        """Wait until they have noticed that the daemon is gone."""
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        random = Random(f"{self._seed} {number}")
        client = Client(self._target)
        writing = Writing(client, number, self._experiment, random)
        reading = Reading(client, CLIENTS * ACTIONS_OF_A_CLIENT, self._experiment, random)
        does = {
            writing.upload: 25,
            writing.batch_update: 15,
            writing.update_action_result: 15,
            writing.upload_again: 3,
            writing.break_off: 4,
            writing.resume: 3,
            reading.read: 20,
            reading.read_compressed: 5,
            reading.find_missing: 5,
            reading.get_action_result: 15,
        }
        operations, weights = list(does), list(does.values())
        try:
            while not self._ending.is_set():
                (operation,) = random.choices(operations, weights)
                try:
                    operation()
                except grpc.RpcError as error:
                    self._failed(operation.__name__, error)
        finally:
            client.close()

    def _failed(self, operation: str, error: grpc.RpcError) -> None:
        allowed = _EVICTED_MEANWHILE if operation == "update_action_result" else _REFUSALS
        if self._experiment.conditions.is_tight and error.code() in allowed:
            self._experiment.findings.count("writes refused for lack of room")
        elif not self._ending.is_set():
            self._experiment.findings.fault(
                UNEXPECTED, f"{operation}: {error.code()}: {error.details()}"
            )
