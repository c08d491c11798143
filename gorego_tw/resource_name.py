"""The resource names of ByteStream: which blob is read or written, and in which form.

remote_execution.proto, "Uploading/downloading blobs"::

    {instance_name/}blobs/{digest_function/}{hash}/{size}
    {instance_name/}compressed-blobs/{compressor}/{digest_function/}{hash}/{size}
    {instance_name/}uploads/{uuid}/ one of the two {/optional_metadata}
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from gorego_tw.digest import Digest, DigestFunction, parse_digest
from gorego_tw.errors import InvalidArgument

#: An instance name never has one of these as a segment, so the first of them ends it.
KEYWORDS = frozenset(
    (
        "blobs",
        "uploads",
        "actions",
        "actionResults",
        "operations",
        "capabilities",
        "compressed-blobs",
    )
)
_READ_FORM = "{instance/}blobs/{hash}/{size} or {instance/}compressed-blobs/zstd/{hash}/{size}"
_WRITE_FORM = (
    "{instance/}uploads/{uuid}/blobs/{hash}/{size} or "
    "{instance/}uploads/{uuid}/compressed-blobs/zstd/{hash}/{size}"
)
#: How much of a name a message quotes: Bazel 4 takes 8 KiB of headers in all.
_QUOTED = 300
#: Sizes are int64 on the wire.
_MAX_SIZE = 2**63 - 1


class Compressor(IntEnum):
    """The forms a blob travels in, numbered as ``Compressor.Value`` in remote_execution.proto."""

    IDENTITY = 0
    ZSTD = 1


class ReadName(NamedTuple):
    """What a name to read says."""

    instance_name: str
    digest: Digest
    compressor: Compressor

    def __str__(self) -> str:
        return _prefix(self.instance_name) + _blob(self.digest, self.compressor)


class WriteName(NamedTuple):
    """What a name to write says; the optional metadata is left out."""

    instance_name: str
    uuid: str
    digest: Digest
    compressor: Compressor

    def __str__(self) -> str:
        prefix = _prefix(self.instance_name)
        return f"{prefix}uploads/{self.uuid}/{_blob(self.digest, self.compressor)}"


def parse_read_name(name: str) -> ReadName:
    """What the name says.

    :raises InvalidArgument: it is not the name of a blob to read.
    """
    segments = name.removeprefix("/").split("/")
    at = _keyword(segments)
    if at is None or segments[at] not in ("blobs", "compressed-blobs"):
        raise _malformed(name, "has no blobs or compressed-blobs", _READ_FORM)
    instance_name = _instance_name(name, segments[:at])
    digest, compressor, rest = _parse_blob(name, segments[at:], _READ_FORM)
    if rest:
        raise _malformed(name, "goes on after the size", _READ_FORM)
    return ReadName(instance_name, digest, compressor)


def parse_write_name(name: str) -> WriteName:
    """What the name says; whatever comes after the size is ignored.

    :raises InvalidArgument: it is not the name of an upload.
    """
    segments = name.removeprefix("/").split("/")
    at = _keyword(segments)
    if at is None or segments[at] != "uploads":
        raise _malformed(name, "has no uploads", _WRITE_FORM)
    instance_name = _instance_name(name, segments[:at])
    uuid = "".join(segments[at + 1 : at + 2])
    if not uuid or uuid in KEYWORDS:
        raise _malformed(name, "has no uuid after uploads", _WRITE_FORM)
    digest, compressor, _ = _parse_blob(name, segments[at + 2 :], _WRITE_FORM)
    return WriteName(instance_name, uuid, digest, compressor)


@lru_cache(maxsize=1024)  # 1024 names of up to a few hundred bytes: under 1 MiB
def check_instance_name(name: str) -> str:
    """The instance name a request has, if it is one.

    :raises InvalidArgument: an empty segment, or one that is a keyword of resource names.
    """
    if name:
        for segment in name.split("/"):
            _check_segment(f"instance name {name[:_QUOTED]!r}", segment)
    return name


def _check_segment(place: str, segment: str) -> None:
    if not segment:
        raise InvalidArgument(f"{place}: an empty segment; slashes stand between segments only")
    if segment in KEYWORDS:
        raise InvalidArgument(
            f"{place}: the segment {segment!r}; an instance name has none of "
            + ", ".join(sorted(KEYWORDS))
        )


def _instance_name(name: str, segments: list[str]) -> str:
    for segment in segments:
        _check_segment(f"resource name {name[:_QUOTED]!r}", segment)
    return "/".join(segments)


def _keyword(segments: list[str]) -> int | None:
    """Where the first keyword is, which ends the instance name."""
    for at, segment in enumerate(segments):
        if segment in KEYWORDS:
            return at
    return None


def _parse_blob(name: str, segments: list[str], form: str) -> tuple[Digest, Compressor, list[str]]:
    """The digest, the compressor and the segments after the size."""
    if not segments or segments[0] not in ("blobs", "compressed-blobs"):
        raise _malformed(name, "has no blobs or compressed-blobs after the uuid", form)
    compressor = Compressor.IDENTITY
    rest = segments[1:]
    if segments[0] == "compressed-blobs":
        if rest[:1] != ["zstd"]:
            raise _malformed(name, f"has the compressor {''.join(rest[:1])!r}, not zstd", form)
        compressor = Compressor.ZSTD
        rest = rest[1:]
    function, rest = _parse_function(rest)
    if len(rest) < 2:
        raise _malformed(name, "has no hash and size after blobs", form)
    if not rest[1].isdigit() and rest[2:] and rest[2].isdigit():
        served = ", ".join(function.name.lower() for function in DigestFunction)
        raise _malformed(name, f"has the digest function {rest[0]!r}, not one of {served}", form)
    try:
        digest = parse_digest(rest[0], _parse_size(rest[1]), function)
    except InvalidArgument as error:
        raise error.at(f"resource name {name[:_QUOTED]!r}") from None
    return digest, compressor, rest[2:]


def _parse_function(segments: list[str]) -> tuple[DigestFunction | None, list[str]]:
    """The digest function, if the first segment is one, and what follows it."""
    named = segments[0] if segments else ""
    for function in DigestFunction:
        if named == function.name.lower():
            return function, segments[1:]
    return None, segments


def _parse_size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MAX_SIZE)):
        raise InvalidArgument(f"size {text[:40]!r}; a size is a decimal number of bytes")
    size = int(text)
    if size > _MAX_SIZE:
        raise InvalidArgument(f"size {size}; a size is at most {_MAX_SIZE} bytes")
    return size


def _prefix(instance_name: str) -> str:
    return instance_name + "/" if instance_name else ""


def _blob(digest: Digest, compressor: Compressor) -> str:
    kind = "compressed-blobs/zstd" if compressor else "blobs"
    function = digest.function.segment
    return f"{kind}/{function}/{digest}" if function else f"{kind}/{digest}"


def _malformed(name: str, what: str, form: str) -> InvalidArgument:
    return InvalidArgument(f"resource name {name[:_QUOTED]!r} {what}; it is {form}")
