"""The reactor: Twisted's for asyncio, on uvloop, whose timers belong to nobody."""

from __future__ import annotations

from contextvars import Context

from twisted.internet.asyncioreactor import AsyncioSelectorReactor


class Reactor(AsyncioSelectorReactor):
    """Runs what is due in an empty context.

    Twisted has one timer of asyncio for all delayed calls, which would run in the context of whoever
    has set it: that of a client's request, with its trace and its credentials, until somebody else
    sets it. What is to run in the context of a request is bound to it
    (:mod:`gorego_tw.telemetry.context`).
    """

    def _reschedule(self) -> None:
        Context().run(super()._reschedule)
