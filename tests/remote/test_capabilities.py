"""Tests of gorego_tw.remote.capabilities."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.digest import DigestFunction
from gorego_tw.errors import Unavailable, Unimplemented
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.capabilities import (
    MAX_BATCH_BYTES,
    Capabilities,
    PeerCapabilities,
    read_capabilities,
)
from tests.remote.peer import PeerTestCase

SAID = pb.ServerCapabilities(
    cache_capabilities=pb.CacheCapabilities(
        digest_functions=["SHA256", "MD5"],
        max_batch_total_size_bytes=1000,
        supported_compressors=["ZSTD"],
        action_cache_update_capabilities=pb.ActionCacheUpdateCapabilities(update_enabled=True),
    )
)


class ReadCapabilitiesTests(SynchronousTestCase):
    def test_said(self) -> None:
        """What is said is taken, as far as it means something here."""
        found = read_capabilities(SAID)
        self.assertEqual(found.digest_functions, {DigestFunction.SHA256})
        self.assertEqual(found.max_batch_total_size_bytes, 1000)
        self.assertEqual((found.reads_zstd, found.batches_zstd), (True, False))
        self.assertTrue(found.update_enabled)

    def test_nothing_said(self) -> None:
        """No limit is still that of gRPC; no digest function named is any."""
        found = read_capabilities(pb.ServerCapabilities())
        self.assertEqual(found.max_batch_total_size_bytes, MAX_BATCH_BYTES)
        self.assertEqual(found.digest_functions, set(DigestFunction))
        self.assertFalse(found.update_enabled)

    def test_huge_batches(self) -> None:
        """A limit beyond that of gRPC is no use."""
        said = pb.CacheCapabilities(max_batch_total_size_bytes=1 << 40)
        found = read_capabilities(pb.ServerCapabilities(cache_capabilities=said))
        self.assertEqual(found.max_batch_total_size_bytes, MAX_BATCH_BYTES)


class CapabilitiesTests(PeerTestCase):
    async def test_refresh(self) -> None:
        """They are what the peer said last, and observers hear of it."""
        capabilities = Capabilities(self.link(), "main")
        self.assertEqual(capabilities.current, PeerCapabilities())
        heard: list[PeerCapabilities] = []
        capabilities.observers.append(heard.append)
        self.service.capabilities = SAID
        await capabilities.refresh()
        self.assertEqual(capabilities.current, read_capabilities(SAID))
        self.assertEqual(heard, [capabilities.current])

    async def test_does_not_answer(self) -> None:
        """What it said before holds while it does not answer."""
        capabilities = Capabilities(self.link(), "")
        self.service.capabilities = SAID
        await capabilities.refresh()
        self.service.failures = [Unavailable("down")]
        await self.failed(capabilities.refresh(), Unavailable)
        self.assertEqual(capabilities.current, read_capabilities(SAID))

    async def test_does_not_tell(self) -> None:
        """A peer that tells no capabilities has the least ones."""
        capabilities = Capabilities(self.link(), "")
        self.service.failures = [Unimplemented("what?")]
        await capabilities.refresh()
        self.assertEqual(capabilities.current, PeerCapabilities())
