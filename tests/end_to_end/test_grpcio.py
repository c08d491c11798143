"""Every RPC, driven by grpcio's synchronous stubs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import grpc
import zstandard
from blake3 import blake3

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.google.bytestream import bytestream_pb2 as bytestream
from gorego_tw.pb.grpc.health.v1 import health_pb2
from gorego_tw.pb.grpc.reflection.v1 import reflection_pb2
from gorego_tw.pb.grpc.reflection.v1.reflection_pb2_grpc import (
    ServerReflectionStub,
)
from gorego_tw.pb.grpc.reflection.v1alpha import reflection_pb2 as reflection_alpha_pb2
from gorego_tw.pb.grpc.reflection.v1alpha.reflection_pb2_grpc import (
    ServerReflectionStub as AlphaServerReflectionStub,
)
from tests.end_to_end.client import (
    MIB,
    Client,
    digest_of,
    read_name,
    write_name,
    write_requests,
)
from tests.end_to_end.daemon import DaemonTestCase, SharedDaemonTestCase

SERVICES = {
    "build.bazel.remote.execution.v2.ActionCache",
    "build.bazel.remote.execution.v2.Capabilities",
    "build.bazel.remote.execution.v2.ContentAddressableStorage",
    "google.bytestream.ByteStream",
    "grpc.health.v1.Health",
}


class CapabilitiesTests(SharedDaemonTestCase):
    """Capabilities."""

    def test_true_figures(self) -> None:
        """The capabilities name what the daemon then does, for old and new clients."""
        answer = self.client.capabilities.GetCapabilities(reapi.GetCapabilitiesRequest())
        cache = answer.cache_capabilities
        self.assertLessEqual((answer.low_api_version.major, answer.low_api_version.minor), (2, 0))
        self.assertGreaterEqual(
            (answer.high_api_version.major, answer.high_api_version.minor), (2, 3)
        )
        self.assertTrue(cache.action_cache_update_capabilities.update_enabled)
        self.assertIn(reapi.DigestFunction.SHA256, cache.digest_functions)
        self.assertIn(reapi.DigestFunction.BLAKE3, cache.digest_functions)
        self.assertNotIn(reapi.DigestFunction.UNKNOWN, cache.digest_functions)
        self.assertIn(reapi.Compressor.ZSTD, cache.supported_compressors)
        self.assertIn(reapi.Compressor.ZSTD, cache.supported_batch_update_compressors)
        self.assertGreater(cache.max_batch_total_size_bytes, 3 * MIB)
        self.assertLess(cache.max_batch_total_size_bytes, 4 * MIB)
        self.assertFalse(answer.execution_capabilities.exec_enabled)


class ContentAddressableStorageTests(SharedDaemonTestCase):
    """ContentAddressableStorage."""

    def test_find_missing_blobs(self) -> None:
        """What was uploaded, and the empty blob, are not missing; anything else is."""
        (here,) = self.client.batch_update(b"here")
        absent = digest_of(b"absent")
        self.assertEqual(self.client.find_missing([here, absent, digest_of(b"")]), [absent])

    def test_batch_update_then_batch_read(self) -> None:
        """Blobs uploaded in a batch come back in a batch, each with its own status."""
        digests = self.client.batch_update(b"one", b"two" * 10_000)
        absent = digest_of(b"never uploaded")
        answer = self.client.cas.BatchReadBlobs(
            reapi.BatchReadBlobsRequest(digests=[*digests, absent])
        )
        got = {item.digest.hash: (item.status.code, item.data) for item in answer.responses}
        self.assertEqual(
            got,
            {
                digests[0].hash: (0, b"one"),
                digests[1].hash: (0, b"two" * 10_000),
                absent.hash: (grpc.StatusCode.NOT_FOUND.value[0], b""),
            },
        )

    def test_one_bad_blob_does_not_fail_a_batch(self) -> None:
        """Data that is not what its digest says is refused alone, and is not stored."""
        good, wrong = digest_of(b"good"), digest_of(b"right")
        update = reapi.BatchUpdateBlobsRequest.Request
        answer = self.client.cas.BatchUpdateBlobs(
            reapi.BatchUpdateBlobsRequest(
                requests=[update(digest=good, data=b"good"), update(digest=wrong, data=b"wrong")]
            )
        )
        codes = {item.digest.hash: item.status.code for item in answer.responses}
        self.assertEqual(codes, {good.hash: 0, wrong.hash: 3})
        self.assertEqual(self.client.find_missing([good, wrong]), [wrong])

    def test_zstd_batches(self) -> None:
        """Blobs travel compressed in batches, both ways, under the digest of what they contain."""
        data = b"compressible " * 5_000
        digest = digest_of(data)
        request = reapi.BatchUpdateBlobsRequest.Request(
            digest=digest,
            data=zstandard.compress(data),
            compressor=reapi.Compressor.ZSTD,
        )
        self.client.cas.BatchUpdateBlobs(reapi.BatchUpdateBlobsRequest(requests=[request]))
        (item,) = self.client.cas.BatchReadBlobs(
            reapi.BatchReadBlobsRequest(
                digests=[digest], acceptable_compressors=[reapi.Compressor.ZSTD]
            )
        ).responses
        self.assertEqual(item.status.code, 0)
        if item.compressor == reapi.Compressor.ZSTD:
            self.assertLess(len(item.data), len(data))
            self.assertEqual(decompressed(item.data), data)
        else:
            self.assertEqual(item.data, data)
        self.assertEqual(self.client.read(read_name(digest)), data)

    def test_get_tree_in_pages(self) -> None:
        """GetTree brings every directory of a tree once, through as many pages as it takes."""
        leaves = [
            reapi.Directory(files=[reapi.FileNode(name=f"f{n}", digest=digest_of(b"%d" % n))])
            for n in range(20)
        ]
        blobs = [leaf.SerializeToString(deterministic=True) for leaf in leaves]
        root = reapi.Directory(
            directories=[
                reapi.DirectoryNode(name=f"d{n:02}", digest=digest_of(blob))
                for n, blob in enumerate(blobs)
            ]
        )
        *_, root_digest = self.client.batch_update(
            *blobs, root.SerializeToString(deterministic=True)
        )
        request = reapi.GetTreeRequest(root_digest=root_digest, page_size=6)
        got = []
        while True:
            for page in self.client.cas.GetTree(request):
                got.extend(page.directories)
                request.page_token = page.next_page_token
            if not request.page_token:
                break
        key = reapi.Directory.SerializeToString
        self.assertEqual(got[0], root)
        self.assertEqual(sorted(got, key=key), sorted([root, *leaves], key=key))


class ActionCacheTests(SharedDaemonTestCase):
    """ActionCache."""

    def test_update_then_get(self) -> None:
        """An action result comes back under its action, and is absent before."""
        (output,) = self.client.batch_update(b"output")
        result = reapi.ActionResult(
            output_files=[reapi.OutputFile(path="out", digest=output)], exit_code=0
        )
        key = reapi.GetActionResultRequest(action_digest=digest_of(b"an action"))
        with self.assertRaises(grpc.RpcError) as absent:
            self.client.action_cache.GetActionResult(key)
        self.assertEqual(absent.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(action_digest=key.action_digest, action_result=result)
        )
        self.assertEqual(self.client.action_cache.GetActionResult(key), result)

    def test_incomplete_is_absent(self) -> None:
        """An action result whose output was never uploaded is NOT_FOUND."""
        action = digest_of(b"incomplete")
        lost = reapi.OutputFile(path="out", digest=digest_of(b"nobody uploads this"))
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(
                action_digest=action, action_result=reapi.ActionResult(output_files=[lost])
            )
        )
        with self.assertRaises(grpc.RpcError) as absent:
            self.client.action_cache.GetActionResult(
                reapi.GetActionResultRequest(action_digest=action)
            )
        self.assertEqual(absent.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_instance_names_keep_results_apart(self) -> None:
        """A result stored under one instance name is not seen under another one."""
        action = digest_of(b"apart")
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(
                instance_name="a/b",
                action_digest=action,
                action_result=reapi.ActionResult(exit_code=7),
            )
        )
        get = self.client.action_cache.GetActionResult
        found = get(reapi.GetActionResultRequest(instance_name="a/b", action_digest=action))
        self.assertEqual(found.exit_code, 7)
        for other in ("", "a", "a/b/c"):
            with self.assertRaises(grpc.RpcError) as absent:
                get(reapi.GetActionResultRequest(instance_name=other, action_digest=action))
            self.assertEqual(absent.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_inlining_on_request(self) -> None:
        """stdout, stderr and files asked for are inside the result; their digests stay."""
        stdout, stderr, wanted, other = self.client.batch_update(b"OUT", b"ERR", b"F", b"G")
        action = digest_of(b"inlined")
        self.client.action_cache.UpdateActionResult(
            reapi.UpdateActionResultRequest(
                action_digest=action,
                action_result=reapi.ActionResult(
                    stdout_digest=stdout,
                    stderr_digest=stderr,
                    output_files=[
                        reapi.OutputFile(path="wanted", digest=wanted),
                        reapi.OutputFile(path="other", digest=other),
                    ],
                ),
            )
        )
        result = self.client.action_cache.GetActionResult(
            reapi.GetActionResultRequest(
                action_digest=action,
                inline_stdout=True,
                inline_stderr=True,
                inline_output_files=["wanted"],
            )
        )
        self.assertEqual((result.stdout_raw, result.stderr_raw), (b"OUT", b"ERR"))
        self.assertEqual((result.stdout_digest, result.stderr_digest), (stdout, stderr))
        contents = {file.path: file.contents for file in result.output_files}
        self.assertEqual(contents, {"wanted": b"F", "other": b""})


class ByteStreamTests(SharedDaemonTestCase):
    """ByteStream."""

    def test_write_then_read(self) -> None:
        """Blobs from nothing to many megabytes come back as they were, under any instance name."""
        for size in (0, 1, 1000, 70_000, 5 * MIB + 17):
            data = os.urandom(size)
            digest = digest_of(data)
            answer = self.client.byte_stream.Write(
                write_requests(write_name(digest, "some/instance"), data)
            )
            self.assertEqual(answer.committed_size, size)
            self.assertEqual(self.client.read(read_name(digest, "another")), data)
            self.assertEqual(self.client.find_missing([digest]), [])

    def test_read_a_part(self) -> None:
        """read_offset and read_limit give that part, and no error where the blob is shorter."""
        data = os.urandom(3 * MIB)
        name = read_name(self.client.upload(data))
        self.assertEqual(self.client.read(name, 100), data[100:])
        self.assertEqual(self.client.read(name, MIB - 1, 2), data[MIB - 1 : MIB + 1])
        self.assertEqual(self.client.read(name, len(data) - 5, 100), data[-5:])
        self.assertEqual(self.client.read(name, len(data)), b"")

    def test_write_of_a_blob_that_exists(self) -> None:
        """A Write of a known blob is answered with its whole size, without waiting for its data."""
        digest = self.client.upload(os.urandom(100_000))
        held_back = threading.Event()
        self.addCleanup(held_back.set)

        def first_message_only() -> Iterator[bytestream.WriteRequest]:
            yield from write_requests(write_name(digest), b"", finish=False)
            held_back.wait()

        answer = self.client.byte_stream.Write(first_message_only())
        self.assertEqual(answer.committed_size, digest.size_bytes)

    def test_query_write_status(self) -> None:
        """A whole blob is complete; an upload never heard of holds nothing."""
        digest = self.client.upload(b"whole")
        self.assertEqual(self.client.committed_size(write_name(digest)), (5, True))
        unknown = write_name(digest_of(b"unknown"))
        self.assertEqual(self.client.committed_size(unknown), (0, False))

    def test_zstd(self) -> None:
        """A blob written compressed is read plain and compressed, from any offset."""
        data = b"".join(b"line %d\n" % n for n in range(200_000))
        digest = digest_of(data)
        kind = "compressed-blobs/zstd"
        compressed = zstandard.compress(data)
        answer = self.client.byte_stream.Write(
            write_requests(write_name(digest, kind=kind), compressed, piece=10_000)
        )
        self.assertIn(answer.committed_size, {len(compressed), len(data), -1})
        self.assertEqual(self.client.read(read_name(digest)), data)
        self.assertEqual(decompressed(self.client.read(read_name(digest, kind=kind))), data)
        rest = self.client.read(read_name(digest, kind=kind), 1_234_567)
        self.assertEqual(decompressed(rest), data[1_234_567:])

    def test_blake3(self) -> None:
        """A blob may be named by its BLAKE3 hash, which is not a SHA-256 hash."""
        data = os.urandom(10_000)
        digest = reapi.Digest(hash=blake3(data).hexdigest(), size_bytes=len(data))
        name = write_name(digest, kind="blobs/blake3")
        self.client.byte_stream.Write(write_requests(name, data))
        self.assertEqual(self.client.read(read_name(digest, kind="blobs/blake3")), data)
        self.assertEqual(self.client.find_missing([digest]), [digest])


class HealthTests(SharedDaemonTestCase):
    """grpc.health.v1.Health."""

    def test_check(self) -> None:
        """The server and each of its services are SERVING; another name is NOT_FOUND."""
        for service in ("", *sorted(SERVICES - {"grpc.health.v1.Health"})):
            answer = self.client.health.Check(health_pb2.HealthCheckRequest(service=service))
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING, service)
        with self.assertRaises(grpc.RpcError) as unknown:
            self.client.health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
        self.assertEqual(unknown.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_watch(self) -> None:
        """Watch tells the status at once, and SERVICE_UNKNOWN for a name it has not."""
        known = self.client.health.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(known).status, health_pb2.HealthCheckResponse.SERVING)
        known.cancel()
        other = self.client.health.Watch(health_pb2.HealthCheckRequest(service="no.such"))
        self.assertEqual(next(other).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        other.cancel()


class ReflectionTests(SharedDaemonTestCase):
    """grpc.reflection."""

    def test_v1(self) -> None:
        """grpc.reflection.v1 lists every service, and has the files that declare them."""
        stub = ServerReflectionStub(self.client.channel)
        request = reflection_pb2.ServerReflectionRequest
        answers = stub.ServerReflectionInfo(
            iter(
                [
                    request(list_services=""),
                    request(file_containing_symbol="google.bytestream.ByteStream"),
                    request(file_containing_symbol="no.such.Symbol"),
                ]
            )
        )
        listed, file, absent = list(answers)
        self.assertLessEqual(SERVICES, {s.name for s in listed.list_services_response.service})
        self.assertTrue(file.file_descriptor_response.file_descriptor_proto)
        self.assertEqual(absent.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])

    def test_v1alpha(self) -> None:
        """The older name of the service, that most tools ask for first, answers the same."""
        stub = AlphaServerReflectionStub(self.client.channel)
        request = reflection_alpha_pb2.ServerReflectionRequest(list_services="")
        (listed,) = stub.ServerReflectionInfo(iter([request]))
        self.assertLessEqual(SERVICES, {s.name for s in listed.list_services_response.service})


class UnixSocketTests(DaemonTestCase):
    """The daemon on a unix socket."""

    def test_unix_socket(self) -> None:
        """Blobs and action results travel over unix:/path as over TCP."""
        daemon = self.make_daemon()
        daemon.listen_addr = f"unix:{daemon.folder}/socket"
        daemon.start()
        client: Client = self.connect(daemon)
        data = os.urandom(2 * MIB)
        digest = client.upload(data)
        self.assertEqual(client.read(read_name(digest)), data)
        request = reapi.UpdateActionResultRequest(
            action_digest=digest_of(b"action"),
            action_result=reapi.ActionResult(
                output_files=[reapi.OutputFile(path="o", digest=digest)]
            ),
        )
        client.action_cache.UpdateActionResult(request)
        got = client.action_cache.GetActionResult(
            reapi.GetActionResultRequest(action_digest=request.action_digest)
        )
        self.assertEqual(got, request.action_result)
        daemon.stop()
        self.assertFalse((daemon.folder / "socket").exists())


def decompressed(data: bytes) -> bytes:
    """All frames of ``data``."""
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
