"""What an operator wants to know of a call: its attributes, made when somebody looks at them."""

from __future__ import annotations

from typing import Any, cast

from gorego_tw.errors import StatusError
from gorego_tw.grpc.router import Call
from gorego_tw.pb.build.bazel.remote.execution.v2.remote_execution_pb2 import RequestMetadata
from gorego_tw.reapi.request_metadata import request_metadata
from gorego_tw.resource_name import parse_read_name, parse_write_name
from gorego_tw.telemetry.origins import Carrier
from gorego_tw.telemetry.span import LocalRoot, Value

#: What a client says of itself is repeated up to so many characters.
_MOST = 256


def facts(root: LocalRoot) -> dict[str, Value]:
    """The attributes of a call: those of OpenTelemetry's conventions for RPC, and those of REAPI."""
    call = cast(Call, root.call)
    service, _, method = root.name.partition("/")
    told: dict[str, Value] = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "network.peer.address": call.peer,
    }
    if root.subject is not None:
        told |= _of_request(root.subject)
    return told | _of_metadata(request_metadata(call))


def invocation_of(call: Carrier) -> str:
    """The id of the tool's invocation that a call is a part of, "" if it does not say."""
    return request_metadata(cast(Call, call)).tool_invocation_id[:_MOST]


def _of_request(request: Any) -> dict[str, Value]:
    if isinstance(request, str):
        return _of_resource(request)
    name = getattr(request, "resource_name", None)
    if name is not None:
        return _of_resource(name)
    told: dict[str, Value] = {}
    if (instance_name := getattr(request, "instance_name", None)) is not None:
        told["reapi.instance_name"] = instance_name[:_MOST]
    for field in ("action_digest", "root_digest"):
        if (digest := getattr(request, field, None)) is not None:
            told |= _of_digest(digest.hash, digest.size_bytes)
    for field in ("blob_digests", "digests", "requests"):
        if (many := getattr(request, field, None)) is not None:
            told["reapi.digests"] = len(many)
            if len(many) == 1:
                one = getattr(many[0], "digest", many[0])
                told |= _of_digest(one.hash, one.size_bytes)
    return told


def _of_digest(digest: str, size_bytes: int) -> dict[str, Value]:
    return {"reapi.digest.hash": digest[:_MOST], "reapi.digest.size_bytes": size_bytes}


def _of_resource(name: str) -> dict[str, Value]:
    try:
        parsed = parse_write_name(name) if "/uploads/" in f"/{name}" else parse_read_name(name)
    except StatusError:
        return {"reapi.resource_name": name[:_MOST]}
    return {
        "reapi.instance_name": parsed.instance_name[:_MOST],
        "reapi.compressor": parsed.compressor.name.lower(),
        **_of_digest(parsed.digest.hash, parsed.digest.size_bytes),
    }


def _of_metadata(metadata: RequestMetadata) -> dict[str, Value]:
    told = {
        "reapi.tool.name": metadata.tool_details.tool_name,
        "reapi.tool.version": metadata.tool_details.tool_version,
        "reapi.tool_invocation_id": metadata.tool_invocation_id,
        "reapi.correlated_invocations_id": metadata.correlated_invocations_id,
        "reapi.action_id": metadata.action_id,
        "reapi.action_mnemonic": metadata.action_mnemonic,
        "reapi.target_id": metadata.target_id,
    }
    return {key: value[:_MOST] for key, value in told.items() if value}
