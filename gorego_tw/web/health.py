"""/healthz and /readyz: what was checked, when, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import Request


class Finding(NamedTuple):
    """What a check came to.

    ``reason`` is one line, for a person. ``age_seconds`` is how long ago it was found. Without
    ``required`` it is told and decides nothing.
    """

    ok: bool
    reason: str = ""
    age_seconds: float = 0.0
    required: bool = True


#: Asked at each request: what was found last, or is found now if that takes no time.
Check: TypeAlias = Callable[[], Finding]


class Health(Resource):
    """200 if everything required is well, 503 if not; a JSON object says what was found.

    :param checks: by their names.
    """

    isLeaf = True

    def __init__(self, checks: Mapping[str, Check]) -> None:
        super().__init__()
        self._checks = checks

    def render_GET(self, request: Request) -> bytes:
        """The state now."""
        findings = {name: check() for name, check in self._checks.items()}
        well = all(finding.ok or not finding.required for finding in findings.values())
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        if not well:
            request.setResponseCode(SERVICE_UNAVAILABLE)
        told = {name: _told(finding) for name, finding in findings.items()}
        return json.dumps({"ok": well, "checks": told}, indent=2).encode() + b"\n"


def _told(finding: Finding) -> dict[str, object]:
    return finding._asdict() | {"age_seconds": round(finding.age_seconds, 3)}
