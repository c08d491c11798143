"""What a PromQL expression asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset"})

# A name that no parenthesis follows; those of functions and aggregations have one.
_SELECTOR = re.compile(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?![\w:])(?!\s*\()\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


class Selector(NamedTuple):
    """Series that are asked for.

    ``labels`` are those it chooses by, each with the values that it names, wanted or unwanted.
    """

    metric: str
    labels: Mapping[str, list[str]]


def selectors(expression: str) -> Iterator[Selector]:
    """All of an expression. This is no parser of PromQL, but good enough for what is in etc/."""
    bare = _GROUPING.sub("", _RANGE.sub("", expression))
    for metric, matchers in _SELECTOR.findall(bare):
        if metric not in _KEYWORDS:
            found = _MATCHER.findall(matchers)
            yield Selector(metric, {label: values.split("|") for label, values in found})
