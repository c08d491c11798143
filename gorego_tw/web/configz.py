"""/configz: the configuration as it is in effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml
from twisted.web.resource import Resource
from twisted.web.server import Request


class Configz(Resource):
    """The configuration in the form of its file.

    :param shown: the values, without secrets.
    """

    isLeaf = True

    def __init__(self, shown: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()
        self._shown = shown

    def render_GET(self, request: Request) -> bytes:
        """All of it."""
        request.setHeader("content-type", "application/yaml; charset=utf-8")
        request.setHeader("cache-control", "no-store")
        return yaml.safe_dump(dict(self._shown()), sort_keys=False, allow_unicode=True).encode()
