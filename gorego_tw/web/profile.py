"""/debug/profile?seconds=N: where the time goes, for https://www.speedscope.app."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.http import BAD_REQUEST, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from gorego_tw.telemetry.stacks import Frame, Sampling

#: How often in a second the threads are looked at. It takes a hundredth of one processor.
HERTZ = 100

#: How long a profile takes if nothing is said, and at most, in seconds.
DEFAULT_SECONDS = 5.0
MOST_SECONDS = 60.0


class Profile(Resource):
    """A flame graph of each thread; one profile at a time.

    :param run: carries a function out in a thread, for which nobody waits.
    """

    isLeaf = True

    def __init__(
        self,
        run: Callable[[Callable[[], None]], Deferred[None]],
        sampling: Callable[[], Sampling] = lambda: Sampling(HERTZ),
    ) -> None:
        super().__init__()
        self._run = run
        self._sampling = sampling
        self._busy = False

    def render_GET(self, request: Request) -> bytes | int:
        """The profile, when it has been taken."""
        seconds = _seconds(request)
        if seconds is None:
            request.setResponseCode(BAD_REQUEST)
            return f"seconds: a number above 0, up to {MOST_SECONDS:g}, is allowed\n".encode()
        if self._busy:
            request.setResponseCode(SERVICE_UNAVAILABLE)
            return b"a profile is being taken; one at a time\n"
        self._busy = True
        sampling = self._sampling()
        request.notifyFinish().addErrback(lambda _: setattr(sampling, "stopped", True))
        taking = self._run(lambda: sampling.run(seconds))
        taking.addBoth(self._taken, request, sampling)
        return NOT_DONE_YET

    def _taken(self, result: Any, request: Request, sampling: Sampling) -> Any:
        self._busy = False
        if not sampling.stopped:
            request.setHeader("content-type", "application/json")
            request.setHeader(
                "content-disposition", 'attachment; filename="gorego.speedscope.json"'
            )
            request.write(json.dumps(speedscope(sampling)).encode())
            request.finish()
        return result


def speedscope(sampling: Sampling) -> Mapping[str, Any]:
    """The samples in speedscope's file format: a profile for each thread."""
    frames: dict[Frame, int] = {}
    profiles: dict[str, dict[str, Any]] = {}
    for (thread, stack), count in sampling.samples.items():
        profile = profiles.setdefault(
            thread,
            {
                "type": "sampled",
                "name": thread,
                "unit": "none",
                "startValue": 0,
                "endValue": 0,
                "samples": [],
                "weights": [],
            },
        )
        profile["samples"].append([frames.setdefault(frame, len(frames)) for frame in stack])
        profile["weights"].append(count)
        profile["endValue"] += count
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [frame._asdict() for frame in frames]},
        "profiles": list(profiles.values()),
    }


def _seconds(request: Request) -> float | None:
    (text,) = (request.args or {}).get(b"seconds", [b""])[:1]
    try:
        seconds = float(text) if text else DEFAULT_SECONDS
    except ValueError:
        return None
    return seconds if 0 < seconds <= MOST_SECONDS else None
