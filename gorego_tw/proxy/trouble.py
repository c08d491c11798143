"""What failures mean where there are two tiers."""

from __future__ import annotations

from gorego_tw.errors import Code, StatusError

#: The peer cannot be reached, does not answer in time, has too much to do, or broke down. The
#: others say that it is well, and that the question or we are not as they should be.
_TROUBLE = frozenset(
    {
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.ABORTED,
        Code.INTERNAL,
        Code.UNKNOWN,
    }
)


#: What the path in a message of the local tier's own failures begins with.
_LOCAL = "local tier"


def is_local(error: StatusError) -> bool:
    """Whether it is the local tier that has failed, and not the backing cache."""
    return error.message.startswith(_LOCAL)


def is_trouble(error: StatusError) -> bool:
    """Whether the backing cache is in trouble that may pass."""
    return error.code in _TROUBLE
