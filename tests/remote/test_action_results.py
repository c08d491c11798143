"""Tests of gorego_tw.remote.action_results."""

from __future__ import annotations

from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import NotFound, PermissionDenied, Unimplemented
from gorego_tw.interfaces import ActionKey
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.action_results import RemoteActionResults
from gorego_tw.remote.capabilities import Capabilities
from tests.remote.peer import PeerTestCase

KEY = ActionKey("linux", digest_of(b"action", DigestFunction.BLAKE3))


class RemoteActionResultsTests(PeerTestCase):
    def setUp(self) -> None:
        super().setUp()
        link = self.link()
        self.capabilities = Capabilities(link, "prod")
        self.results = RemoteActionResults(link, self.capabilities, "prod")

    async def test_get(self) -> None:
        """A result is asked for by name, function and digest, below our instance name."""
        data = await self.results.get(KEY)
        said = pb.ActionResult.FromString(data).stdout_raw.decode()
        self.assertEqual(said, f"prod/linux {DigestFunction.BLAKE3} {KEY.action.hash[:4]}")

    async def test_absent(self) -> None:
        """What is not there is absent."""
        self.service.failures = [NotFound("none")]
        await self.failed(self.results.get(KEY), NotFound)

    async def test_put(self) -> None:
        """A result arrives as it is."""
        result = pb.ActionResult(exit_code=3)
        await self.results.put(KEY, result.SerializeToString())
        self.assertEqual(self.service.result, result)

    async def test_takes_none(self) -> None:
        """A peer that takes no results is not sent any; the message says what to do."""
        self.service.capabilities = pb.ServerCapabilities()
        await self.capabilities.refresh()
        error = await self.failed(self.results.put(KEY, b""), PermissionDenied)
        self.assertIn("around", error.message)
        self.assertIsNone(self.service.result)

    async def test_other_functions(self) -> None:
        """A peer is neither asked for, nor sent, results of actions whose digests it does not know."""
        served = pb.CacheCapabilities(
            digest_functions=[pb.DigestFunction.SHA256],
            action_cache_update_capabilities={"update_enabled": True},
        )
        self.service.capabilities = pb.ServerCapabilities(cache_capabilities=served)
        await self.capabilities.refresh()
        key = ActionKey("", digest_of(b"action", DigestFunction.BLAKE3))
        await self.failed(self.results.get(key), NotFound)
        await self.failed(self.results.put(key, b""), Unimplemented)
        self.assertEqual(len(self.service.calls), 1)
