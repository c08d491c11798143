"""Tests of gorego_tw.resource_name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import InvalidArgument
from gorego_tw.resource_name import (
    Compressor,
    ReadName,
    WriteName,
    check_instance_name,
    parse_read_name,
    parse_write_name,
)

DIGEST = digest_of(b"hello", DigestFunction.SHA256)
BLAKE3 = digest_of(b"hello", DigestFunction.BLAKE3)


class ReadNameTests(SynchronousTestCase):
    """Names of blobs to read."""

    def refused(self, name: str, *fragments: str) -> None:
        """The name is refused with a message that has the fragments."""
        message = self.assertRaises(InvalidArgument, parse_read_name, name).message
        for fragment in fragments:
            self.assertIn(fragment, message)

    def test_plain(self) -> None:
        """A name without an instance name is the shortest there is."""
        name = parse_read_name(f"blobs/{DIGEST}")
        self.assertEqual(name, ReadName("", DIGEST, Compressor.IDENTITY))

    def test_instance_name_of_segments(self) -> None:
        """An instance name goes up to the keyword, however many segments that are."""
        name = parse_read_name(f"a/b/c/d/blobs/{DIGEST}")
        self.assertEqual(name.instance_name, "a/b/c/d")

    def test_leading_slash(self) -> None:
        """One slash at the beginning means nothing."""
        self.assertEqual(parse_read_name(f"/blobs/{DIGEST}"), parse_read_name(f"blobs/{DIGEST}"))

    def test_zstd(self) -> None:
        """compressed-blobs names the compressor."""
        name = parse_read_name(f"i/compressed-blobs/zstd/{DIGEST}")
        self.assertEqual(name, ReadName("i", DIGEST, Compressor.ZSTD))

    def test_blake3_is_another_blob(self) -> None:
        """The same hash is SHA-256's without a digest function, and BLAKE3's with it."""
        named = parse_read_name(f"blobs/blake3/{DIGEST}").digest
        self.assertEqual(named.function, DigestFunction.BLAKE3)
        self.assertEqual(named.hash, DIGEST.hash)
        self.assertNotEqual(named, DIGEST)

    def test_functions_by_length(self) -> None:
        """Functions that need no segment are told by the length of the hash."""
        for function in (DigestFunction.SHA1, DigestFunction.SHA384, DigestFunction.SHA512):
            digest = digest_of(b"x", function)
            self.assertEqual(parse_read_name(f"blobs/{digest}").digest, digest)

    def test_functions_that_are_named(self) -> None:
        """A function that needs no segment may have one all the same."""
        self.assertEqual(parse_read_name(f"blobs/sha256/{DIGEST}").digest, DIGEST)

    def test_function_not_served(self) -> None:
        """A digest function that is not served is called by its name."""
        self.refused(f"blobs/gitsha1/{DIGEST}", "'gitsha1'", "blake3")

    def test_short_hash(self) -> None:
        """A hash of one character is refused with the lengths there are."""
        self.refused("blobs/a/5", "1 characters", "64 (SHA256)")

    def test_upper_case_hash(self) -> None:
        """A hash in upper case is refused."""
        self.refused(f"blobs/{DIGEST.hash.upper()}/5", "lower-case")

    def test_no_keyword(self) -> None:
        """A name without a keyword is refused with the forms there are."""
        self.refused(f"instance/{DIGEST}", "no blobs", "blobs/{hash}/{size}")
        self.refused("", "no blobs")

    def test_no_size(self) -> None:
        """A hash alone does not name a blob."""
        self.refused(f"blobs/{DIGEST.hash}", "no hash and size")

    def test_bad_sizes(self) -> None:
        """A size is decimal digits of at most an int64."""
        for size in ("-1", "+1", "1.0", "", "0x1", "٣", "1 ", "9" * 30):
            self.refused(f"blobs/{DIGEST.hash}/{size}", "decimal number")
        self.refused(f"blobs/{DIGEST.hash}/{2**63}", str(2**63 - 1))

    def test_metadata_is_not_for_reads(self) -> None:
        """What comes after the size is refused: reads have no metadata."""
        self.refused(f"blobs/{DIGEST}/name.o", "after the size")

    def test_compressor_not_served(self) -> None:
        """Another compressor is refused by its name."""
        self.refused(f"compressed-blobs/brotli/{DIGEST}", "'brotli'", "zstd")
        self.refused("compressed-blobs", "''", "zstd")

    def test_keyword_in_instance_name(self) -> None:
        """A keyword ends the instance name, so another one before blobs is refused."""
        self.refused(f"operations/blobs/{DIGEST}", "no blobs")
        self.refused(f"uploads/u/blobs/{DIGEST}", "no blobs")

    def test_empty_segment(self) -> None:
        """Doubled slashes are refused."""
        self.refused(f"a//blobs/{DIGEST}", "empty segment")
        self.refused(f"//blobs/{DIGEST}", "empty segment")

    def test_format(self) -> None:
        """A name formats to what parses to it."""
        for name in (
            ReadName("", DIGEST, Compressor.IDENTITY),
            ReadName("a/b", DIGEST, Compressor.ZSTD),
            ReadName("a", BLAKE3, Compressor.IDENTITY),
            ReadName("", BLAKE3, Compressor.ZSTD),
        ):
            self.assertEqual(parse_read_name(str(name)), name)
        self.assertEqual(str(ReadName("a", DIGEST, Compressor.IDENTITY)), f"a/blobs/{DIGEST}")
        self.assertEqual(
            str(ReadName("", BLAKE3, Compressor.ZSTD)), f"compressed-blobs/zstd/blake3/{BLAKE3}"
        )

    def test_long_names_are_cut(self) -> None:
        """A message quotes so much of a name that it fits into headers."""
        message = self.assertRaises(InvalidArgument, parse_read_name, "x" * 100_000).message
        self.assertLess(len(message), 600)


class WriteNameTests(SynchronousTestCase):
    """Names of uploads."""

    def refused(self, name: str, *fragments: str) -> None:
        """The name is refused with a message that has the fragments."""
        message = self.assertRaises(InvalidArgument, parse_write_name, name).message
        for fragment in fragments:
            self.assertIn(fragment, message)

    def test_plain(self) -> None:
        """An upload has a uuid."""
        name = parse_write_name(f"i/uploads/u-1/blobs/{DIGEST}")
        self.assertEqual(name, WriteName("i", "u-1", DIGEST, Compressor.IDENTITY))

    def test_compressed_blake3(self) -> None:
        """Compressor and digest function stand before the hash."""
        name = parse_write_name(f"uploads/u/compressed-blobs/zstd/blake3/{BLAKE3}")
        self.assertEqual(name, WriteName("", "u", BLAKE3, Compressor.ZSTD))

    def test_metadata_is_ignored(self) -> None:
        """Any segments after the size are left out, even numbers and keywords."""
        plain = parse_write_name(f"uploads/u/blobs/{DIGEST}")
        for rest in ("name.o", "a/b/c", "7", "blobs/uploads", ""):
            self.assertEqual(parse_write_name(f"uploads/u/blobs/{DIGEST}/{rest}"), plain)

    def test_format_is_normal(self) -> None:
        """A leading slash and metadata are not in what a name formats to."""
        name = parse_write_name(f"/a/uploads/u/compressed-blobs/zstd/{DIGEST}/name")
        self.assertEqual(str(name), f"a/uploads/u/compressed-blobs/zstd/{DIGEST}")

    def test_no_uploads(self) -> None:
        """The name of a blob to read is not one to write."""
        self.refused(f"blobs/{DIGEST}", "no uploads", "uploads/{uuid}/blobs")

    def test_no_uuid(self) -> None:
        """An upload without a uuid is refused."""
        self.refused(f"uploads/blobs/{DIGEST}", "no uuid")
        self.refused(f"uploads//blobs/{DIGEST}", "no uuid")
        self.refused("uploads", "no uuid")

    def test_no_blobs(self) -> None:
        """After the uuid comes what is uploaded."""
        self.refused(f"uploads/u/{DIGEST}", "after the uuid")
        self.refused("uploads/u", "after the uuid")


class InstanceNameTests(SynchronousTestCase):
    """Instance names in the fields of requests."""

    def test_allowed(self) -> None:
        """None, one segment or several."""
        for name in ("", "main", "a/b/c"):
            self.assertEqual(check_instance_name(name), name)

    def test_keyword(self) -> None:
        """A keyword as a segment is refused."""
        error = self.assertRaises(InvalidArgument, check_instance_name, "a/actionResults")
        self.assertIn("'actionResults'", error.message)

    def test_empty_segment(self) -> None:
        """An empty segment is refused."""
        for name in ("/", "a/", "/a", "a//b"):
            error = self.assertRaises(InvalidArgument, check_instance_name, name)
            self.assertIn("empty segment", error.message)
