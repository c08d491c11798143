"""Blobs that a client sends inside of an action result."""

from __future__ import annotations

from gorego_tw.body import BytesBody
from gorego_tw.digest import DigestFunction, digest_of
from gorego_tw.errors import StatusError
from gorego_tw.interfaces import IBlobAccess
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.digests import parse_message


class Outlining:
    """Makes blobs of what an action result has inlined.

    The protocol lets a server normalise a result so (UpdateActionResult). A client that reads
    the result is then sent the data only if it asks for it, one that reads the blob by its digest
    finds it, and nobody is sent data that is not what its digest says.

    :param function: the digest function of the result.
    """

    def __init__(self, function: DigestFunction, blobs: IBlobAccess) -> None:
        self._function = function
        self._blobs = blobs

    async def outline(self, result: pb.ActionResult) -> bool:
        """Keep what is inlined, and leave its digest in its place.

        :returns: whether there was anything.
        :raises DigestMismatch: the data is not what the digest beside it announces.
        :raises InvalidArgument: that digest is malformed.
        :raises ResourceExhausted: no room.
        """
        found = False
        if result.stdout_raw:
            found = True
            known = result.HasField("stdout_digest")
            await self._keep("stdout_raw", result.stdout_raw, result.stdout_digest, known=known)
            result.ClearField("stdout_raw")
        if result.stderr_raw:
            found = True
            known = result.HasField("stderr_digest")
            await self._keep("stderr_raw", result.stderr_raw, result.stderr_digest, known=known)
            result.ClearField("stderr_raw")
        for file in result.output_files:
            if file.contents:
                found = True
                field = f"output_files[{file.path[:100]!r}].contents"
                await self._keep(field, file.contents, file.digest, known=True)
                file.ClearField("contents")
        return found

    async def _keep(self, field: str, data: bytes, message: pb.Digest, *, known: bool) -> None:
        if not known:
            digest = digest_of(data, self._function)
            message.hash, message.size_bytes = digest.hash, digest.size_bytes
        digest = parse_message(field, message, self._function)
        try:
            await self._blobs.put(digest, BytesBody(data))
        except StatusError as error:
            raise error.at(field) from None
