"""Tests of tests.reapi.fakes: the fakes have the roles they stand for."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.digest import digest_of
from gorego_tw.grpc.router import IRPCService
from gorego_tw.interfaces import IActionResults, IBlobAccess, IUpload, IUploads
from gorego_tw.reapi.action_cache import ActionCache
from gorego_tw.reapi.byte_stream import ByteStream
from gorego_tw.reapi.capabilities import Capabilities
from gorego_tw.reapi.cas import ContentAddressableStorage
from gorego_tw.reapi.limits import Limits
from gorego_tw.storage.memory import MemoryActionResults
from tests.reapi.fakes import SHA256, FakeBlobs, FakeUploads


class RoleTests(SynchronousTestCase):
    """Interfaces of the fakes, and of the services."""

    def test_fakes(self) -> None:
        """Each fake has all the methods of its role."""
        blobs = FakeBlobs()
        uploads = FakeUploads(blobs)
        verifyObject(IBlobAccess, blobs)
        verifyObject(IActionResults, MemoryActionResults())
        verifyObject(IUploads, uploads)
        opening = uploads.open("name", digest_of(b"", SHA256))
        verifyObject(IUpload, self.successResultOf(Deferred.fromCoroutine(opening)))

    def test_services(self) -> None:
        """Each service is one, and they have all the paths of the caching half."""
        blobs, limits = FakeBlobs(), Limits()
        services = (
            Capabilities(limits),
            ContentAddressableStorage(blobs, limits),
            ActionCache(MemoryActionResults(), blobs, limits),
            ByteStream(blobs, FakeUploads(blobs), limits),
        )
        paths: list[str] = []
        for service in services:
            verifyObject(IRPCService, service)
            paths += service.methods()
        reapi = "/build.bazel.remote.execution.v2."
        self.assertEqual(
            sorted(paths),
            [
                f"{reapi}ActionCache/GetActionResult",
                f"{reapi}ActionCache/UpdateActionResult",
                f"{reapi}Capabilities/GetCapabilities",
                f"{reapi}ContentAddressableStorage/BatchReadBlobs",
                f"{reapi}ContentAddressableStorage/BatchUpdateBlobs",
                f"{reapi}ContentAddressableStorage/FindMissingBlobs",
                f"{reapi}ContentAddressableStorage/GetTree",
                "/google.bytestream.ByteStream/QueryWriteStatus",
                "/google.bytestream.ByteStream/Read",
                "/google.bytestream.ByteStream/Write",
            ],
        )
