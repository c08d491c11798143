"""Asking a resource as twisted.web would."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.test.requesthelper import DummyRequest


def get(resource: Resource, path: bytes = b"", **headers: str) -> DummyRequest:
    """The request for ``path`` below ``resource``, answered."""
    request = DummyRequest([path] if path else [])
    for name, value in headers.items():
        request.requestHeaders.setRawHeaders(name, [value])
    request.render(resource.getChildForRequest(request) if path else resource)
    return request


def header(request: DummyRequest, name: str) -> str | None:
    """The value of a header of the reply."""
    value: str | None = request.responseHeaders.getRawHeaders(name, [None])[0]
    return value


def body(request: DummyRequest) -> bytes:
    """The body of the reply."""
    return b"".join(request.written)
