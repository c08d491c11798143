"""Replies as length-prefixed messages."""

from __future__ import annotations

from google.protobuf.message import Message

from gorego_tw.grpc.framing import prefix
from gorego_tw.grpc.router import Buffers, Reply


def pieces_of(reply: Reply) -> Buffers:
    """``reply`` as one length-prefixed message."""
    if isinstance(reply, bytes):
        return (prefix(len(reply)), reply)
    if isinstance(reply, Message):
        data = reply.SerializeToString()
        return (prefix(len(data)), data)
    return (prefix(sum(map(len, reply))), *reply)
