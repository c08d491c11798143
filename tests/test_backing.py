"""Tests of gorego_tw.backing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from gorego_tw.backing import Backing, make_backing
from gorego_tw.config import load
from gorego_tw.digest import Digest
from gorego_tw.errors import NotFound, Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.lifecycle import StartError
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.reapi.limits import Limits
from gorego_tw.telemetry.span import COALESCED, UPSTREAM
from tests.end_to_end.certificates import Authority
from tests.storage.tiers import TierTestCase, blob, put, read
from tests.two_tiers import TwoTiersTestCase


class BackingTests(TierTestCase):
    def make(self, **keys: str) -> Backing | None:
        """What is behind the local tier with that configuration."""
        variables = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in keys.items()}
        reactor: Any = Clock()
        return make_backing(load(None, variables), self.tier, Limits(), reactor)

    def names(self, **keys: str) -> list[str]:
        """The services that run."""
        backing = self.make(**keys)
        assert backing is not None
        return [type(service).__name__ for service in backing.services()]

    def test_none(self) -> None:
        """Without a target there is nothing behind."""
        self.assertIsNone(self.make())

    def test_none_any_more(self) -> None:
        """What was acknowledged and waits is not forgotten in silence where there is no target any more."""
        backing = self.make(target="grpc://host:1", write_policy="back")
        assert backing is not None
        backing.pending.add_blob(self.put(10)[0])
        with capturedLogs() as events:
            self.assertIsNone(self.make())
        (text,) = map(formatEvent, events)
        self.assertIn("1 uploads wait that were acknowledged", text)

    def test_services(self) -> None:
        """The session begins, the queue and the renewal need it."""
        everything = ["Session", "Probe", "WriteBack", "Renewal"]
        for target in ("grpc://host:1", "unix:/socket", "http://host/prefix"):
            self.assertEqual(self.names(target=target), everything)

    def test_read_only(self) -> None:
        """What is only read has nothing uploaded; without a budget nothing is renewed."""
        names = self.names(target="grpc://host:1", write_policy="around", renewals_per_minute="0")
        self.assertEqual(names, ["Session", "Probe"])

    def test_read_only_with_a_queue(self) -> None:
        """What was acknowledged and waits is not forgotten in silence where nothing is sent any more."""
        backing = self.make(target="grpc://host:1", write_policy="back")
        assert backing is not None
        backing.pending.add_blob(self.put(10)[0])
        with capturedLogs() as events:
            self.names(target="grpc://host:1", write_policy="around")
        (text,) = map(formatEvent, events)
        self.assertIn("1 uploads wait that were acknowledged", text)

    def test_policies(self) -> None:
        """Each name of a policy is one."""
        found = set()
        for name in ("through", "back", "through_or_back", "around"):
            backing = self.make(target="grpc://host:1", write_policy=name)
            assert backing is not None
            found.add(type(backing.policy).__name__)
        self.assertEqual(found, {"Through", "Back", "ThroughOrBack", "Around"})

    def test_no_certificate(self) -> None:
        """A file that is not there, or is no certificate, stops the start, with its key."""
        for target in ("grpcs://host:1", "https://host"):
            with self.assertRaises(StartError) as caught:
                self.make(target=target, tls_ca_file="/nowhere")
            self.assertIn("/nowhere: No such file", str(caught.exception))
            self.assertIn("backing_cache.tls.ca_file", str(caught.exception))
        rubbish = Path(self.mktemp())
        rubbish.write_text("-----END CERTIFICATE-----")
        for target in ("grpcs://host:1", "https://host"):
            with self.assertRaises(StartError) as caught:
                self.make(target=target, tls_ca_file=str(rubbish.absolute()))
            self.assertIn("backing_cache.tls.ca_file", str(caught.exception))
            self.assertIn("allowed: a PEM file", str(caught.exception))

    def test_certificates_without_encryption(self) -> None:
        """Nobody is left to believe that a certificate keeps a target safe whose scheme encrypts nothing."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        path = str(Authority(folder).cert)
        for target, instead in (
            ("grpc://host:1", "; to grpcs:// they would be"),
            ("http://host", "; to https:// they would be"),
            ("unix:/socket", ""),
        ):
            with capturedLogs() as events:
                self.make(target=target, tls_ca_file=path)
            (text,) = map(formatEvent, events)
            self.assertIn(
                "BACKING_CACHE_TLS_CA_FILE (in the environment): backing_cache.tls.ca_file: ", text
            )
            self.assertTrue(text.endswith(f" are not encrypted{instead}"), text)

    def test_itself(self) -> None:
        """A daemon is no backing cache of its own: each miss would wait for itself."""
        with self.assertRaises(StartError) as caught:
            self.make(target="grpc://localhost:50051")
        self.assertIn("is this daemon itself", str(caught.exception))


class CountingTests(TwoTiersTestCase):
    """What is counted and recorded of requests that reach the backing cache."""

    def write(self, size_bytes: int) -> Deferred[None]:
        """Upload a blob, as ByteStream.Write does."""
        digest, data = blob(size_bytes)

        async def upload() -> None:
            upload = await self.backing.cache.uploads.open("name", digest)
            await upload.write(data)
            await upload.commit()

        return self.ask("Write", upload)

    def read(self, digest: Digest) -> Deferred[bytes]:
        """Read a blob, as ByteStream.Read does."""
        return self.ask("Read", lambda: read(self.backing.cache.blobs, digest))

    def test_write(self) -> None:
        """A write through is one of each tier, and one size."""
        self.successResultOf(self.write(1000))
        self.assertEqual(self.counted.requests("Write"), {"local hit": 1, "backing hit": 1})
        self.assertEqual(self.counted.answers("Write"), {"local": 1, "backing": 1})
        self.assertEqual(self.counted.sizes("Write"), {"": 1})

    def test_batch_update(self) -> None:
        """So is a blob of a batch."""
        digest, data = blob(1000)
        work = self.ask("BatchUpdateBlobs", lambda: put(self.backing.cache.blobs, digest, data))
        self.successResultOf(work)
        found = self.counted.requests("BatchUpdateBlobs")
        self.assertEqual(found, {"local hit": 1, "backing hit": 1})
        self.assertEqual(self.counted.sizes("BatchUpdateBlobs"), {"": 1})

    def test_write_is_recorded(self) -> None:
        """The copy is a request of its own, in the trace of what it is made for, with its write there."""
        self.successResultOf(self.write(1000))
        (copy,) = self.recording.exported.roots
        self.assertEqual(copy.name, "copy to the backing cache")
        self.assertIn("RemoteStore.Put", [span.name for span in copy.spans or ()])

    def test_write_fails(self) -> None:
        """A write that the backing cache does not take is its error."""
        self.remote.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.write(1000), Unavailable)
        self.assertEqual(self.counted.requests("Write"), {"local hit": 1, "backing error": 1})

    def test_writes_join(self) -> None:
        """Two writes of one blob at a time are one copy, which the second has joined."""
        self.remote.gate = Deferred()
        digest, data = blob(1000)
        writes = [
            self.ask("BatchUpdateBlobs", lambda: put(self.backing.cache.blobs, digest, data))
            for _ in range(2)
        ]
        self.remote.gate.callback(None)
        for write in writes:
            self.successResultOf(write)
        self.assertEqual(
            self.counted.requests("BatchUpdateBlobs"),
            {"local hit": 2, "backing hit": 1, "backing coalesced": 1},
        )

    def test_update_action_result(self) -> None:
        """An action result that goes through is one of each tier."""
        key = ActionKey("", blob(100)[0])
        result = StoredActionResult(b"x", ())
        results = self.backing.cache.action_results
        self.successResultOf(self.ask("UpdateActionResult", lambda: results.put(key, result)))
        found = self.counted.requests("UpdateActionResult")
        self.assertEqual(found, {"local hit": 1, "backing hit": 1})
        self.assertEqual(self.upstream.results, {key: b"x"})

    def test_get_action_result(self) -> None:
        """What is not here and is there is a miss here and a hit there, and no miss to the client."""
        key = ActionKey("", blob(100)[0])
        self.upstream.results[key] = b""
        results = self.backing.cache.action_results
        self.successResultOf(self.ask("GetActionResult", lambda: results.get(key)))
        found = self.counted.requests("GetActionResult")
        self.assertEqual(found, {"local miss": 1, "backing hit": 1})
        self.assertEqual(self.counted.misses("GetActionResult"), {})

    def test_read(self) -> None:
        """A blob that is fetched is a miss here and a hit there; then it is a hit here."""
        digest, data = blob(100_000)
        self.remote.blobs[digest] = data
        self.assertEqual(self.successResultOf(self.read(digest)), data)
        self.assertEqual(self.counted.requests("Read"), {"local miss": 1, "backing hit": 1})
        self.assertEqual(self.successResultOf(self.read(digest)), data)
        self.assertEqual(self.counted.requests("Read")["local hit"], 1)
        self.assertEqual(self.counted.sizes("Read"), {"": 2})

    def test_reads_join(self) -> None:
        """Who joins a fetch has joined it: the backing cache is asked once."""
        digest, data = blob(100_000)
        self.remote.blobs[digest] = data
        self.remote.gate = Deferred()
        reads = [self.read(digest) for _ in range(3)]
        self.remote.gate.callback(None)
        for work in reads:
            self.assertEqual(self.successResultOf(work), data)
        self.assertEqual(
            self.counted.requests("Read"),
            {"local miss": 3, "backing hit": 1, "backing coalesced": 2},
        )

    def test_joined_span(self) -> None:
        """The span of who joins is linked to that of the fetch, which is a part of neither's request."""
        digest, data = blob(100_000)
        self.remote.blobs[digest] = data
        self.remote.gate = Deferred()
        roots = [self.request("Read") for _ in range(2)]
        reads = [
            self.within(root, lambda: read(self.backing.cache.blobs, digest)) for root in roots
        ]
        self.recording.clock.advance(3)
        self.remote.gate.callback(None)
        for work in reads:
            self.successResultOf(work)
        (fetch,) = self.recording.exported.roots
        self.assertEqual(fetch.name, "fetch")
        self.assertEqual(fetch.origin.trace_id, roots[0].origin.trace_id)
        (wait,) = [s for s in roots[1].spans or () if s.name == "deduplicating request"]
        self.assertEqual(wait.details.links, [fetch.context])
        self.assertEqual(wait.details.spent, {COALESCED: 3})
        (wait,) = [s for s in roots[0].spans or () if s.name == "wait for the backing cache"]
        self.assertEqual(wait.details.spent, {UPSTREAM: 3})

    def test_nowhere(self) -> None:
        """What is in neither tier is a miss of both, and to the client."""
        digest = blob(100_000)[0]
        self.failureResultOf(self.read(digest), NotFound)
        self.assertEqual(self.counted.requests("Read"), {"local miss": 1, "backing miss": 1})
        self.assertEqual(self.counted.misses("Read"), {"absent": 1})

    def test_down(self) -> None:
        """Trouble is an error of the backing cache, and no miss of a blob; of an action result it is told
        as one, for that reason.
        """
        self.remote.failure = self.upstream.failure = Unavailable("backing cache: down")
        self.failureResultOf(self.read(blob(100_000)[0]), Unavailable)
        self.assertEqual(self.counted.requests("Read"), {"local miss": 1, "backing error": 1})
        self.assertEqual(self.counted.misses("Read"), {})
        results = self.backing.cache.action_results
        key = ActionKey("", blob(100)[0])
        self.failureResultOf(self.ask("GetActionResult", lambda: results.get(key)), NotFound)
        found = self.counted.requests("GetActionResult")
        self.assertEqual(found, {"local miss": 1, "backing error": 1})
        self.assertEqual(self.counted.misses("GetActionResult"), {"backing_down": 1})


class UpstreamResultTests(TwoTiersTestCase):
    """Action results of the backing cache, which somebody else has written there."""

    KEY = ActionKey("", blob(100)[0])

    def get(self, result: pb.ActionResult) -> Deferred[StoredActionResult]:
        """Ask for that one."""
        self.upstream.results[self.KEY] = result.SerializeToString()
        results = self.backing.cache.action_results
        return self.ask("GetActionResult", lambda: results.get(self.KEY))

    def test_inlined(self) -> None:
        """What is inlined in it becomes a blob here, and its digest stands in its place."""
        digest, data = blob(1000)
        result = self.successResultOf(self.get(pb.ActionResult(stdout_raw=data)))
        kept = pb.ActionResult.FromString(result.data)
        self.assertEqual((kept.stdout_raw, kept.stdout_digest.hash), (b"", digest.hash))
        self.assertEqual(result.references, (digest,))
        self.assertEqual(self.successResultOf(read(self.tier.blobs, digest)), data)

    def test_wrong_data(self) -> None:
        """One whose data is not what the digest beside it says is none, and nothing of it is kept."""
        digest, _ = blob(1000)
        message = pb.Digest(hash=digest.hash, size_bytes=1000)
        wrong = self.get(pb.ActionResult(stdout_raw=bytes(1000), stdout_digest=message))
        self.failureResultOf(wrong, NotFound)
        self.failureResultOf(self.tier.blobs.get(digest), NotFound)

    def test_too_large(self) -> None:
        """One that is too large to be told to clients is none."""
        result = pb.ActionResult()
        for n in range(50_000):
            result.output_symlinks.add(path=f"{n}" * 10, target="x" * 40)
        self.failureResultOf(self.get(result), NotFound)

    def test_back_again(self) -> None:
        """When the backing cache does not answer nothing is believed to be there, since nobody can have it,
        and when it answers again neither: it may be another one.
        """
        digest = blob(1000)[0]
        self.backing.presence.add([digest])
        for _ in range(5):
            self.backing.peer.breaker.failed(Unavailable("down"))
        self.assertNotIn(digest, self.backing.presence)
        self.backing.presence.add([digest])
        self.backing.peer.breaker.succeeded()
        self.assertNotIn(digest, self.backing.presence)
