"""Tests of gorego_tw.forwarding."""

from __future__ import annotations

from contextvars import copy_context

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.forwarding import VIA, Metadata, carrying, detached, forwarded, rights, source, way


class ForwardingTests(SynchronousTestCase):
    def test_outside_of_a_call(self) -> None:
        """Nothing travels on where no call is served."""
        self.assertEqual(forwarded(), ())

    def test_inside_of_a_call(self) -> None:
        """The call is asked when somebody wants to know, not before."""
        asked = []

        def tell(call: object, names: object) -> Metadata:
            asked.append((call, names))
            return (("name", "value"),)

        context = copy_context()
        context.run(source.set, (tell, "call", "names"))
        self.assertEqual(asked, [])
        self.assertEqual(context.run(forwarded), (("name", "value"),))
        self.assertEqual(asked, [("call", "names")])

    def test_detached(self) -> None:
        """Work that outlives the call keeps what the call said when it began."""
        values = ["first"]
        context = copy_context()
        context.run(source.set, (lambda *_: (("name", values[0]),), None, None))
        later = context.run(detached)
        values[0] = "second"
        self.assertEqual(later.run(forwarded), (("name", "first"),))

    def test_way(self) -> None:
        """The way that a call has come along can travel on alone, and gives nobody other rights."""
        metadata: Metadata = (("authorization", "x"), (VIA, "a#1"))
        self.assertEqual(rights(metadata), (("authorization", "x"),))
        self.assertEqual(carrying(way(metadata)).run(forwarded), ((VIA, "a#1"),))

    def test_same_way(self) -> None:
        """Calls that have come along the same way share it: a queue keeps it for each of its entries."""
        first, second = (way(((VIA, "a#1"),)) for _ in range(2))
        self.assertIs(first, second)
