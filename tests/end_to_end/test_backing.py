"""What the daemon asks of a backing cache, and how: policies, freshness, credentials, metadata."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import grpc

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from tests.end_to_end.backing import Backing
from tests.end_to_end.certificates import Authority, Pair
from tests.end_to_end.client import Client, digest_of, read_name, write_name, write_requests
from tests.end_to_end.daemon import DaemonTestCase, eventually

BLOB = b"output" * 50_000
ACTION = digest_of(b"action")
REQUEST_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"


class BackingTestCase(DaemonTestCase):
    """Has a backing cache under its control."""

    def setUp(self) -> None:
        super().setUp()
        self.backing = Backing()
        self.addCleanup(self.backing.close)

    def start(self, target: str = "", **keys: str) -> Client:
        """A client of a new daemon.

        :param keys: of the section backing_cache.
        """
        variables = {f"GOREGO_BACKING_CACHE_{key.upper()}": text for key, text in keys.items()}
        variables.setdefault("GOREGO_BACKING_CACHE_TIMEOUT_SECONDS", "1")
        variables.setdefault("GOREGO_BACKING_CACHE_PUT_RETRY_COUNT", "0")
        self.daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=target or self.backing.target, **variables
        ).start()
        return self.connect(self.daemon)

    def update(self, client: Client, *outputs: bytes, code: int = 0) -> reapi.ActionResult:
        """Store an action result."""
        files = [
            reapi.OutputFile(path=f"out{n}", digest=digest_of(output))
            for n, output in enumerate(outputs)
        ]
        result = reapi.ActionResult(output_files=files, exit_code=code)
        request = reapi.UpdateActionResultRequest(action_digest=ACTION, action_result=result)
        client.action_cache.UpdateActionResult(request)
        return result

    def get(self, client: Client, instance: str = "") -> reapi.ActionResult:
        """The action result."""
        request = reapi.GetActionResultRequest(action_digest=ACTION, instance_name=instance)
        result: reapi.ActionResult = client.action_cache.GetActionResult(request)
        return result

    def code(self, call: object, *arguments: object) -> grpc.StatusCode:
        """What a call fails with."""
        assert callable(call)
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments)
        found: grpc.StatusCode = caught.exception.code()
        return found


class WritePolicyTests(BackingTestCase):
    """Each of the four."""

    def test_through(self) -> None:
        """The backing cache has everything, an action result after its outputs; without it writes fail."""
        client = self.start(write_policy="through")
        client.upload(BLOB)
        self.update(client, BLOB)
        self.assertEqual(self.backing.order, [digest_of(BLOB).hash, ACTION.hash])
        self.backing.close()
        self.assertEqual(self.code(client.upload, BLOB + b"x"), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.code(self.update, client, BLOB), grpc.StatusCode.UNAVAILABLE)

    def test_outputs_that_got_lost(self) -> None:
        """Outputs that the backing cache has evicted are sent again before the action result."""
        client = self.start(write_policy="through", presence_seconds="0")
        client.upload(BLOB)
        self.backing.blobs.clear()
        self.update(client, BLOB)
        self.assertEqual(self.backing.order[-2:], [digest_of(BLOB).hash, ACTION.hash])

    def test_back(self) -> None:
        """Writes are acknowledged while nobody answers, and get there later, in the right order."""
        client = self.start(write_policy="back")
        self.backing.script.hang.set()
        client.upload(BLOB)
        self.update(client, BLOB)
        self.assertEqual(self.get(client).output_files[0].path, "out0")
        self.backing.script.hang.clear()
        eventually(lambda: self.backing.results, "the action result is there")
        self.assertEqual(self.backing.order, [digest_of(BLOB).hash, ACTION.hash])

    def test_through_or_back(self) -> None:
        """Through while it answers, back while it does not."""
        client = self.start(write_policy="through_or_back")
        client.upload(BLOB)
        self.assertEqual(self.backing.order, [digest_of(BLOB).hash])
        self.backing.script.hang.set()
        other = BLOB + b"other"
        client.upload(other)
        self.update(client, other)
        self.backing.script.hang.clear()
        eventually(lambda: self.backing.results, "the action result is there")
        self.assertEqual(self.backing.order[1:], [digest_of(other).hash, ACTION.hash])

    def test_around(self) -> None:
        """Nothing is ever written; what is there is read."""
        client = self.start(write_policy="around")
        client.upload(BLOB)
        self.update(client, BLOB)
        there = self.backing.keep(b"there" * 50_000)
        self.assertEqual(client.read(read_name(there)), b"there" * 50_000)
        self.assertEqual(self.get(client).output_files[0].digest, digest_of(BLOB))
        self.assertEqual(self.backing.order, [])

    def test_concurrent_writes(self) -> None:
        """Of one blob that many write at once there is one upload, and wrong bytes are refused to their writer."""
        client = self.start(write_policy="through", timeout_seconds="10")
        go_on = threading.Event()

        def halfway() -> Iterator[object]:
            first, *rest = write_requests(write_name(digest_of(BLOB)), wrong_bytes, piece=150_000)
            yield first
            go_on.wait(10)
            yield from rest

        wrong_bytes = BLOB[:-1] + b"?"
        wrong = client.byte_stream.Write.future(halfway())
        time.sleep(0.2)
        self.backing.script.hang.set()
        writes = [client.byte_stream.Write.future(_write(BLOB, BLOB)) for _ in range(8)]
        eventually(lambda: self.backing.counts["Write"], "the upload has begun")
        go_on.set()
        self.assertEqual(self.code(wrong.result), grpc.StatusCode.INVALID_ARGUMENT)
        self.backing.script.hang.clear()
        for write in writes:
            self.assertEqual(write.result().committed_size, len(BLOB))
        self.assertEqual(self.backing.counts["Write"], 1)


class ActionResultTests(BackingTestCase):
    """What a local action result is worth."""

    def setUp(self) -> None:
        super().setUp()
        self.backing.keep(BLOB)

    def there(self, code: int) -> None:
        """The backing cache has another result."""
        self.backing.results[ACTION.hash] = reapi.ActionResult(
            output_files=[reapi.OutputFile(path="out0", digest=digest_of(BLOB))], exit_code=code
        )

    def test_local(self) -> None:
        """A local hit is final."""
        client = self.start()
        self.there(1)
        self.assertEqual(self.get(client).exit_code, 1)
        self.there(2)
        self.assertEqual(self.get(client).exit_code, 1)
        self.assertEqual(self.backing.counts["GetActionResult"], 1)

    def test_revalidate(self) -> None:
        """A local hit is answered, and what the backing cache has otherwise is the answer after that."""
        client = self.start(freshness="revalidate")
        self.there(1)
        self.get(client)
        self.there(2)
        self.assertEqual(self.get(client).exit_code, 1)
        eventually(lambda: self.get(client).exit_code == 2, "it is taken over")

    def test_strict(self) -> None:
        """For an instance name with that rule the backing cache is always asked."""
        client = self.start(freshness_by_instance_name="{release: strict}")
        for code in (1, 2):
            self.there(code)
            self.assertEqual(self.get(client, "release").exit_code, code)

    def test_incomplete(self) -> None:
        """A result whose outputs are in neither tier is absent."""
        client = self.start()
        self.there(1)
        self.backing.blobs.clear()
        self.assertEqual(self.code(self.get, client), grpc.StatusCode.NOT_FOUND)

    def test_down(self) -> None:
        """While the backing cache is down a result is absent, or unavailable where that is wanted."""
        self.backing.close()
        self.assertEqual(self.code(self.get, self.start()), grpc.StatusCode.NOT_FOUND)
        client = self.start(action_result_when_down="unavailable")
        self.assertEqual(self.code(self.get, client), grpc.StatusCode.UNAVAILABLE)


class MetadataTests(BackingTestCase):
    def test_what_travels_on(self) -> None:
        """The request metadata travels on, static headers are sent, and nothing else is."""
        client = self.start(headers="{x-api-key: secret}")
        metadata = ((REQUEST_METADATA, b"who and why"), ("authorization", "Bearer x"))
        client.byte_stream.Write(_write(BLOB, BLOB), metadata=metadata)
        (sent,) = [sent for method, sent in self.backing.metadata if method == "Write"]
        self.assertEqual((sent[REQUEST_METADATA], sent["x-api-key"]), (b"who and why", "secret"))
        self.assertNotIn("authorization", sent)

    def test_authorization(self) -> None:
        """Credentials travel on where that is wanted."""
        client = self.start(forward_headers="[authorization]")
        get = reapi.GetActionResultRequest(action_digest=ACTION)
        call = client.action_cache.GetActionResult
        with self.assertRaises(grpc.RpcError):
            call(get, metadata=(("authorization", "Bearer x"),))
        (sent,) = [sent for method, sent in self.backing.metadata if method == "GetActionResult"]
        self.assertEqual(sent["authorization"], "Bearer x")


class TLSTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = self.make_folder()
        self.authority = Authority(folder)
        self.stranger = Authority(folder, "stranger")
        server = self.authority.vouch_for("server")
        credentials = grpc.ssl_server_credentials(
            [(server.key.read_bytes(), server.cert.read_bytes())],
            root_certificates=self.authority.cert.read_bytes(),
            require_client_auth=True,
        )
        self.backing = Backing(credentials)
        self.addCleanup(self.backing.close)
        self.digest = self.backing.keep(BLOB)

    def start(self, authority: Authority, identity: Pair) -> Client:
        """A client of a daemon that trusts the authority and shows the identity."""
        daemon = self.make_daemon(
            GOREGO_BACKING_CACHE_TARGET=self.backing.target,
            GOREGO_BACKING_CACHE_PUT_RETRY_COUNT="0",
            GOREGO_BACKING_CACHE_TLS_CA_FILE=str(authority.cert),
            GOREGO_BACKING_CACHE_TLS_CERT_FILE=str(identity.cert),
            GOREGO_BACKING_CACHE_TLS_KEY_FILE=str(identity.key),
        )
        return self.connect(daemon.start())

    def test_both_known(self) -> None:
        """With certificates on both sides that are vouched for, blobs come."""
        client = self.start(self.authority, self.authority.vouch_for("client"))
        self.assertEqual(client.read(read_name(self.digest)), BLOB)

    def test_strangers(self) -> None:
        """Neither a server nor a client that nobody vouches for is talked to."""
        ours = self.authority.vouch_for("client")
        for authority, identity in (
            (self.stranger, ours),
            (self.authority, self.stranger.vouch_for("impostor")),
        ):
            client = self.start(authority, identity)
            with self.assertRaises(grpc.RpcError) as caught:
                client.read(read_name(self.digest))
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.backing.counts, {})


def _write(named: bytes, sent: bytes) -> object:
    """The messages of a Write of ``sent`` under the name of ``named``."""
    return write_requests(write_name(digest_of(named)), sent)
