"""Blobs by the names of the control service."""

from __future__ import annotations

from gorego_tw.digest import Digest, DigestFunction, empty_digest, parse_digest
from gorego_tw.errors import InvalidArgument, NotFound
from gorego_tw.pb.gorego.control.v1.control_pb2 import BlobName
from gorego_tw.storage.entries import Entries
from gorego_tw.storage.records import DamagedRecord, unpack_blob


def shown(digest: Digest) -> str:
    """The digest with the function where its length does not tell it, as the command takes it."""
    function = digest.function
    return f"{function.segment}:{digest}" if function.segment else str(digest)


def message_of(digest: Digest) -> BlobName:
    """The digest as a message."""
    return BlobName(
        digest_function=digest.key[0], hash=digest.key[1:], size_bytes=digest.size_bytes
    )


def digest_in(name: BlobName) -> Digest:
    """The digest in a message.

    :raises InvalidArgument: it is none.
    """
    try:
        function = DigestFunction(name.digest_function)
    except ValueError:
        raise InvalidArgument(f"digest function {name.digest_function}: not served") from None
    return parse_digest(name.hash.hex(), name.size_bytes, function)


def is_empty(name: BlobName) -> bool:
    """Whether that is the empty blob, which is always there; its size need not be known.

    :raises InvalidArgument: it is no name.
    """
    digest = digest_in(BlobName(digest_function=name.digest_function, hash=name.hash))
    return name.size_bytes <= 0 and digest == empty_digest(digest.function)


def found(name: BlobName, entries: Entries) -> Digest:
    """The digest of a blob that is stored; its size need not be known.

    :raises InvalidArgument: it is none.
    :raises NotFound: the blob is absent.
    """
    digest = digest_in(BlobName(digest_function=name.digest_function, hash=name.hash))
    record = entries.record(digest.key)
    if record is None:
        raise NotFound(f"no blob {digest.hash} here")
    try:
        blob = unpack_blob(digest.key, record)
    except DamagedRecord as error:
        raise NotFound(f"no blob {digest.hash} here: {error}") from None
    size_bytes = blob.size_bytes if name.size_bytes < 0 else name.size_bytes
    if blob.of_size(size_bytes) is None:
        raise NotFound(
            f"no blob {digest.hash}/{size_bytes} here, but one of {blob.size_bytes} bytes"
        )
    return Digest(digest.key, size_bytes)
