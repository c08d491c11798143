"""Tests of gorego_tw.reapi.digests."""

from __future__ import annotations

import timeit

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import check_size, parse_function, parse_message, parse_messages
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import SHA256, message_of


class FunctionTests(SynchronousTestCase):
    """The field digest_function."""

    def test_unknown(self) -> None:
        """UNKNOWN leaves it to the hash."""
        self.assertIsNone(parse_function(pb.DigestFunction.UNKNOWN))

    def test_served(self) -> None:
        """The number of each function served is understood."""
        for function in DigestFunction:
            self.assertIs(parse_function(function), function)

    def test_not_served(self) -> None:
        """A function that is not served is named, and so are those that are."""
        for value, name in ((pb.DigestFunction.MD5, "MD5"), (99, "99")):
            error = self.assertRaises(InvalidArgument, parse_function, value)
            self.assertIn(f"digest_function {name} is not served", error.message)
            self.assertIn("SHA256, SHA1, SHA384, SHA512, BLAKE3", error.message)


class MessageTests(SynchronousTestCase):
    """Digests in fields."""

    def refused(self, message: pb.Digest, *fragments: str) -> None:
        """The digest is refused by both ways to parse it; the message names the field."""
        good = message_of(digest_of(b"good", SHA256))
        one = self.assertRaises(InvalidArgument, parse_message, "field", message, None)
        many = self.assertRaises(
            InvalidArgument, parse_messages, "field", [good, good, message], None
        )
        self.assertTrue(one.message.startswith("field: "))
        self.assertTrue(many.message.startswith("field[2]: "))
        for fragment in fragments:
            self.assertIn(fragment, one.message)
            self.assertIn(fragment, many.message)

    def test_malformed(self) -> None:
        """Upper case, blanks, other lengths, other characters and negative sizes are refused."""
        hash_hex = digest_of(b"x", SHA256).hash
        self.refused(pb.Digest(hash=hash_hex.upper()), "lower-case")
        self.refused(pb.Digest(hash=" " + hash_hex[1:]), "lower-case")
        self.refused(pb.Digest(hash="g" * 64), "lower-case")
        self.refused(pb.Digest(hash="é" * 64), "lower-case")
        self.refused(pb.Digest(hash="a"), "1 characters", "64 (SHA256)")
        self.refused(pb.Digest(), "0 characters")
        self.refused(pb.Digest(hash="a" * 32), "32 characters")
        self.refused(pb.Digest(hash=hash_hex, size_bytes=-1), "size -1")

    def test_first_is_named(self) -> None:
        """The first digest of many is named by its place as well."""
        error = self.assertRaises(InvalidArgument, parse_messages, "field", [pb.Digest()], None)
        self.assertTrue(error.message.startswith("field[0]: "))

    def test_inferred(self) -> None:
        """Without a function the length decides, for each digest by itself; 64 is SHA-256."""
        digests = [digest_of(b"x", f) for f in DigestFunction if f is not DigestFunction.BLAKE3]
        messages = [message_of(digest) for digest in digests]
        self.assertEqual(parse_messages("field", messages, None), digests)

    def test_explicit(self) -> None:
        """With a function a hash of another length is refused, and BLAKE3 is not SHA-256."""
        message = message_of(digest_of(b"x", SHA256))
        blake3 = parse_messages("field", [message], DigestFunction.BLAKE3)[0]
        self.assertEqual(blake3, parse_message("field", message, DigestFunction.BLAKE3))
        self.assertNotEqual(blake3, digest_of(b"x", SHA256))
        self.assertRaises(InvalidArgument, parse_messages, "field", [message], DigestFunction.SHA1)

    def test_none(self) -> None:
        """No digests are no digests."""
        self.assertEqual(parse_messages("field", [], None), [])

    def test_quick(self) -> None:
        """A digest among ten thousand costs a few µs at most, however slow the machine is."""
        request = pb.FindMissingBlobsRequest(
            blob_digests=[message_of(digest_of(b"%d" % n, SHA256)) for n in range(10_000)]
        )
        parse = timeit.Timer(lambda: parse_messages("field", request.blob_digests, None))
        self.assertLess(min(parse.repeat(3, 1)) / 10_000, 20e-6)


class SizeTests(SynchronousTestCase):
    """The largest blob taken."""

    def test_limit(self) -> None:
        """A blob of the limit is taken, one byte more is refused with both numbers."""
        limits = Limits(max_blob_size_bytes=4)
        check_size(digest_of(b"four", SHA256), limits)
        error = self.assertRaises(InvalidArgument, check_size, digest_of(b"fifth", SHA256), limits)
        self.assertIn("5 bytes; the largest blob taken has 4", error.message)

    def test_none(self) -> None:
        """0 is no limit."""
        check_size(digest_of(b"x", SHA256)._replace(size_bytes=2**62), Limits())
