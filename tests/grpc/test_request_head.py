"""Tests of gorego_tw.grpc.request_head."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Code
from gorego_tw.grpc.request_head import PlainRequest, RefusedCall, RequestHead, read_head
from gorego_tw.grpc.router import Router
from gorego_tw.http2 import hpack
from gorego_tw.http2.headers import Headers
from gorego_tw.http2.hpack import Decoder
from tests.grpc.peer import Texts

ROUTER = Router([Texts()])


def headers(path: str = "/t.T/Echo", method: str = "POST", **fields: str) -> Headers:
    """What a client sends; underscores stand for hyphens."""
    fields.setdefault("content_type", "application/grpc+proto")
    block = [(":method", method), (":scheme", "http"), (":path", path)]
    block += [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Decoder().decode(hpack.encode((n.encode(), v.encode()) for n, v in block))


class ReadHeadTests(SynchronousTestCase):
    def refusal(self, **fields: str) -> Code:
        head = read_head(headers(**fields), ROUTER)
        assert isinstance(head, RefusedCall)
        return head.error.code

    def test_call(self) -> None:
        """Method, timeout and encoding are read."""
        head = read_head(headers(grpc_timeout="2S", grpc_encoding="gzip"), ROUTER)
        assert isinstance(head, RequestHead)
        self.assertEqual(head[:4], (ROUTER.find(b"/t.T/Echo"), 2.0, "gzip", {}))
        self.assertIs(head.traffic, ROUTER.traffic.of("/t.T/Echo"))

    def test_no_timeout(self) -> None:
        """Without a timeout there is no deadline."""
        head = read_head(headers(), ROUTER)
        assert isinstance(head, RequestHead)
        self.assertIsNone(head.timeout)

    def test_not_grpc(self) -> None:
        """Another method is 405, another content type 415."""
        for head, status in (
            (read_head(headers(method="GET"), ROUTER), 405),
            (read_head(headers(content_type="text/html"), ROUTER), 415),
        ):
            assert isinstance(head, PlainRequest)
            self.assertEqual(head.status, status)

    def test_refused(self) -> None:
        """An unknown path or encoding is UNIMPLEMENTED, a malformed timeout INVALID_ARGUMENT."""
        self.assertEqual(self.refusal(path="/t.T/None"), Code.UNIMPLEMENTED)
        self.assertEqual(self.refusal(grpc_encoding="br"), Code.UNIMPLEMENTED)
        self.assertEqual(self.refusal(grpc_timeout="x"), Code.INVALID_ARGUMENT)
