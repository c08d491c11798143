"""Blobs in an action result, for clients that ask for it to save a round trip."""

from __future__ import annotations

from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.errors import StatusError
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_message
from gorego_tw.reapi.limits import Limits

#: The tag and the length, of up to four bytes, of the bytes and of what is around them.
_FRAMING = 10


def wants_inlining(request: pb.GetActionResultRequest) -> bool:
    """Whether the client asks for any blob to be inlined."""
    return bool(request.inline_stdout or request.inline_stderr or request.inline_output_files)


class Inlining:
    """The inlining of one reply.

    What does not fit is left out, and so is a blob that cannot be read: the digest is there in
    any case, and the client reads by that.
    """

    def __init__(self, function: DigestFunction, blobs: IBlobAccess, limits: Limits) -> None:
        self._function = function
        self._blobs = blobs
        self._budget = limits.max_inline_bytes

    async def inline(self, request: pb.GetActionResultRequest, data: bytes) -> bytes:
        """The serialized action result with what the request asks for in it."""
        result = pb.ActionResult.FromString(data)
        self._budget -= len(data)
        if request.inline_stdout and not result.stdout_raw and result.HasField("stdout_digest"):
            result.stdout_raw = await self._read(result.stdout_digest)
        if request.inline_stderr and not result.stderr_raw and result.HasField("stderr_digest"):
            result.stderr_raw = await self._read(result.stderr_digest)
        wanted = frozenset(request.inline_output_files)
        for file in result.output_files:
            if file.path in wanted and not file.contents:
                file.contents = await self._read(file.digest)
        return result.SerializeToString()

    async def _read(self, message: pb.Digest) -> bytes:
        """The blob, or nothing."""
        digest = parse_message("digest", message, self._function)
        if not self._fits(digest):
            return b""
        try:
            data = await (await self._blobs.get(digest)).read_all()
        except StatusError:
            # It was a wish: whoever reads the blob by its digest is told what is wrong.
            return b""
        self._budget -= len(data) + _FRAMING
        return data

    def _fits(self, digest: Digest) -> bool:
        return 0 < digest.size_bytes <= self._budget - _FRAMING
