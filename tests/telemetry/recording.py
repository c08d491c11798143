"""A recorder for tests: its clock stands still, and what is exported is kept."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.task import Clock

from gorego_tw.telemetry.origins import Carrier, PropagatorName
from gorego_tw.telemetry.span import LocalRoot, Value
from gorego_tw.telemetry.tallies import UNCOUNTED, MethodTally
from gorego_tw.telemetry.tracing import Tracing

ALL: tuple[PropagatorName, ...] = ("tracecontext", "baggage", "b3")


class Call:
    """A call with those headers.

    :ivar remaining: how long the client waits, in seconds; None for ever.
    """

    remaining: float | None = None

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.shared: dict[object, object] = {}

    def metadata(self, name: str) -> str | None:
        """The header."""
        return self.headers.get(name)

    def carries(self, names: frozenset[bytes]) -> bool:
        """Whether there is any of them."""
        return any(name.decode() in self.headers for name in names)

    def time_remaining(self) -> float | None:
        """As it was set."""
        return self.remaining


class Exported:
    """Takes what is exported, as long as there is room."""

    def __init__(self) -> None:
        self.roots: list[LocalRoot] = []
        self.has_room = True

    def is_taking(self) -> bool:
        """Until it is full."""
        return True

    def has_room_for(self, root: LocalRoot) -> bool:
        """As it was set."""
        return self.has_room

    def add(self, root: LocalRoot) -> None:
        """One more."""
        self.roots.append(root)

    @property
    def names(self) -> list[str]:
        """What the roots are called."""
        return [root.name for root in self.roots]


def invocation_of(call: Carrier) -> str:
    """A header of its own, in tests."""
    return call.metadata("invocation") or ""


def describe(root: LocalRoot) -> Mapping[str, Value]:
    """What the call asks for."""
    return {"subject": str(root.subject)}


class Recording(Tracing):
    """A recorder.

    :ivar clock: is to be advanced.
    :ivar exported: what was.
    """

    def __init__(self, ratio: float = 1.0, propagators: tuple[PropagatorName, ...] = ALL) -> None:
        self.clock = Clock()
        super().__init__(
            propagators,
            ratio,
            invocation_of=invocation_of,
            describe=describe,
            now=self.clock.seconds,
        )
        self.exported = Exported()
        self.export = self.exported

    def root(self, tallies: MethodTally = UNCOUNTED, /, **headers: str) -> LocalRoot:
        """The span of a call with those headers."""
        return self.serve("t.T/Get", Call(**headers), tallies, "what it asks for")
