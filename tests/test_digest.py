"""Digests."""

from __future__ import annotations

import hashlib

from blake3 import blake3
from hypothesis import given
from hypothesis.strategies import binary, integers, sampled_from, text
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import (
    Digest,
    DigestFunction,
    digest_of,
    empty_digest,
    infer_function,
    parse_digest,
)
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as wire

ABC = hashlib.sha256(b"abc").hexdigest()


class DigestFunctionTests(SynchronousTestCase):
    def test_numbers_are_those_of_the_protocol(self) -> None:
        """A function has on the wire the number it has here."""
        for function in DigestFunction:
            self.assertEqual(wire.DigestFunction.Value.Value(function.name), function)

    def test_hashers(self) -> None:
        """Each function hashes as its name says."""
        self.assertEqual(digest_of(b"abc", DigestFunction.SHA256).hash, ABC)
        self.assertEqual(
            digest_of(b"abc", DigestFunction.SHA1).hash, hashlib.sha1(b"abc").hexdigest()
        )
        self.assertEqual(
            digest_of(b"abc", DigestFunction.SHA384).hash, hashlib.sha384(b"abc").hexdigest()
        )
        self.assertEqual(
            digest_of(b"abc", DigestFunction.SHA512).hash, hashlib.sha512(b"abc").hexdigest()
        )
        self.assertEqual(digest_of(b"abc", DigestFunction.BLAKE3).hash, blake3(b"abc").hexdigest())

    def test_lengths(self) -> None:
        """The length of a raw hash is known beforehand."""
        for function in DigestFunction:
            self.assertEqual(len(digest_of(b"", function).key) - 1, function.hash_bytes)

    def test_only_blake3_is_named_in_resource_names(self) -> None:
        """All others are told by the length of their hashes."""
        named = {function for function in DigestFunction if function.segment}
        self.assertEqual(named, {DigestFunction.BLAKE3})
        self.assertEqual(DigestFunction.BLAKE3.segment, "blake3")


class ParseDigestTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """The parts of a digest are those it was parsed from."""
        digest = parse_digest(ABC, 3)
        self.assertEqual((digest.hash, digest.size_bytes), (ABC, 3))
        self.assertIs(digest.function, DigestFunction.SHA256)
        self.assertEqual(str(digest), f"{ABC}/3")

    def test_the_function_is_part_of_the_key(self) -> None:
        """The same hexadecimal digits under two functions are two blobs."""
        self.assertNotEqual(
            parse_digest(ABC, 3).key, parse_digest(ABC, 3, DigestFunction.BLAKE3).key
        )

    def test_a_length_tells_the_function(self) -> None:
        """64 digits without a function are SHA-256, never BLAKE3."""
        for function in DigestFunction:
            expected = DigestFunction.SHA256 if function is DigestFunction.BLAKE3 else function
            self.assertIs(infer_function("0" * 2 * function.hash_bytes), expected)

    def test_malformed_hashes(self) -> None:
        """Another length, upper case, blanks and other characters are refused."""
        malformed = ("", "0", "a", ABC[:-1], ABC + "0", ABC.upper(), ABC[:-2] + " 0", "g" * 64)
        for hash_hex in (*malformed, "é" * 64, ABC[:-1] + "\n", "٣" * 64):
            with self.subTest(hash_hex):
                self.assertRaises(InvalidArgument, parse_digest, hash_hex, 1)
                self.assertRaises(InvalidArgument, parse_digest, hash_hex, 1, DigestFunction.BLAKE3)

    def test_messages_are_short(self) -> None:
        """A hash of any length does not make a message of any length (Bazel 4 takes 8 KiB of headers)."""
        error = self.assertRaises(InvalidArgument, parse_digest, "x" * 100_000, 1)
        self.assertLess(len(error.message), 500)

    def test_negative_sizes(self) -> None:
        """A size below 0 is refused."""
        self.assertRaises(InvalidArgument, parse_digest, ABC, -1)

    @given(text(max_size=140), integers())
    def test_total(self, hash_hex: str, size_bytes: int) -> None:
        """Whatever is given, there is a digest or an InvalidArgument."""
        try:
            digest = parse_digest(hash_hex, size_bytes)
        except InvalidArgument:
            return
        self.assertEqual((digest.hash, digest.size_bytes), (hash_hex, size_bytes))

    @given(binary(max_size=100), sampled_from(DigestFunction))
    def test_every_digest_can_be_parsed(self, data: bytes, function: DigestFunction) -> None:
        """What is made here is read here."""
        digest = digest_of(data, function)
        self.assertEqual(parse_digest(digest.hash, digest.size_bytes, function), digest)


class EmptyDigestTests(SynchronousTestCase):
    def test_of_nothing(self) -> None:
        """It is the digest of no bytes."""
        for function in DigestFunction:
            self.assertEqual(empty_digest(function), digest_of(b"", function))
            self.assertIsInstance(empty_digest(function), Digest)
