"""The daemons that a call has passed through on its way from one to the cache behind it, so that none goes round for
ever: what ``Via`` and ``CDN-Loop`` (RFC 8586) are for HTTP.
"""

from __future__ import annotations

import re

from gorego_tw.forwarding import VIA, Metadata

_BETWEEN = ", "

#: What keeps the names apart, and what no metadata of text may have.
_NO_NAME = re.compile(r"[^!-~]|[,#]")


class Station:
    """A daemon on the way of calls.

    :param name: what people call it.
    :param token: tells it from others of that name.
    """

    def __init__(self, name: str, token: str) -> None:
        self.mark = f"{_NO_NAME.sub('_', name)}#{token}"

    def left(self, metadata: Metadata) -> Metadata:
        """What a call carries when it leaves here that has come with that."""
        before = [str(value) for name, value in metadata if name == VIA]
        rest = (pair for pair in metadata if pair[0] != VIA)
        return (*rest, (VIA, _BETWEEN.join((*before, self.mark))))

    def ring(self, via: str) -> str | None:
        """The ring of daemons in which a call goes that comes with that; None if it was not here before."""
        passed = via.split(_BETWEEN)
        if self.mark not in passed:
            return None
        members = (*passed[passed.index(self.mark) :], self.mark)
        return " -> ".join(member.partition("#")[0] for member in members)
