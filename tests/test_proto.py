"""The wire protocols: the numbers that independent programs rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from gorego_tw.pb.build.bazel.semver import semver_pb2
from gorego_tw.pb.google.bytestream import bytestream_pb2
from gorego_tw.pb.grpc.health.v1 import health_pb2
from gorego_tw.pb.grpc.reflection.v1 import reflection_pb2
from gorego_tw.pb.grpc.reflection.v1alpha import reflection_pb2 as reflection_alpha_pb2

PROTO = Path(__file__).parent.parent / "proto"

FIELDS: Mapping[type[Message], str] = {
    reapi.Digest: "hash=1 size_bytes=2",
    reapi.Action: (
        "command_digest=1 input_root_digest=2 timeout=6 do_not_cache=7 salt=9 platform=10"
    ),
    reapi.Command: (
        "arguments=1 environment_variables=2 output_files=3 output_directories=4 platform=5 "
        "working_directory=6 output_paths=7 output_node_properties=8 output_directory_format=9"
    ),
    reapi.Directory: "files=1 directories=2 symlinks=3 node_properties=5",
    reapi.FileNode: "name=1 digest=2 is_executable=4 node_properties=6",
    reapi.DirectoryNode: "name=1 digest=2",
    reapi.SymlinkNode: "name=1 target=2 node_properties=4",
    reapi.NodeProperties: "properties=1 mtime=2 unix_mode=3",
    reapi.Tree: "root=1 children=2",
    reapi.ActionResult: (
        "output_files=2 output_directories=3 exit_code=4 stdout_raw=5 stdout_digest=6 "
        "stderr_raw=7 stderr_digest=8 execution_metadata=9 output_file_symlinks=10 "
        "output_directory_symlinks=11 output_symlinks=12"
    ),
    reapi.OutputFile: "path=1 digest=2 is_executable=4 contents=5 node_properties=7",
    reapi.OutputDirectory: (
        "path=1 tree_digest=3 is_topologically_sorted=4 root_directory_digest=5"
    ),
    reapi.OutputSymlink: "path=1 target=2 node_properties=4",
    reapi.ExecutedActionMetadata: (
        "worker=1 queued_timestamp=2 worker_start_timestamp=3 worker_completed_timestamp=4 "
        "input_fetch_start_timestamp=5 input_fetch_completed_timestamp=6 "
        "execution_start_timestamp=7 execution_completed_timestamp=8 "
        "output_upload_start_timestamp=9 output_upload_completed_timestamp=10 "
        "auxiliary_metadata=11 virtual_execution_duration=12"
    ),
    reapi.GetActionResultRequest: (
        "instance_name=1 action_digest=2 inline_stdout=3 inline_stderr=4 inline_output_files=5 "
        "digest_function=6"
    ),
    reapi.UpdateActionResultRequest: (
        "instance_name=1 action_digest=2 action_result=3 results_cache_policy=4 digest_function=5"
    ),
    reapi.FindMissingBlobsRequest: "instance_name=1 blob_digests=2 digest_function=3",
    reapi.FindMissingBlobsResponse: "missing_blob_digests=2",
    reapi.BatchUpdateBlobsRequest: "instance_name=1 requests=2 digest_function=5",
    reapi.BatchUpdateBlobsRequest.Request: "digest=1 data=2 compressor=3",
    reapi.BatchUpdateBlobsResponse: "responses=1",
    reapi.BatchUpdateBlobsResponse.Response: "digest=1 status=2",
    reapi.BatchReadBlobsRequest: (
        "instance_name=1 digests=2 acceptable_compressors=3 digest_function=4"
    ),
    reapi.BatchReadBlobsResponse: "responses=1",
    reapi.BatchReadBlobsResponse.Response: "digest=1 data=2 status=3 compressor=4",
    reapi.GetTreeRequest: (
        "instance_name=1 root_digest=2 page_size=3 page_token=4 digest_function=5"
    ),
    reapi.GetTreeResponse: "directories=1 next_page_token=2",
    reapi.GetCapabilitiesRequest: "instance_name=1",
    reapi.ServerCapabilities: (
        "cache_capabilities=1 execution_capabilities=2 deprecated_api_version=3 "
        "low_api_version=4 high_api_version=5"
    ),
    reapi.CacheCapabilities: (
        "digest_functions=1 action_cache_update_capabilities=2 cache_priority_capabilities=3 "
        "max_batch_total_size_bytes=4 symlink_absolute_path_strategy=5 supported_compressors=6 "
        "supported_batch_update_compressors=7 max_cas_blob_size_bytes=8"
    ),
    reapi.RequestMetadata: (
        "tool_details=1 action_id=2 tool_invocation_id=3 correlated_invocations_id=4 "
        "action_mnemonic=5 target_id=6 configuration_id=7"
    ),
    reapi.ToolDetails: "tool_name=1 tool_version=2",
    semver_pb2.SemVer: "major=1 minor=2 patch=3 prerelease=4",
    bytestream_pb2.ReadRequest: "resource_name=1 read_offset=2 read_limit=3",
    bytestream_pb2.ReadResponse: "data=10",
    bytestream_pb2.WriteRequest: ("resource_name=1 write_offset=2 finish_write=3 data=10"),
    bytestream_pb2.WriteResponse: "committed_size=1",
    bytestream_pb2.QueryWriteStatusRequest: "resource_name=1",
    bytestream_pb2.QueryWriteStatusResponse: "committed_size=1 complete=2",
    health_pb2.HealthCheckRequest: "service=1",
    health_pb2.HealthCheckResponse: "status=1",
    reflection_pb2.ServerReflectionRequest: (
        "host=1 file_by_filename=3 file_containing_symbol=4 file_containing_extension=5 "
        "all_extension_numbers_of_type=6 list_services=7"
    ),
    reflection_pb2.ServerReflectionResponse: (
        "valid_host=1 original_request=2 file_descriptor_response=4 "
        "all_extension_numbers_response=5 list_services_response=6 error_response=7"
    ),
}

VALUES: Mapping[Any, str] = {
    reapi.DigestFunction.Value.DESCRIPTOR: (
        "UNKNOWN=0 SHA256=1 SHA1=2 MD5=3 VSO=4 SHA384=5 SHA512=6 MURMUR3=7 SHA256TREE=8 BLAKE3=9"
    ),
    reapi.Compressor.Value.DESCRIPTOR: "IDENTITY=0 ZSTD=1 DEFLATE=2 BROTLI=3",
    reapi.SymlinkAbsolutePathStrategy.Value.DESCRIPTOR: "UNKNOWN=0 DISALLOWED=1 ALLOWED=2",
    health_pb2.HealthCheckResponse.ServingStatus.DESCRIPTOR: (
        "UNKNOWN=0 SERVING=1 NOT_SERVING=2 SERVICE_UNKNOWN=3"
    ),
}

METHODS = {
    "build.bazel.remote.execution.v2.ActionCache": "GetActionResult UpdateActionResult",
    "build.bazel.remote.execution.v2.ContentAddressableStorage": (
        "FindMissingBlobs BatchUpdateBlobs BatchReadBlobs GetTree"
    ),
    "build.bazel.remote.execution.v2.Capabilities": "GetCapabilities",
    "google.bytestream.ByteStream": "Read Write QueryWriteStatus",
    "grpc.health.v1.Health": "Check Watch List",
    "grpc.reflection.v1.ServerReflection": "ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection": "ServerReflectionInfo",
}

FILES = (reapi, bytestream_pb2, health_pb2, reflection_pb2, reflection_alpha_pb2)


class NumberTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """Every field has the number it has in the public protocol."""
        for message, expected in FIELDS.items():
            with self.subTest(message.DESCRIPTOR.full_name):
                by_number = message.DESCRIPTOR.fields_by_number
                numbers = " ".join(f"{by_number[n].name}={n}" for n in sorted(by_number))
                self.assertEqual(numbers, expected)

    def test_enumerations(self) -> None:
        """Every value of an enumeration has its number."""
        for enum, expected in VALUES.items():
            with self.subTest(enum.full_name):
                self.assertEqual(
                    " ".join(f"{value.name}={value.number}" for value in enum.values), expected
                )

    def test_both_versions_of_reflection_are_one_protocol(self) -> None:
        """v1 and v1alpha differ in the name of the package only."""
        for name, message in reflection_pb2.DESCRIPTOR.message_types_by_name.items():
            alpha = reflection_alpha_pb2.DESCRIPTOR.message_types_by_name[name]
            self.assertEqual(
                [(field.name, field.number, field.type) for field in message.fields],
                [(field.name, field.number, field.type) for field in alpha.fields],
            )

    def test_services(self) -> None:
        """Packages, services and methods have their public names."""
        services = {
            service.full_name: " ".join(method.name for method in service.methods)
            for module in FILES
            for service in module.DESCRIPTOR.services_by_name.values()
        }
        self.assertEqual(services, METHODS)


class CompilationTests(SynchronousTestCase):
    def test_anyone_can_compile_them(self) -> None:
        """``protoc -I proto`` takes every file, and each lies where its package says."""
        names = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
        for name in names:
            package = Path(name).parent.as_posix().replace("/", ".")
            self.assertIn(f"\npackage {package};\n", (PROTO / name).read_text(encoding="utf-8"))
        out = self.mktemp()
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"]
        subprocess.run([*command, f"--descriptor_set_out={out}", *names], check=True)
