"""Whether calls are taken, found out again and again, for those who ask by gRPC and by HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.grpc.health import Health
from gorego_tw.seldom import Seldom
from gorego_tw.web.health import Check

#: How often it is looked, in seconds.
LOOK_SECONDS = 1.0

#: How much time passes until the log says again why calls are not taken, in seconds.
TELL_SECONDS = 60.0


class Readiness(Periodic):
    """Tells the health service what the checks of /readyz find.

    It starts after, and stops before, whoever tells it that the daemon begins and ends.

    :param checks: those of /readyz.
    :param health: is told.
    """

    _log = make_logger()

    def __init__(self, checks: Mapping[str, Check], health: Health, clock: IReactorTime) -> None:
        super().__init__("readiness", self._look, LOOK_SECONDS, clock)
        self._checks = checks
        self._health = health
        self._why_not = ""
        self._told = Seldom(TELL_SECONDS, clock, at_once=True)

    def startService(self) -> None:
        """Begin; it is looked at once, before anybody has asked."""
        super().startService()
        self.look()

    async def _look(self) -> None:
        self.look()

    def look(self) -> None:
        """Tell what is found now."""
        findings = {name: check() for name, check in self._checks.items()}
        why_not = "; ".join(
            f"{name}: {finding.reason}"
            for name, finding in findings.items()
            if finding.required and not finding.ok
        )
        changed = bool(why_not) != bool(self._why_not)
        self._why_not = why_not
        if changed:
            self._health.set_all(not why_not)
        if why_not and (changed or self._told.due):
            self._told.done()
            self._log.warn("not ready: {why_not}", why_not=why_not)
        elif changed:
            self._log.info("ready again")
