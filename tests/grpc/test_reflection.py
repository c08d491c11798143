"""Tests of gorego_tw.grpc.reflection."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.grpc.reflection import Reflection
from gorego_tw.grpc.router import IRPCService
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2
from gorego_tw.pb.grpc.health.v1 import health_pb2
from gorego_tw.pb.grpc.reflection.v1.reflection_pb2 import (
    ExtensionRequest,
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from tests.grpc.peer import Peer, serving

V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class ReflectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reflection = Reflection(["grpc.health.v1.Health"])
        self.peer = Peer(serving(self.reflection)[0])
        self.addCleanup(self.peer.lose)

    def ask(self, request: ServerReflectionRequest, path: str = V1) -> ServerReflectionResponse:
        (message,) = self.peer.call(path, request.SerializeToString()).messages
        return ServerReflectionResponse.FromString(message)

    def files(self, request: ServerReflectionRequest) -> list[str]:
        response = self.ask(request).file_descriptor_response
        return [FileDescriptorProto.FromString(d).name for d in response.file_descriptor_proto]

    def test_interface(self) -> None:
        """Reflection is a service."""
        verifyObject(IRPCService, self.reflection)

    def test_list_services(self) -> None:
        """The services given and reflection itself are listed, under both versions."""
        for path in (V1, V1ALPHA):
            response = self.ask(ServerReflectionRequest(list_services="*"), path)
            self.assertEqual(
                [service.name for service in response.list_services_response.service],
                [
                    "grpc.health.v1.Health",
                    "grpc.reflection.v1.ServerReflection",
                    "grpc.reflection.v1alpha.ServerReflection",
                ],
            )

    def test_symbol(self) -> None:
        """A service, a method and a message each lead to their file."""
        name = health_pb2.DESCRIPTOR.name
        for symbol in ("Health", "Health.Check", "HealthCheckRequest"):
            request = ServerReflectionRequest(file_containing_symbol=f"grpc.health.v1.{symbol}")
            self.assertEqual(self.files(request), [name])

    def test_filename_with_imports(self) -> None:
        """A file comes with everything it imports."""
        name = remote_execution_pb2.DESCRIPTOR.name
        files = self.files(ServerReflectionRequest(file_by_filename=name))
        self.assertEqual(files[0], name)
        self.assertIn("google/rpc/status.proto", files)

    def test_absent(self) -> None:
        """What is not there is an error in the answer, and the stream goes on."""
        response = self.ask(ServerReflectionRequest(file_containing_symbol="no.Such"))
        self.assertEqual(response.error_response.error_code, 5)
        self.assertEqual(response.original_request.file_containing_symbol, "no.Such")

    def test_nothing_asked(self) -> None:
        """A request that asks for nothing is INVALID_ARGUMENT."""
        self.assertEqual(self.ask(ServerReflectionRequest()).error_response.error_code, 3)

    def test_extensions(self) -> None:
        """Messages here have no extensions; unknown types are NOT_FOUND."""
        request = ServerReflectionRequest(
            all_extension_numbers_of_type="grpc.health.v1.HealthCheckRequest"
        )
        numbers = self.ask(request).all_extension_numbers_response
        self.assertEqual(numbers.base_type_name, "grpc.health.v1.HealthCheckRequest")
        self.assertEqual(list(numbers.extension_number), [])
        asked = ExtensionRequest(
            containing_type="grpc.health.v1.HealthCheckRequest", extension_number=7
        )
        response = self.ask(ServerReflectionRequest(file_containing_extension=asked))
        self.assertEqual(response.error_response.error_code, 5)
