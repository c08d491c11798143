"""Bodies in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody
from gorego_tw.interfaces import IBlobBody


class BytesBodyTests(SynchronousTestCase):
    def chunks(self, offset: int) -> list[bytes]:
        async def collect() -> list[bytes]:
            return [bytes(chunk) async for chunk in BytesBody(b"abcdef").chunks(offset)]

        return self.successResultOf(collect())

    def test_interface(self) -> None:
        """It is a body."""
        verifyObject(IBlobBody, BytesBody(b""))

    def test_size(self) -> None:
        """The size is that of the data."""
        self.assertEqual(BytesBody(b"abc").size_bytes, 3)

    def test_chunks(self) -> None:
        """The bytes from an offset on come in one piece, none at the end."""
        self.assertEqual(self.chunks(0), [b"abcdef"])
        self.assertEqual(self.chunks(4), [b"ef"])
        self.assertEqual(self.chunks(6), [])

    def test_read_all_copies_nothing(self) -> None:
        """The data is handed out as it is."""
        data = b"abc"
        self.assertIs(self.successResultOf(BytesBody(data).read_all()), data)

    def test_discard(self) -> None:
        """There is nothing to let go."""
        BytesBody(b"abc").discard()
