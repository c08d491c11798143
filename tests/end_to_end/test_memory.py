"""How much memory the daemon takes for large blobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from tests.end_to_end.client import MIB, read_name, write_name
from tests.end_to_end.daemon import DaemonTestCase

SIZE = 300 * 1000 * 1000
LIMIT = 150 * MIB
PIECE = MIB


def pieces() -> Iterator[bytes]:
    """SIZE bytes that are never in memory at once, the same each time."""
    block = hashlib.shake_256(b"a large blob").digest(PIECE)
    for n in range(0, SIZE, PIECE):
        piece = n.to_bytes(8, "big") + block[8:]
        yield piece[: SIZE - n]


class MemoryTests(DaemonTestCase):
    """A blob of 300 MB."""

    def test_upload_and_download(self) -> None:
        """The upload and the download keep the daemon's resident memory under 150 MiB."""
        daemon = self.make_daemon().start()
        client = self.connect(daemon)
        hasher = hashlib.sha256()
        for piece in pieces():
            hasher.update(piece)
        digest = reapi.Digest(hash=hasher.hexdigest(), size_bytes=SIZE)

        def messages() -> Iterator[bytestream.WriteRequest]:
            offset = 0
            for piece in pieces():
                end = offset + len(piece)
                yield bytestream.WriteRequest(
                    resource_name="" if offset else write_name(digest),
                    write_offset=offset,
                    data=piece,
                    finish_write=end == SIZE,
                )
                offset = end

        self.assertEqual(client.byte_stream.Write(messages()).committed_size, SIZE)
        self.assertLess(daemon.memory_bytes("VmHWM"), LIMIT)
        hasher = hashlib.sha256()
        for response in client.byte_stream.Read(
            bytestream.ReadRequest(resource_name=read_name(digest))
        ):
            hasher.update(response.data)
        self.assertEqual(hasher.hexdigest(), digest.hash)
        self.assertLess(daemon.memory_bytes("VmHWM"), LIMIT)
