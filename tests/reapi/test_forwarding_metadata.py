"""Tests of gorego_tw.reapi.forwarding_metadata."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context

from google.protobuf.empty_pb2 import Empty
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gorego_tw.forwarding import VIA, Metadata, forwarded
from gorego_tw.grpc.router import Call, IRPCService, Method, unary
from gorego_tw.reapi.forwarding_metadata import ForwardingMetadata, chosen
from tests.reapi.fakes import FakeCall


@implementer(IRPCService)
class Asking:
    """A service that notes what would travel on."""

    def __init__(self) -> None:
        self.seen: list[Metadata] = []

    def methods(self) -> Mapping[str, Method]:
        """One method."""
        return {"/t.T/Ask": unary(Empty, self.ask)}

    async def ask(self, request: Empty, call: Call) -> bytes:
        """Note it."""
        self.seen.append(forwarded())
        return b""


class ForwardingMetadataTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Asking()
        self.service = ForwardingMetadata(self.base, ["authorization", "trace-bin"])

    def ask(self, call: FakeCall) -> Metadata:
        """What travels on from a call."""
        (method,) = self.service.methods().values()
        context = copy_context()
        answer = context.run(method.handle, Empty(), call)
        context.run(self.successResultOf, answer)
        return self.base.seen[-1]

    def test_interface(self) -> None:
        """It is a service, with the methods of the other."""
        verifyObject(IRPCService, self.service)
        self.assertEqual(list(self.service.methods()), ["/t.T/Ask"])

    def test_chosen(self) -> None:
        """What is chosen travels on, text as text and bytes as bytes; the rest does not."""
        call = FakeCall({"authorization": "Bearer x", "user-agent": "bazel"}, {"trace-bin": b"\0"})
        self.assertEqual(self.ask(call), (("authorization", "Bearer x"), ("trace-bin", b"\0")))

    def test_too_long(self) -> None:
        """What a client says of itself at length does not travel on; its credentials do."""
        call = FakeCall({"authorization": "x" * 4000}, {"a-bin": b"x" * 2048, "b-bin": b"x" * 2049})
        names = [name for name, _ in chosen(call, ["authorization", "a-bin", "b-bin"])]
        self.assertEqual(names, ["authorization", "a-bin"])

    def test_long_way(self) -> None:
        """A way that no call has come does not travel on: it would be refused upstream, with the calls of others."""
        for length, names in ((2048, [VIA]), (2049, [])):
            call = FakeCall({VIA: "x" * length})
            self.assertEqual([name for name, _ in chosen(call, [VIA])], names)

    def test_no_text(self) -> None:
        """Text that gRPC does not allow does not travel on."""
        for value in ("Bearer \xff", "a\tb", "a\nb", "\x7f"):
            self.assertEqual(chosen(FakeCall({"authorization": value}), ["authorization"]), ())

    def test_absent(self) -> None:
        """What a call does not carry does not travel."""
        self.assertEqual(self.ask(FakeCall({}, {})), ())

    def test_after_the_call(self) -> None:
        """Outside of the call's context nothing is left of it."""
        self.ask(FakeCall({"authorization": "Bearer x"}, {}))
        self.assertEqual(forwarded(), ())
