"""The data of a ReadResponse."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.errors import Unavailable
from gorego_tw.pb.google.bytestream.bytestream_pb2 import ReadResponse
from gorego_tw.remote.read_response import read_data

#: On both sides of what a length of one, two, three and four bytes can say.
SIZES = (0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152)


class ReadDataTests(SynchronousTestCase):
    def test_every_length(self) -> None:
        """The data is what protobuf finds, whatever its length."""
        for size in SIZES:
            data = b"\x52" * size
            self.assertEqual(read_data(ReadResponse(data=data).SerializeToString()), data)

    def test_is_not_copied(self) -> None:
        """Data that fills the message is given out where it is."""
        message = ReadResponse(data=bytes(1000)).SerializeToString()
        self.assertIs(read_data(message).obj, message)

    def test_other_forms(self) -> None:
        """Fields that nobody knows, a second value, which counts, and a length with needless bytes."""
        message = ReadResponse(data=b"data").SerializeToString()
        for other in (
            message + b"\x08\x01",
            b"\x08\x01" + message,
            ReadResponse(data=b"first").SerializeToString() + message,
            b"\x52\x84\x00data",
            b"\x52\x84\x80\x80\x80\x00data",
        ):
            self.assertEqual(read_data(other), b"data")

    def test_garbage(self) -> None:
        """What is no ReadResponse is trouble of the peer."""
        for garbage in (b"\x52", b"\x52\x05data", b"\x52\xff\xff\xff\xff\xff", b"\xff"):
            self.assertRaises(Unavailable, read_data, garbage)
