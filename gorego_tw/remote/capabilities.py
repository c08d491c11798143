"""What the backing cache says that it can (Capabilities.GetCapabilities)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from txaio.tx import make_logger

from gorego_tw.digest import DigestFunction
from gorego_tw.errors import Unimplemented
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.link import GET_CAPABILITIES, Link

#: What a batch holds if the peer sets no limit (0): gRPC has one all the same, 4 MiB by default.
MAX_BATCH_BYTES = 4_000_000


@dataclass(frozen=True)
class PeerCapabilities:
    """What holds until the peer has said something else is what every server has to take.

    :ivar max_batch_total_size_bytes: how much a batch holds, in bytes.
    :ivar digest_functions: those it serves.
    :ivar reads_zstd: whether it gives and takes streams compressed.
    :ivar batches_zstd: whether it takes batches of compressed blobs.
    :ivar update_enabled: whether it takes action results of ours.
    """

    max_batch_total_size_bytes: int = MAX_BATCH_BYTES
    digest_functions: frozenset[DigestFunction] = frozenset(DigestFunction)
    reads_zstd: bool = False
    batches_zstd: bool = False
    update_enabled: bool = True


def read_capabilities(reply: pb.ServerCapabilities) -> PeerCapabilities:
    """What a reply says."""
    cache = reply.cache_capabilities
    functions = frozenset(
        function for function in DigestFunction if function.value in cache.digest_functions
    )
    limit = cache.max_batch_total_size_bytes
    return PeerCapabilities(
        max_batch_total_size_bytes=min(limit, MAX_BATCH_BYTES) if limit > 0 else MAX_BATCH_BYTES,
        # A server that names none has one all the same, which is told by the length of a hash.
        digest_functions=functions or frozenset(DigestFunction),
        reads_zstd=pb.Compressor.ZSTD in cache.supported_compressors,
        batches_zstd=pb.Compressor.ZSTD in cache.supported_batch_update_compressors,
        update_enabled=cache.action_cache_update_capabilities.update_enabled,
    )


class Capabilities:
    """Those of one peer, as far as they are known.

    :param link: to the peer.
    :ivar current: what it said last.
    :ivar observers: called when it has said something.
    """

    _log = make_logger()

    def __init__(self, link: Link, instance_name: str) -> None:
        self.current = PeerCapabilities()
        self.observers: list[Callable[[PeerCapabilities], object]] = []
        self._link = link
        self._instance_name = instance_name

    async def refresh(self) -> None:
        """Ask, at the first try, whatever the breaker says.

        :raises StatusError: the peer did not say. What it said before holds.
        """
        request = pb.GetCapabilitiesRequest(instance_name=self._instance_name)
        try:
            reply = await self._link.once(GET_CAPABILITIES, request)
        except Unimplemented:
            self._log.info("the backing cache tells no capabilities; the least ones are assumed")
            return
        found = read_capabilities(reply)
        if found != self.current:
            self.current = found
            functions = sorted(function.name for function in found.digest_functions)
            self._log.info(
                "the backing cache serves {functions}; batches of {bytes} bytes; zstd: {zstd}",
                functions=", ".join(functions),
                bytes=found.max_batch_total_size_bytes,
                zstd="yes" if found.reads_zstd else "no",
            )
        for observer in self.observers:
            observer(found)
