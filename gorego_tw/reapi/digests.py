"""The digests of a request: from messages to names, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from gorego_tw.digest import Digest, DigestFunction, parse_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits
from gorego_tw.turns import PIECE, Share

_Named = TypeVar("_Named", pb.OutputFile, pb.FileNode, pb.DirectoryNode)

_BY_NUMBER: Mapping[int, DigestFunction | None] = {
    pb.DigestFunction.UNKNOWN: None,
    **{int(function): function for function in DigestFunction},
}


@cache
def _served() -> str:
    return ", ".join(function.name for function in DigestFunction)


@cache
def _key_prefix(function: DigestFunction) -> bytes:
    return bytes([function])


def parse_function(value: int) -> DigestFunction | None:
    """The digest function of a request; None for UNKNOWN, which leaves it to the hash's length.

    :raises InvalidArgument: a function that is not served.
    """
    try:
        return _BY_NUMBER[value]
    except KeyError:
        names = {number: name for name, number in pb.DigestFunction.Value.items()}
        name = names.get(value, str(value))
        raise InvalidArgument(
            f"digest_function {name} is not served; served are {_served()}"
        ) from None


def parse_message(field: str, message: pb.Digest, function: DigestFunction | None) -> Digest:
    """The digest in a request's field.

    :param field: how the field is called in messages.
    :raises InvalidArgument: malformed.
    """
    try:
        return parse_digest(message.hash, message.size_bytes, function)
    except InvalidArgument as error:
        raise error.at(field) from None


async def parse_in_turns(
    field: str, messages: Sequence[pb.Digest], function: DigestFunction | None, turns: Share
) -> list[Digest]:
    """As :func:`parse_messages`, of as many as there may be."""
    digests: list[Digest] = []
    for start in range(0, len(messages), PIECE):
        digests += parse_messages(field, messages[start : start + PIECE], function, start)
        await turns.after(len(digests) - start)
    return digests


def parse_messages(
    field: str, messages: Sequence[pb.Digest], function: DigestFunction | None, first: int = 0
) -> list[Digest]:
    """All the digests of a repeated field. This is the hot loop of FindMissingBlobs.

    :param first: which of the field the first one is.
    :raises InvalidArgument: one is malformed; the message says which.
    """
    if not messages:
        return []
    # What most have, once: the others take the long way.
    usual = parse_message(f"{field}[{first}]", messages[0], function).function
    prefix, length = _key_prefix(usual), 2 * usual.hash_bytes
    from_hex, new = bytes.fromhex, tuple.__new__
    digests: list[Digest] = []
    append = digests.append
    for message in messages:
        hash_hex = message.hash
        size_bytes = message.size_bytes
        if len(hash_hex) == length and size_bytes >= 0:
            try:
                raw = from_hex(hash_hex)
            except ValueError:
                raw = b""
            # Only the way back proves the form; see gorego_tw.digest.
            if raw.hex() == hash_hex:
                append(new(Digest, (prefix + raw, size_bytes)))
                continue
        append(parse_message(f"{field}[{first + len(digests)}]", message, function))
    return digests


def parse_named(
    messages: Sequence[_Named], field: Callable[[_Named], str], function: DigestFunction
) -> list[Digest]:
    """The digests of messages that have one each.

    :param field: how each of them is called.
    :raises InvalidArgument: one is malformed; the message says which.
    """
    try:
        return parse_messages("", [message.digest for message in messages], function)
    except InvalidArgument:
        # That was the quick way; this one tells the name.
        for message in messages:
            parse_message(field(message), message.digest, function)
        raise


def check_size(digest: Digest, limits: Limits) -> None:
    """Whether a blob of that size may be written.

    :raises InvalidArgument: it is too large (max_cas_blob_size_bytes in the capabilities).
    """
    largest = limits.max_blob_size_bytes
    if largest and digest.size_bytes > largest:
        raise InvalidArgument(
            f"digest {digest}: {digest.size_bytes} bytes; the largest blob taken has {largest}"
        )
