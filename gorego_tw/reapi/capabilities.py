"""build.bazel.remote.execution.v2.Capabilities: what is served."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from gorego_tw.digest import DigestFunction
from gorego_tw.grpc.router import Call, IRPCService, Method, unary
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.pb.build.bazel.semver.semver_pb2 import SemVer
from gorego_tw.reapi.limits import Limits
from gorego_tw.resource_name import check_instance_name

#: BLAKE3 before the others of its kind: clients that may choose take an early one.
_FUNCTIONS = (
    DigestFunction.SHA256,
    DigestFunction.BLAKE3,
    DigestFunction.SHA1,
    DigestFunction.SHA384,
    DigestFunction.SHA512,
)
#: Bazel 4 refuses a server whose lowest version is above 2.0.
_LOW = SemVer(major=2, minor=0)
#: Compressed blobs came with 2.1, the digest functions of a request with 2.3.
_HIGH = SemVer(major=2, minor=3)


def _server_capabilities(limits: Limits) -> pb.ServerCapabilities:
    return pb.ServerCapabilities(
        cache_capabilities=pb.CacheCapabilities(
            digest_functions=[pb.DigestFunction.Value.Name(f) for f in _FUNCTIONS],
            action_cache_update_capabilities=pb.ActionCacheUpdateCapabilities(update_enabled=True),
            max_batch_total_size_bytes=limits.max_batch_total_size_bytes,
            symlink_absolute_path_strategy=pb.SymlinkAbsolutePathStrategy.ALLOWED,
            supported_compressors=[pb.Compressor.ZSTD],
            supported_batch_update_compressors=[pb.Compressor.ZSTD],
            max_cas_blob_size_bytes=limits.max_blob_size_bytes,
        ),
        low_api_version=_LOW,
        high_api_version=_HIGH,
    )


@implementer(IRPCService)
class Capabilities:
    """Answers GetCapabilities, the same for every instance name.

    :param limits: those that are advertised.
    """

    def __init__(self, limits: Limits) -> None:
        self._reply = _server_capabilities(limits).SerializeToString()

    def methods(self) -> Mapping[str, Method]:
        """GetCapabilities."""
        path = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities"
        return {path: unary(pb.GetCapabilitiesRequest, self.get_capabilities)}

    async def get_capabilities(self, request: pb.GetCapabilitiesRequest, call: Call) -> bytes:
        """The capabilities, serialized beforehand.

        :raises InvalidArgument: the instance name is none.
        """
        check_instance_name(request.instance_name)
        return self._reply
