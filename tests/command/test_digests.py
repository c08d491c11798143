"""Digests on the command line."""

from __future__ import annotations

import click
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.command.digests import DIGEST, text_of
from gorego_tw.pb.gorego.control.v1.control_pb2 import BlobName

HASH = "ab" * 32
RAW = bytes.fromhex(HASH)


class DigestTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """The function is told by the length or by its name, the size may be left out."""
        for text, expected in (
            (HASH, BlobName(digest_function=1, hash=RAW, size_bytes=-1)),
            (f"{HASH}/7", BlobName(digest_function=1, hash=RAW, size_bytes=7)),
            (f"blake3:{HASH}/7", BlobName(digest_function=9, hash=RAW, size_bytes=7)),
            (f"sha1:{HASH[:40]}", BlobName(digest_function=2, hash=RAW[:20], size_bytes=-1)),
        ):
            self.assertEqual(DIGEST.convert(text, None, None), expected)

    def test_wrong_ones(self) -> None:
        """What is none is an error of who wrote it."""
        for text in (
            "",
            "/",
            f"{HASH}/",
            f"{HASH}/-1",
            f"{HASH.upper()}",
            f"sha1:{HASH}",
            ":" + HASH,
        ):
            self.assertRaises(click.BadParameter, DIGEST.convert, text, None, None)

    def test_there_and_back(self) -> None:
        """What is printed can be given back."""
        for text in (f"{HASH}/7", f"blake3:{HASH}/0"):
            self.assertEqual(text_of(DIGEST.convert(text, None, None)), text)
