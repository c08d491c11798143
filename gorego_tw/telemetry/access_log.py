"""One line in the log for each call, or for some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from txaio.tx import make_logger

from gorego_tw.telemetry.span import LocalRoot, Value

#: What a line tells of the call, by the names of the attributes.
_FIELDS = {
    "instance_name": "reapi.instance_name",
    "digest": "reapi.digest.hash",
    "size_bytes": "reapi.digest.size_bytes",
    "digests": "reapi.digests",
    "peer": "network.peer.address",
    "tool": "reapi.tool.name",
    "tool_invocation_id": "reapi.tool_invocation_id",
    "action_mnemonic": "reapi.action_mnemonic",
    "target_id": "reapi.target_id",
}


class AccessLog:
    """Writes the lines.

    :ivar ratio: for which part of the calls, 0 to 1.
    :param describe: gives the attributes of a call.
    :param random: a number from 0 to 1.
    """

    _log = make_logger()

    def __init__(
        self,
        ratio: float,
        describe: Callable[[LocalRoot], Mapping[str, Value]],
        random: Callable[[], float],
    ) -> None:
        self.ratio = ratio
        self._describe = describe
        self._random = random

    def __call__(self, root: LocalRoot) -> None:
        """A call has ended."""
        if self._random() >= self.ratio:
            return
        told = self._describe(root)
        known = {field: told[key] for field, key in _FIELDS.items() if key in told}
        spent = {f"{what}_ms": _ms(seconds) for what, seconds in (root.details.spent or {}).items()}
        self._log.info(
            "{method} {code} {milliseconds} ms",
            method=root.name.rpartition("/")[2],
            code=root.details.code,
            milliseconds=_ms(root.seconds),
            **known,
            **spent,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
