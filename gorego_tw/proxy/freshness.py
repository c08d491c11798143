"""How far a local action result is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Freshness(Enum):
    """What a local hit is worth."""

    LOCAL = "local"  #: it is final
    REVALIDATE = "revalidate"  #: it is answered, and compared with the backing cache afterwards
    STRICT = "strict"  #: nothing: the backing cache is always asked


# A member of an enumeration takes longer to find than a hit has time for.
_LOCAL = Freshness.LOCAL


class FreshnessRules:
    """The mode of each instance name.

    :param default: for those that have no rule.
    :param by_instance_name: the others; a rule holds for names below it too ("ci" for "ci/linux").
    """

    def __init__(self, default: Freshness, by_instance_name: Mapping[str, Freshness]) -> None:
        self._default = default
        self._rules = dict(by_instance_name)

    @property
    def are_all_local(self) -> bool:
        """Whether a local hit is final under every instance name."""
        return self._default is _LOCAL and all(mode is _LOCAL for mode in self._rules.values())

    def is_local_final(self, instance_name: str) -> bool:
        """Whether a local hit is all there is to know."""
        return self.of(instance_name) is _LOCAL

    def of(self, instance_name: str) -> Freshness:
        """The mode of an instance name: that of the longest rule it stands under."""
        if self._rules:
            name = instance_name
            while name:
                if name in self._rules:
                    return self._rules[name]
                name = name.rpartition("/")[0]
            return self._rules.get("", self._default)
        return self._default
