"""/ and what is below it."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web.resource import Resource
from twisted.web.server import Request


class Root(Resource):
    """A list of the pages there are.

    :param pages: by their names, which are paths of one segment without the slash.
    """

    def __init__(self, pages: Mapping[str, Resource]) -> None:
        super().__init__()
        self._names = sorted(pages)
        self.putChild(b"", self)
        for name, page in pages.items():
            self.putChild(name.encode(), page)

    def render_GET(self, request: Request) -> bytes:
        """The names."""
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return "".join(f"/{name}\n" for name in self._names).encode()
