"""/debug/log: what the log tells, to be seen and to be changed while the daemon runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from twisted.web.http import BAD_REQUEST
from twisted.web.resource import Resource
from twisted.web.server import Request


class Control(Protocol):
    """Something that can be changed.

    :ivar allowed: the values it takes, for a person.
    """

    allowed: str

    def get(self) -> object:
        """Its value."""

    def set(self, text: str) -> None:
        """Change it.

        :raises ValueError: to that it cannot be changed.
        """


class LogPage(Resource):
    """The controls as JSON; ``PUT ?NAME=VALUE`` changes them, all or none.

    PUT, since no page of a stranger can make a browser send that here.

    :param controls: by their names.
    """

    isLeaf = True

    def __init__(self, controls: Mapping[str, Control]) -> None:
        super().__init__()
        self._controls = controls

    def render_GET(self, request: Request) -> bytes:
        """The values now."""
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        values = {name: control.get() for name, control in self._controls.items()}
        return json.dumps(values, indent=2).encode() + b"\n"

    def render_PUT(self, request: Request) -> bytes:
        """Change what is named; the values afterwards."""
        before = {name: str(control.get()) for name, control in self._controls.items()}
        try:
            for name, values in (request.args or {}).items():
                self._set(name.decode("utf-8", "replace"), values[-1].decode("utf-8", "replace"))
        except ValueError as error:
            for name, value in before.items():
                self._controls[name].set(value)
            request.setResponseCode(BAD_REQUEST)
            request.setHeader("content-type", "text/plain; charset=utf-8")
            return f"{error}\n".encode()
        return self.render_GET(request)

    def _set(self, name: str, value: str) -> None:
        control = self._controls.get(name)
        if control is None:
            raise ValueError(f"{name[:80]}: not known; allowed: {', '.join(self._controls)}")
        try:
            control.set(value)
        except ValueError:
            raise ValueError(f"{name}: {value[:80]!r}; allowed: {control.allowed}") from None
