"""Digests as messages."""

from __future__ import annotations

from gorego_tw.digest import Digest
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb


def message_of(digest: Digest) -> pb.Digest:
    """The digest on the wire."""
    return pb.Digest(hash=digest.hash, size_bytes=digest.size_bytes)
