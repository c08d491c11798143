"""The digests of a request: from messages to names, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from gorego_tw.digest import Digest, DigestFunction, parse_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits

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


def parse_messages(
    field: str, messages: Sequence[pb.Digest], function: DigestFunction | None
) -> list[Digest]:
    """All the digests of a repeated field. This is the hot loop of FindMissingBlobs.

    :raises InvalidArgument: one is malformed; the message says which.
    """
    if not messages:
        return []
    # What most have, once: the others take the long way.
    usual = parse_message(f"{field}[0]", messages[0], function).function
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
        append(parse_message(f"{field}[{len(digests)}]", message, function))
    return digests


def check_size(digest: Digest, limits: Limits) -> None:
    """Whether a blob of that size may be written.

    :raises InvalidArgument: it is too large (max_cas_blob_size_bytes in the capabilities).
    """
    largest = limits.max_blob_size_bytes
    if largest and digest.size_bytes > largest:
        raise InvalidArgument(
            f"digest {digest}: {digest.size_bytes} bytes; the largest blob taken has {largest}"
        )
