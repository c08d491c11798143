"""Tests of gorego_tw.reapi.capabilities."""

from __future__ import annotations

from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.capabilities import Capabilities
from gorego_tw.reapi.limits import Limits
from tests.reapi.fakes import FakeCall, ServiceTestCase


class CapabilitiesTests(ServiceTestCase):
    """What is advertised."""

    def ask(self, instance_name: str = "") -> pb.ServerCapabilities:
        """The reply for that instance name."""
        service = Capabilities(Limits(max_blob_size_bytes=12345))
        request = pb.GetCapabilitiesRequest(instance_name=instance_name)
        data = self.result_of(service.get_capabilities(request, FakeCall()))
        return pb.ServerCapabilities.FromString(data)

    def test_digest_functions(self) -> None:
        """Five functions, SHA-256 first, UNKNOWN not among them."""
        functions = pb.DigestFunction
        self.assertEqual(
            list(self.ask().cache_capabilities.digest_functions),
            [
                functions.SHA256,
                functions.BLAKE3,
                functions.SHA1,
                functions.SHA384,
                functions.SHA512,
            ],
        )

    def test_versions(self) -> None:
        """The lowest version is 2.0, for Bazel 4; the highest a later 2."""
        reply = self.ask()
        self.assertEqual((reply.low_api_version.major, reply.low_api_version.minor), (2, 0))
        self.assertEqual(reply.high_api_version.major, 2)
        self.assertGreaterEqual(reply.high_api_version.minor, 3)

    def test_compressors(self) -> None:
        """ZSTD is in both lists; IDENTITY goes without saying."""
        cache = self.ask().cache_capabilities
        self.assertEqual(list(cache.supported_compressors), [pb.Compressor.ZSTD])
        self.assertEqual(list(cache.supported_batch_update_compressors), [pb.Compressor.ZSTD])

    def test_updates(self) -> None:
        """Action results may be uploaded."""
        cache = self.ask().cache_capabilities
        self.assertTrue(cache.action_cache_update_capabilities.update_enabled)

    def test_sizes(self) -> None:
        """The limits are those of the configuration; a batch is not unlimited."""
        cache = self.ask().cache_capabilities
        self.assertEqual(cache.max_batch_total_size_bytes, 4_000_000)
        self.assertEqual(cache.max_cas_blob_size_bytes, 12345)

    def test_instance_name(self) -> None:
        """Every instance name gets the same, one that cannot exist is refused."""
        self.assertEqual(self.ask("some/where"), self.ask())
        request = pb.GetCapabilitiesRequest(instance_name="blobs")
        service = Capabilities(Limits())
        self.assert_fails(service.get_capabilities(request, FakeCall()), InvalidArgument, "'blobs'")
