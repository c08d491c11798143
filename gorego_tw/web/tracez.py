"""/tracez: the last slow and failed requests, each with what happened in it and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Request
from twisted.web.template import Tag, flattenString, tags

from gorego_tw.telemetry.kept import FAILED, SLOW_SECONDS, Kept, KeptRequest, bucket_of
from gorego_tw.telemetry.waterfall import waterfall
from gorego_tw.web.later import answer_later

#: Requests on one page.
_MOST = 16

_BUCKETS = (*map(bucket_of, SLOW_SECONDS), FAILED)

#: Stands in the page where the requests will: no method has it in its name.
_HERE = "\N{OBJECT REPLACEMENT CHARACTER}"

_APOLOGY = b"a request could not be shown; the log says why\n"

_STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; margin-bottom: 1em; }
th, td { padding: .15em .6em; text-align: left; border-bottom: 1px solid #ddd; }
td.number { text-align: right; }
.line { position: relative; height: 1.35em; white-space: nowrap; }
.bar { position: absolute; height: 1.1em; min-width: 2px; background: #9cc3e6; }
.error .bar { background: #e69c9c; }
.label { position: absolute; }
.facts { color: #555; }
"""


class Tracez(Resource):
    """A page, or JSON for who asks for it (``format=json``, or by the Accept header).

    ``method`` and ``bucket`` choose what is shown; without them it is the latest of all. Each request
    has a turn of the reactor for itself: all of them at once would hold up calls.
    """

    isLeaf = True

    def __init__(self, kept: Kept, clock: IReactorTime) -> None:
        super().__init__()
        self._kept = kept
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        """The requests asked for."""
        wants_json = _wants_json(request)
        content_type = "application/json" if wants_json else "text/html; charset=utf-8"
        request.setHeader("content-type", content_type)
        request.setHeader("cache-control", "no-store")
        chosen = self._chosen(_argument(request, b"method"), _argument(request, b"bucket"))
        page = self._json(chosen) if wants_json else self._html(chosen)
        return answer_later(request, page, "/tracez", _APOLOGY)

    async def _json(self, chosen: list[KeptRequest]) -> bytes:
        shown = []
        for kept in chosen:
            await deferLater(self._clock, 0)
            shown.append(json.dumps(waterfall(kept), indent=2))
        counts = json.dumps(self._counts(), indent=2)
        return f'{{"counts": {counts}, "requests": [{", ".join(shown)}]}}\n'.encode()

    async def _html(self, chosen: list[KeptRequest]) -> bytes:
        shown = []
        for kept in chosen:
            await deferLater(self._clock, 0)
            shown.append(await flattenString(None, _request(waterfall(kept))))
        head, tail = (await flattenString(None, self._page())).split(_HERE.encode())
        return b"".join((b"<!DOCTYPE html>\n", head, *shown, tail))

    def _chosen(self, method: str, bucket: str) -> list[KeptRequest]:
        """The latest first."""
        chosen = [
            kept
            for name, ring in self._kept.rings().items()
            for which, requests in ring.items()
            if method in {"", name} and bucket in {"", which}
            for kept in requests
        ]
        return sorted(chosen, key=lambda kept: -kept.started_ns)[:_MOST]

    def _counts(self) -> dict[str, dict[str, int]]:
        return {
            name: {bucket: len(ring[bucket]) for bucket in _BUCKETS if bucket in ring}
            for name, ring in sorted(self._kept.rings().items())
        }

    def _page(self) -> Tag:
        return tags.html(
            tags.head(tags.title("gorego: slow and failed requests"), tags.style(_STYLE)),
            tags.body(
                tags.h1("Slow and failed requests"),
                self._table(),
                _HERE,
            ),
            lang="en",
        )

    def _table(self) -> Tag:
        head = tags.tr(tags.th("method"), *(tags.th(bucket) for bucket in _BUCKETS))
        return tags.table(head, *self._rows())

    def _rows(self) -> Iterator[Tag]:
        for name, counts in self._counts().items():
            yield tags.tr(
                tags.td(tags.a(name, href=_link(name))),
                *(
                    tags.td(_count(name, bucket, counts.get(bucket, 0)), class_="number")
                    for bucket in _BUCKETS
                ),
            )


def _count(method: str, bucket: str, count: int) -> Tag | str:
    return tags.a(str(count), href=_link(method, bucket)) if count else ""


def _link(method: str, bucket: str = "") -> str:
    return "?" + urlencode({"method": method} | ({"bucket": bucket} if bucket else {}))


def _request(told: dict[str, Any]) -> Tag:
    whole = told["spans"][0]
    ended = max(span["begins_ms"] + span["takes_ms"] for span in told["spans"]) or 1.0
    return tags.div(
        tags.h3(f"{told['method']} {told['code']}: {whole['takes_ms']:g} ms"),
        tags.p(
            f"{told['started']}, trace {told['trace_id']}",
            "" if told["is_exported"] else " (not exported)",
        ),
        *(_line(span, ended) for span in told["spans"]),
        tags.hr(),
    )


def _line(span: dict[str, Any], whole_ms: float) -> Tag:
    left, width = 100 * span["begins_ms"] / whole_ms, 100 * span["takes_ms"] / whole_ms
    spent = ", ".join(f"{what} {ms:g} ms" for what, ms in span["spent_ms"].items())
    facts = ", ".join(f"{key.rpartition('.')[2]}={v}" for key, v in span["attributes"].items())
    words = (f"{span['takes_ms']:g} ms", spent, span["error"], facts)
    return tags.div(
        tags.div(class_="bar", style=f"left:{left:.2f}%;width:{width:.2f}%"),
        tags.div(
            tags.b(span["name"]),
            " ",
            tags.span(" | ".join(filter(None, words)), class_="facts"),
            class_="label",
            style=f"left:{span['depth']}em",
        ),
        class_="line error" if span["error"] else "line",
    )


def _argument(request: Request, name: bytes) -> str:
    values: list[bytes] = (request.args or {}).get(name, [b""])
    return values[0].decode("utf-8", "replace")


def _wants_json(request: Request) -> bool:
    accepted = request.getHeader("accept") or ""
    return _argument(request, b"format") == "json" or accepted.startswith("application/json")
