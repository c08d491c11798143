"""grpc.reflection: what services there are and how their messages look, for clients without .proto files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from zope.interface import implementer

from gorego_tw.errors import InvalidArgument, NotFound, StatusError
from gorego_tw.grpc.router import Call, IRPCService, Method, bidirectional
from gorego_tw.pb.grpc.reflection.v1.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

# Imported so that the descriptors of the older version are there to be asked for.
from gorego_tw.pb.grpc.reflection.v1alpha import reflection_pb2 as _v1alpha

#: The two versions have the same messages on the wire and differ in nothing but the package.
SERVICES = (
    "grpc.reflection.v1.ServerReflection",
    f"{_v1alpha.DESCRIPTOR.package}.ServerReflection",
)


@implementer(IRPCService)
class Reflection:
    """Answers from the descriptors that the generated modules brought with them.

    :param service_names: the services to list (``package.Service``), beside reflection itself.
    """

    def __init__(self, service_names: Iterable[str]) -> None:
        self._services = sorted({*service_names, *SERVICES})
        self._pool = descriptor_pool.Default()
        self._answers: Mapping[
            str, Callable[[ServerReflectionRequest], ServerReflectionResponse]
        ] = {
            "list_services": self._list_services,
            "file_by_filename": self._file_by_filename,
            "file_containing_symbol": self._file_containing_symbol,
            "file_containing_extension": self._file_containing_extension,
            "all_extension_numbers_of_type": self._extension_numbers,
        }

    def methods(self) -> Mapping[str, Method]:
        """ServerReflectionInfo, under both versions."""
        method = bidirectional(ServerReflectionRequest, self.server_reflection_info)
        return {f"/{service}/ServerReflectionInfo": method for service in SERVICES}

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], call: Call
    ) -> AsyncIterator[ServerReflectionResponse]:
        """One answer to each request; a failure is an answer too (reflection.proto, ErrorResponse)."""
        async for request in requests:
            try:
                response = self._answer(request)
            except StatusError as error:
                response = ServerReflectionResponse(
                    error_response=ErrorResponse(error_code=error.code, error_message=error.message)
                )
            response.valid_host = request.host
            response.original_request.CopyFrom(request)
            yield response

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        kind = request.WhichOneof("message_request")
        if kind is None:
            raise InvalidArgument("reflection: the request asks for nothing")
        try:
            return self._answers[kind](request)
        except KeyError as error:
            raise NotFound(f"reflection: {error.args[0]}") from None

    def _list_services(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        listed = [ServiceResponse(name=name) for name in self._services]
        return ServerReflectionResponse(list_services_response=ListServiceResponse(service=listed))

    def _file_by_filename(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        return _files(self._pool.FindFileByName(request.file_by_filename))

    def _file_containing_symbol(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        symbol = request.file_containing_symbol
        try:
            return _files(self._pool.FindFileContainingSymbol(symbol))
        except KeyError:
            # The pool does not know methods by name; their service is in the same file.
            return _files(self._pool.FindServiceByName(symbol.rpartition(".")[0]).file)

    def _file_containing_extension(
        self, request: ServerReflectionRequest
    ) -> ServerReflectionResponse:
        asked = request.file_containing_extension
        extended = self._pool.FindMessageTypeByName(asked.containing_type)
        extension = self._pool.FindExtensionByNumber(extended, asked.extension_number)
        return _files(self._pool.FindFileContainingSymbol(extension.full_name))

    def _extension_numbers(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        name = request.all_extension_numbers_of_type
        extended = self._pool.FindMessageTypeByName(name)
        numbers = [field.number for field in self._pool.FindAllExtensions(extended)]
        return ServerReflectionResponse(
            all_extension_numbers_response=ExtensionNumberResponse(
                base_type_name=name, extension_number=numbers
            )
        )


def _files(file: FileDescriptor) -> ServerReflectionResponse:
    """``file`` and all it imports, each once, what is asked for first."""
    found: dict[str, FileDescriptor] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one
            waiting.extend(one.dependencies)
    return ServerReflectionResponse(
        file_descriptor_response=FileDescriptorResponse(
            file_descriptor_proto=[one.serialized_pb for one in found.values()]
        )
    )
