"""Digests: how blobs are named, and the functions that name them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import NamedTuple, Protocol

from blake3 import blake3

from gorego_tw.errors import InvalidArgument


class Hasher(Protocol):
    """What hashlib and blake3 have in common."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take ``data`` in. The interpreter lock is released for more than a few KiB."""

    def digest(self) -> bytes:
        """The hash of all that was taken in so far."""


class DigestFunction(IntEnum):
    """The hash functions served, numbered as ``DigestFunction.Value`` in remote_execution.proto."""

    SHA256 = 1
    SHA1 = 2
    SHA384 = 5
    SHA512 = 6
    BLAKE3 = 9

    def hasher(self) -> Hasher:
        """A new hash object."""
        return _HASHERS[self]()

    @property
    def hash_bytes(self) -> int:
        """The length of a raw hash, in bytes."""
        return _HASH_BYTES[self]

    @property
    def segment(self) -> str:
        """Its name in a resource name, empty for those that are told by their length alone.

        BLAKE3's hashes are as long as SHA-256's, so only BLAKE3 is named.
        """
        return "blake3" if self is DigestFunction.BLAKE3 else ""


_HASHERS: Mapping[DigestFunction, Callable[[], Hasher]] = {
    DigestFunction.SHA256: hashlib.sha256,
    DigestFunction.SHA1: hashlib.sha1,
    DigestFunction.SHA384: hashlib.sha384,
    DigestFunction.SHA512: hashlib.sha512,
    DigestFunction.BLAKE3: blake3,
}
_HASH_BYTES = {function: len(make().digest()) for function, make in _HASHERS.items()}
_BY_HEX_LENGTH = {
    2 * _HASH_BYTES[function]: function
    for function in DigestFunction
    if function is not DigestFunction.BLAKE3
}
_KEY_PREFIX = {function: bytes([function]) for function in DigestFunction}


class Digest(NamedTuple):
    """The name of a blob.

    ``key`` is the number of the digest function in one byte, then the raw hash:
    the same hash under two functions is two blobs. ``size_bytes`` is part of the
    name; a key that exists with another size is another, absent blob.
    """

    key: bytes
    size_bytes: int

    @property
    def function(self) -> DigestFunction:
        """The hash function."""
        return DigestFunction(self.key[0])

    @property
    def hash(self) -> str:
        """The hash in lower-case hexadecimal, as ``Digest.hash`` has it on the wire."""
        return self.key[1:].hex()

    def __str__(self) -> str:
        return f"{self.hash}/{self.size_bytes}"


def infer_function(hash_hex: str) -> DigestFunction:
    """The function a request without ``digest_function`` means: told by the hash's length.

    :raises InvalidArgument: no function served has hashes of that length.
    """
    try:
        return _BY_HEX_LENGTH[len(hash_hex)]
    except KeyError:
        lengths = ", ".join(f"{n} ({f.name})" for n, f in sorted(_BY_HEX_LENGTH.items()))
        raise InvalidArgument(
            f"digest {hash_hex[:140]!r}: a hash of {len(hash_hex)} characters; "
            f"the lengths of the digest functions served are {lengths}"
        ) from None


def parse_digest(hash_hex: str, size_bytes: int, function: DigestFunction | None = None) -> Digest:
    """The digest with that hash (lower-case hexadecimal) and size.

    :param function: None (UNKNOWN on the wire) infers it from the hash's length.
    :raises InvalidArgument: not lower-case hexadecimal, not the function's length, a negative size.
    """
    if function is None:
        function = infer_function(hash_hex)
    try:
        raw = bytes.fromhex(hash_hex)
    except ValueError:
        raw = b""
    # fromhex also takes upper case and blanks: only the way back proves the form.
    if raw.hex() != hash_hex or len(raw) != function.hash_bytes:
        raise InvalidArgument(
            f"digest {hash_hex[:140]!r}: a {function.name} hash is "
            f"{2 * function.hash_bytes} lower-case hexadecimal digits"
        )
    if size_bytes < 0:
        raise InvalidArgument(f"digest {hash_hex}: size {size_bytes}; a size is 0 or more bytes")
    return Digest(_KEY_PREFIX[function] + raw, size_bytes)


def digest_of(data: bytes | bytearray | memoryview, function: DigestFunction) -> Digest:
    """The digest of ``data``."""
    hasher = function.hasher()
    hasher.update(data)
    return Digest(_KEY_PREFIX[function] + hasher.digest(), len(data))


@cache
def empty_digest(function: DigestFunction) -> Digest:
    """The digest of no bytes, which always exists."""
    return digest_of(b"", function)
