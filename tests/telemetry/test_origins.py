"""Tests of gorego_tw.telemetry.origins."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.forwarding import Metadata
from gorego_tw.telemetry.origins import Origins, PropagatorName
from gorego_tw.telemetry.span import LocalRoot, Origin
from tests.telemetry.recording import ALL, Call, Recording, invocation_of

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
OTHER_ID = "4bf92f3577b34da6a3ce929d0e0e4736"

#: The same trace and span, as each propagator writes it.
HEADERS: Mapping[PropagatorName, Mapping[str, str]] = {
    "tracecontext": {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
    "b3": {"b3": f"{TRACE_ID}-{SPAN_ID}-1"},
    "b3multi": {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-sampled": "1"},
}


def call_with(headers: Mapping[str, str]) -> Call:
    """A call with those headers."""
    call = Call()
    call.headers = dict(headers)
    return call


class OriginsTestCase(SynchronousTestCase):
    def origins(
        self, *propagators: PropagatorName, ratio: float = 1.0, span_id: int = 7
    ) -> Origins:
        """What finds origins by those headers, or by those of the default."""
        return Origins(
            propagators or ALL,
            ratio,
            invocation_of=invocation_of,
            invocation_span=lambda _: span_id,
        )

    def of(self, headers: Mapping[str, str], *propagators: PropagatorName) -> Origin:
        """The origin of a call with those headers."""
        return self.origins(*propagators).of(call_with(headers))

    def assert_named(self, origin: Origin) -> None:
        """It is the client's."""
        found = format(origin.trace_id, "032x"), format(origin.parent_id or 0, "016x")
        self.assertEqual(found, (TRACE_ID, SPAN_ID))

    def assert_new(self, origin: Origin) -> None:
        """It is one of its own."""
        self.assertNotEqual(format(origin.trace_id, "032x"), TRACE_ID)
        self.assertEqual((origin.parent_id, origin.invocation), (None, ""))


class ClientTests(OriginsTestCase):
    """Calls of clients that trace."""

    def test_each_propagator(self) -> None:
        """The trace is the client's, and its span the parent, by each of the headers."""
        for name, headers in HEADERS.items():
            origin = self.of(headers, name)
            self.assert_named(origin)
            self.assertTrue(origin.is_sampled)
            self.assertEqual(origin.invocation, "")

    def test_the_default(self) -> None:
        """The default reads all of them."""
        for headers in HEADERS.values():
            self.assert_named(self.of(headers))

    def test_not_configured(self) -> None:
        """A header that no propagator reads says nothing."""
        self.assert_new(self.of(HEADERS["b3"], "tracecontext", "baggage"))
        self.assert_new(self.of(HEADERS["tracecontext"], "b3"))
        origins = Origins((), 1.0, invocation_of=invocation_of, invocation_span=lambda _: 7)
        self.assert_new(origins.of(call_with(HEADERS["tracecontext"])))

    def test_not_sampled(self) -> None:
        """Whether it is sampled is the client's decision, whatever the ratio for new traces."""
        for headers in (
            {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"},
            {"b3": f"{TRACE_ID}-{SPAN_ID}-0"},
            {**HEADERS["b3multi"], "x-b3-sampled": "0"},
        ):
            origin = self.of(headers)
            self.assert_named(origin)
            self.assertFalse(origin.is_sampled)

    def test_sampled_in_spite_of_the_ratio(self) -> None:
        """A ratio of 0 is one for new traces."""
        for headers in HEADERS.values():
            call = call_with(headers)
            origins = self.origins(ratio=0.0)
            self.assertTrue(origins.are_sampled(call))
            self.assertTrue(origins.of(call).is_sampled)

    def test_debug(self) -> None:
        """What B3 has for debugging is sampled."""
        for headers in (
            {"b3": f"{TRACE_ID}-{SPAN_ID}-d"},
            {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-flags": "1"},
        ):
            self.assertTrue(self.of(headers).is_sampled)

    def test_left_to_us(self) -> None:
        """A client that speaks B3 may say nothing of sampling; then the ratio decides, by the id."""
        for headers in (
            {"b3": f"{TRACE_ID}-{SPAN_ID}"},
            {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID},
        ):
            sampled = [
                self.origins(ratio=ratio).of(call_with(headers)).is_sampled
                for ratio in (0.0, 0.5, 0.6, 1.0)
            ]
            self.assertEqual(sampled, [False, False, True, True])

    def test_denied(self) -> None:
        """A client that speaks B3 may want no trace without naming one, with an invocation or without."""
        for headers in ({"b3": "0"}, {"x-b3-sampled": "0"}):
            for more in ({}, {"invocation": str(uuid4())}):
                call = call_with({**headers, **more})
                self.assertFalse(self.origins().of(call).is_sampled)
                self.assertIs(self.origins().are_sampled(call), False)
        call = call_with({"b3": "0"})
        self.assertTrue(self.origins("tracecontext").of(call).is_sampled)

    def test_malformed_beside(self) -> None:
        """A header that names no trace does not decide for one that does, and leaves it to us."""
        call = call_with({"traceparent": "rubbish", "b3": f"{TRACE_ID}-{SPAN_ID}"})
        self.assertFalse(self.origins(ratio=0.0).of(call).is_sampled)

    def test_short_ids(self) -> None:
        """Traces of 64 bits, as B3 has them too, are continued."""
        origin = self.of({"b3": f"{SPAN_ID}-{SPAN_ID}-1"})
        self.assertEqual(origin.trace_id, int(SPAN_ID, 16))

    def test_trace_state(self) -> None:
        """What else the client's tracing systems keep in the headers is kept."""
        origin = self.of({**HEADERS["tracecontext"], "tracestate": "a=1,b=2"})
        self.assertEqual(origin.trace_state, {"a": "1", "b": "2"})

    def test_two_at_once(self) -> None:
        """Of two that a call carries, the one of the propagator that is named first counts."""
        both = {**HEADERS["tracecontext"], "tracestate": "a=1", "b3": f"{OTHER_ID}-{SPAN_ID}-0"}
        origin = self.of(both)
        self.assert_named(origin)
        self.assertEqual((origin.is_sampled, origin.trace_state), (True, {"a": "1"}))
        origin = self.of(both, "b3", "tracecontext")
        self.assertEqual(format(origin.trace_id, "032x"), OTHER_ID)

    def test_the_second_one(self) -> None:
        """If that is malformed, the other one counts."""
        self.assert_named(self.of({"traceparent": "00-what", **HEADERS["b3"]}))

    def test_before_the_invocation(self) -> None:
        """A trace that the client names goes before that of its build."""
        origin = self.of({**HEADERS["tracecontext"], "invocation": str(uuid4())})
        self.assert_named(origin)
        self.assertEqual(origin.invocation, "")


class MalformedTests(OriginsTestCase):
    def test_examples(self) -> None:
        """What names no trace begins a new one."""
        for headers in (
            {"traceparent": ""},
            {"traceparent": "00-what"},
            {"traceparent": f"00-{'0' * 32}-{SPAN_ID}-01"},
            {"traceparent": f"00-{TRACE_ID}-{'0' * 16}-01"},
            {"traceparent": f"ff-{TRACE_ID}-{SPAN_ID}-01"},
            {"traceparent": f"00-{TRACE_ID.upper()}-{SPAN_ID}-01"},
            {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01-more"},
            {"b3": ""},
            {"b3": "1"},
            {"b3": f"{'0' * 32}-{SPAN_ID}-1"},
            {"b3": f"{TRACE_ID}-{SPAN_ID}-1-2-3-4"},
            {"b3": f"{TRACE_ID}x-{SPAN_ID}"},
            {"x-b3-traceid": TRACE_ID},
            {"x-b3-spanid": SPAN_ID},
            {"x-b3-traceid": TRACE_ID, "x-b3-spanid": "x"},
            {"x-b3-sampled": "1"},
        ):
            self.assert_new(self.of(headers))

    def test_trace_state(self) -> None:
        """A malformed tracestate is left out; the trace is the client's all the same."""
        for state in (
            "=",
            "a",
            "A=1",
            "a=1,a=2",
            ",".join(f"k{n}=v" for n in range(99)),
            "a=" * 999,
        ):
            self.assert_named(self.of({**HEADERS["tracecontext"], "tracestate": state}))

    def test_no_word(self) -> None:
        """Nothing of it is in the log, which whoever calls could fill."""
        with self.assertNoLogs("opentelemetry", logging.DEBUG):
            self.of({**HEADERS["tracecontext"], "tracestate": "a=" * 999, "baggage": "ä" * 8_999})
            self.of({"traceparent": "0" * 999, "baggage": "what"})

    @given(
        st.dictionaries(
            st.sampled_from(
                ("traceparent", "tracestate", "baggage", "b3", *HEADERS["b3multi"], "x-b3-flags")
            ),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
            | st.lists(
                st.sampled_from((TRACE_ID, SPAN_ID, "00", "01", "ff", "d", "", "a=1", "ä", "%zz")),
                max_size=5,
            ).map("-".join),
        )
    )
    @settings(max_examples=150, deadline=None)
    def test_anything(self, headers: dict[str, str]) -> None:
        """Whatever the headers say, the call has an origin, and what it calls can be told of it."""
        recording = Recording(propagators=("tracecontext", "baggage", "b3", "b3multi"))
        root = recording.serve("t.T/Get", call_with(headers), recording.root().tallies, None)
        self.assertGreater(root.origin.trace_id, 0)
        self.assertLess(root.origin.trace_id, 1 << 128)
        for name, value in recording.outgoing(root):
            self.assertEqual(name, name.lower())
            assert isinstance(value, str)
            self.assertTrue(value.isascii() and value.isprintable(), value)


class InvocationTests(OriginsTestCase):
    """Calls of build tools, which do not trace."""

    def test_a_uuid(self) -> None:
        """The id of an invocation, if it is a UUID, is the number of the trace."""
        invocation = uuid4()
        origin = self.of({"invocation": str(invocation)})
        self.assertEqual(origin.trace_id, invocation.int)
        self.assertEqual((origin.parent_id, origin.invocation), (7, str(invocation)))

    def test_anything_else(self) -> None:
        """Of any other id the number is made, the same one each time."""
        for invocation in ("x", "build 7", "ä" * 300, str(uuid4())[:-1]):
            first, second = (self.of({"invocation": invocation}) for _ in range(2))
            self.assertEqual(first, second)
            self.assertNotEqual(first.trace_id, self.of({"invocation": "other"}).trace_id)

    def test_nil(self) -> None:
        """The UUID of zeros is the number of a trace, too, as far as it can be one."""
        self.assertEqual(self.of({"invocation": "0" * 32}).trace_id, 1)

    def test_malformed_headers(self) -> None:
        """A call whose headers name no trace is a part of its build."""
        origin = self.of({"traceparent": "00-what", "invocation": "x"})
        self.assertEqual(origin.invocation, "x")

    def test_sampling(self) -> None:
        """All calls of an invocation are sampled, or none; of all invocations as many as is wanted."""
        invocations = [str(uuid4()) for _ in range(2_000)]
        sampled = [
            {self.origins(ratio=0.5).of(call_with({"invocation": i})).is_sampled for _ in range(2)}
            for i in invocations
        ]
        self.assertNotIn({True, False}, sampled)
        self.assertLess(abs(sampled.count({True}) - 1_000), 150)


class NewTests(OriginsTestCase):
    def sampled(self, ratio: float) -> int:
        """How many of 2,000 new traces are sampled."""
        origins = self.origins(ratio=ratio)
        return sum(origins.new().is_sampled for _ in range(2_000))

    def test_each_its_own(self) -> None:
        """Calls of which nothing is known are traces of their own, also those with the same headers."""
        origins, call = self.origins(), call_with({})
        self.assertEqual(len({origins.of(call).trace_id for _ in range(100)}), 100)

    def test_ratio(self) -> None:
        """As many of them are sampled as is wanted: none, some, all."""
        self.assertEqual((self.sampled(0.0), self.sampled(1.0)), (0, 2_000))
        self.assertLess(abs(self.sampled(0.5) - 1_000), 150)
        self.assertLess(abs(self.sampled(0.1) - 200), 100)

    def test_by_the_id(self) -> None:
        """Whether one is follows from its number, so that others who go by it come to the same."""
        origins = self.origins(ratio=0.5)
        for origin in (origins.new() for _ in range(200)):
            self.assertEqual(origin.is_sampled, origin.trace_id % (1 << 64) < 1 << 63)

    def test_are_sampled(self) -> None:
        """It is known beforehand for all of them at once, if it is all or none."""
        answers = [
            self.origins(ratio=ratio).are_sampled(call_with({})) for ratio in (0.0, 0.5, 1.0)
        ]
        self.assertEqual(answers, [False, None, True])


class SharedTests(OriginsTestCase):
    def test_read_once(self) -> None:
        """Headers are read once for all calls that have the very same ones."""
        origins, call = self.origins(), call_with(HEADERS["tracecontext"])
        first = origins.of(call)
        call.headers.clear()
        self.assertIs(origins.of(call), first)

    def test_only_if_there_are_any(self) -> None:
        """Of a call without one of the headers none is looked at."""
        call = call_with({"invocation": "x"})
        asked: list[str] = []
        self.patch(call, "metadata", asked.append)
        self.origins().of(call)
        self.assertEqual(asked, ["invocation"])


class OutgoingTests(OriginsTestCase):
    def outgoing(
        self, headers: Mapping[str, str], *propagators: PropagatorName
    ) -> tuple[LocalRoot, dict[str, str | bytes]]:
        """A call with those headers, and those of what it calls."""
        recording = Recording(propagators=propagators or ALL)
        root = recording.serve("t.T/Get", call_with(headers), recording.root().tallies, None)
        told: Metadata = recording.outgoing(root)
        self.assertEqual(len(dict(told)), len(told))
        return root, dict(told)

    def test_each_propagator(self) -> None:
        """What is called is told of the client's trace, and of our span as its parent."""
        for name, headers in HEADERS.items():
            root, told = self.outgoing(headers, name)
            span_id = format(root.span_id, "016x")
            self.assertNotEqual(span_id, SPAN_ID)
            expected = {key: value.replace(SPAN_ID, span_id) for key, value in headers.items()}
            self.assertEqual(told, expected)

    def test_round_trip(self) -> None:
        """The other side comes to the same trace, by whichever of them."""
        for read in HEADERS:
            for written in HEADERS:
                root, told = self.outgoing(HEADERS[read], read, written)
                there = self.of({key: str(value) for key, value in told.items()}, written)
                self.assertEqual(there.trace_id, root.origin.trace_id)
                self.assertEqual(there.parent_id, root.span_id)

    def test_not_sampled(self) -> None:
        """It is told that the trace is not sampled."""
        root, told = self.outgoing({"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
        span_id = format(root.span_id, "016x")
        self.assertEqual(told["traceparent"], f"00-{TRACE_ID}-{span_id}-00")
        self.assertEqual(told["b3"], f"{TRACE_ID}-{span_id}-0")

    def test_trace_state_and_baggage(self) -> None:
        """What travels with the trace travels on."""
        _, told = self.outgoing(
            {**HEADERS["tracecontext"], "tracestate": "a=1,b=2", "baggage": "user=me,job=7"}
        )
        self.assertEqual(told["tracestate"], "a=1,b=2")
        self.assertEqual(told["baggage"], "user=me,job=7")

    def test_too_long(self) -> None:
        """A trace state or baggage that would take most of the room for metadata does not travel on."""
        short = {"tracestate": "a=" + "x" * 200, "baggage": "k=" + "x" * 1000}
        long = {
            "tracestate": ",".join(f"{key}=" + "x" * 250 for key in "abc"),
            "baggage": "k=" + "/" * 1000,  # three bytes each, as it is told
        }
        for more, expected in ((short, short), (long, {})):
            root = Recording().root(**HEADERS["tracecontext"], **more)
            told = dict(self.origins().outgoing(root))
            self.assertEqual({name: told[name] for name in more if name in told}, expected)
            self.assertIn("traceparent", told)

    def test_baggage_alone(self) -> None:
        """So does baggage without a trace, of a build and of a call of its own."""
        for more in ({}, {"invocation": "x"}):
            _, told = self.outgoing({"baggage": "user=me", **more})
            self.assertEqual(told["baggage"], "user=me")

    def test_no_baggage(self) -> None:
        """Baggage that is not to be read does not travel on."""
        _, told = self.outgoing({**HEADERS["tracecontext"], "baggage": "user=me"}, "tracecontext")
        self.assertEqual(set(told), {"traceparent"})

    def test_of_a_part(self) -> None:
        """The parent is the span that calls, not the call that it is for."""
        recording = Recording()
        part = recording.root().begin("part")
        told = dict(recording.outgoing(part))
        self.assertEqual(str(told["traceparent"])[36:52], format(part.span_id, "016x"))

    def test_none(self) -> None:
        """Without propagators nothing is told."""
        recording = Recording(propagators=())
        self.assertEqual(recording.outgoing(recording.root()), ())
