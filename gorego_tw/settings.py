"""The settings: what can be configured, what each value may be, what it is if nothing is said.

The description of a field says what is allowed; it is what an operator reads who wrote
something else. What a key is for is told in etc/config.yaml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gorego_tw.errors import InvalidArgument
from gorego_tw.listen_address import ALLOWED, endpoint_description
from gorego_tw.remote.target import ALLOWED as TARGETS
from gorego_tw.remote.target import parse_target
from gorego_tw.resource_name import check_instance_name
from gorego_tw.telemetry.log import FormName, LevelName
from gorego_tw.telemetry.origins import PropagatorName

#: Bytes of a gigabyte, as ``max_size_gb`` counts.
GB = 1_000_000_000

#: Less than that no cache can be kept in, in gigabytes: the index alone frees four megabytes between two
#: checkpoints, and takes them anew, and a single output of a build may be as large.
LEAST_SIZE_GB = 0.01

#: What travels on to the backing cache if nothing is said: who calls and why, under its name and the one
#: that Pants still uses.
REQUEST_METADATA = (
    "build.bazel.remote.execution.v2.requestmetadata-bin",
    "google.devtools.remoteexecution.v1test.requestmetadata-bin",
)

#: For how long a client may count on what it was told is there, in seconds, if nothing is said: as
#: long as Bazel does (--experimental_remote_cache_ttl).
MIN_AGE_SECONDS = 3 * 3600

#: What may be a header's name (RFC 9110 section 5.1): no pseudo-header, no blank.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: A reply or a batch of the size that is advertised must fit with what is around it, in bytes.
LEAST_MESSAGE_BYTES = 4 * 1024 * 1024


def default_folder() -> str:
    """The cache folder of this user (XDG Base Directory Specification: a relative path is ignored)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    caches = Path(home) if home.startswith("/") else Path("~/.cache").expanduser()
    return str(caches / "gorego")


def _absolute(path: str) -> str:
    """``path`` made independent of the current folder, which twistd may leave."""
    if not path or "\0" in path:
        raise ValueError("not a path")
    return str(Path(path).expanduser().absolute())


def _listenable(address: str) -> str:
    endpoint_description(address)
    return address


def _listenable_or_empty(address: str) -> str:
    return _listenable(address) if address else address


def _target_or_empty(target: str) -> str:
    if target:
        parse_target(target)
    return target


def _instance_name(name: str) -> str:
    try:
        return check_instance_name(name)
    except InvalidArgument as error:
        raise ValueError(error.message) from None


def _name(name: str) -> str:
    """A name as it is on the wire, which HTTP/2 wants in lower case."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is not the name of a header")
    return name.lower()


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_name, names))


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name.lower().endswith("-bin"):
            raise ValueError(f"{name[:80]!r} is a header of bytes; allowed: headers of text")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name[:80]!r} has a value that is no printable ASCII text")
    return {_name(name): value for name, value in headers.items()}


FreshnessName = Literal["local", "revalidate", "strict"]
Folder = Annotated[str, AfterValidator(_absolute)]
ListenAddress = Annotated[str, AfterValidator(_listenable)]
File = Field(default="", description="the path of a PEM file, or nothing")


class Section(BaseModel):
    """A part of the configuration. A section without a key under it is as good as none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, given: Any) -> Any:
        return {} if given is None else given


class LocalCache(Section):
    """The local tier."""

    dir: Folder = Field(default_factory=default_folder, description="the path of a folder")
    max_size_gb: Annotated[float, Field(ge=LEAST_SIZE_GB)] | None = Field(
        default=None,
        description=f"a number from {LEAST_SIZE_GB} on, in gigabytes of 1,000,000,000 bytes",
    )
    checkpoint_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=30, description="a number of seconds from 1 to 3600"
    )
    scrub_bytes_per_second: Annotated[int, Field(ge=0)] = Field(
        default=0, description="a whole number of bytes; 0 is no scrub"
    )
    min_age_seconds: Annotated[float, Field(ge=0, le=604800)] = Field(
        default=MIN_AGE_SECONDS, description="a number of seconds from 0 to 604800"
    )
    compression: Literal["none", "zstd"] = Field(default="none", description="none or zstd")


class ClientTLS(Section):
    """Who the backing cache must be, and who we are to it."""

    ca_file: str = File
    cert_file: str = File
    key_file: str = File

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        return self


class BackingCache(Section):
    """The cache behind this one."""

    target: Annotated[str, AfterValidator(_target_or_empty)] = Field(
        default="", description=f"{TARGETS}, or nothing"
    )
    instance_name: Annotated[str, AfterValidator(_instance_name)] = Field(
        default="", description="a name, with slashes if need be, or nothing"
    )
    headers: Annotated[Mapping[str, str], AfterValidator(_headers)] = Field(
        default_factory=dict, description="names of headers, each with a text"
    )
    forward_headers: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_names)] = (
        Field(default=REQUEST_METADATA, description="a list of names of headers")
    )
    connections: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="a whole number from 1 to 64"
    )
    compression: Literal["none", "zstd"] = Field(default="none", description="none or zstd")
    tls: ClientTLS = ClientTLS()
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60, description="a number of seconds above 0, up to 3600"
    )
    put_retry_count: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, description="a whole number from 0 to 100"
    )
    write_policy: Literal["through", "back", "through_or_back", "around"] = Field(
        default="through", description="through, back, through_or_back or around"
    )
    write_back_max_entries: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=100_000, description="a whole number from 1 to 10000000"
    )
    max_backing_blob_size_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0, description="a whole number of bytes; 0 is no limit"
    )
    fetch_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10, description="a number of seconds from 0 to 3600"
    )
    presence_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=60, description="a number of seconds from 0 to 86400"
    )
    renewals_per_minute: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        default=6000, description="a whole number from 0 (none) to 10000000"
    )
    action_result_when_down: Literal["not_found", "unavailable"] = Field(
        default="not_found", description="not_found or unavailable"
    )
    freshness: FreshnessName = Field(default="local", description="local, revalidate or strict")
    freshness_by_instance_name: Mapping[str, FreshnessName] = Field(
        default_factory=dict,
        description="instance names, each with local, revalidate or strict",
    )


class ServerTLS(Section):
    """Who we are to the clients, and who they must be."""

    cert_file: str = File
    key_file: str = File
    client_ca_file: str = File

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        if self.client_ca_file and not self.cert_file:
            raise ValueError("client_ca_file needs cert_file and key_file")
        return self


class Telemetry(Section):
    """What is told to the operators, and where."""

    metrics_addr: Annotated[str, AfterValidator(_listenable_or_empty)] = Field(
        default="127.0.0.1:9090", description=f"{ALLOWED}, or nothing"
    )
    tracing_endpoint: Annotated[str, Field(pattern=r"^((https?://)?[^\s/:@]+(:\d{1,5})?/?)?$")] = (
        Field(
            default="", description="host:port, http://host:port or https://host:port, or nothing"
        )
    )
    log_level: LevelName = Field(default="info", description="debug, info, warn or error")
    log_format: FormName = Field(default="auto", description="auto, json or text")
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="a number from 0 to 1"
    )
    propagators: Annotated[tuple[PropagatorName, ...], Field(strict=False)] = Field(
        default=("tracecontext", "baggage", "b3"),
        description="a list of tracecontext, baggage, b3 and b3multi",
    )
    access_log_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="a number from 0 to 1"
    )
    readiness_requires_backing: bool = Field(default=False, description="true or false")
    debug_peers: Literal["loopback", "any"] = Field(
        default="loopback", description="loopback or any"
    )


class Settings(Section):
    """All of it."""

    listen_addr: ListenAddress = Field(default="127.0.0.1:50051", description=ALLOWED)
    local_cache: LocalCache = Field(default_factory=lambda: LocalCache())  # noqa: PLW0108 - for mypy
    force_update_atime: bool = Field(default=False, description="true or false")
    max_blob_size_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0, description="a whole number of bytes; 0 is no limit but that of the cache"
    )
    max_message_bytes: Annotated[int, Field(ge=LEAST_MESSAGE_BYTES, le=1 << 30)] = Field(
        default=16 * 1024 * 1024,
        description=f"a whole number of bytes from {LEAST_MESSAGE_BYTES} to {1 << 30}",
    )
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=30, description="a number of seconds from 0 to 86400"
    )
    backing_cache: BackingCache = BackingCache()
    tls: ServerTLS = ServerTLS()
    telemetry: Telemetry = Telemetry()
