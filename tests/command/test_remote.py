"""Requests that a thread of grpcio takes."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.command.remote import Requests
from gorego_tw.pb.gorego.control.v1.control_pb2 import WriteRequest

ONE, TWO = WriteRequest(data=b"1"), WriteRequest(data=b"2")


class Trouble(Exception):
    """What may come of making a request."""


def failing() -> Iterator[Message]:
    """One request, and no second."""
    yield ONE
    raise Trouble


class RequestsTests(SynchronousTestCase):
    def test_all_of_them(self) -> None:
        """They come in their order."""
        requests = Requests(iter([ONE, TWO]))
        self.assertEqual(list(requests), [ONE, TWO])
        requests.close()

    def test_an_early_answer(self) -> None:
        """When the answer has come nothing more is taken from where they are made."""
        source = iter([ONE, TWO])
        requests = Requests(source)
        next(requests)
        requests.close()
        self.assertEqual(list(requests), [])
        self.assertEqual(list(source), [TWO])

    def test_trouble(self) -> None:
        """What fails in grpcio's thread ends the stream there, and is raised where it was asked for."""
        requests = Requests(failing())
        self.assertEqual(list(requests), [ONE])
        self.assertRaises(Trouble, requests.close)
