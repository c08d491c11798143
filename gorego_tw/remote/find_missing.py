"""ContentAddressableStorage.FindMissingBlobs, for all who ask at the same time."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorTime

from gorego_tw.concurrency import first_failure
from gorego_tw.digest import Digest, DigestFunction
from gorego_tw.forwarding import Metadata
from gorego_tw.pb.build.bazel.remote.execution.v2 import remote_execution_pb2 as pb
from gorego_tw.remote.batching import Batcher
from gorego_tw.remote.digests import message_of
from gorego_tw.remote.link import FIND_MISSING_BLOBS, Link

#: How many digests one call asks for. A SHA-512 digest takes 145 bytes, so request and reply stay
#: below 1.5 MB, where gRPC libraries take 4 MiB.
MOST_DIGESTS = 10_000


class FindMissing:
    """Asks which blobs are absent.

    :param instance_name: of the backing cache.
    """

    def __init__(self, link: Link, instance_name: str, clock: IReactorTime) -> None:
        self._link = link
        self._instance_name = instance_name
        self._batcher: Batcher[tuple[Digest, ...], frozenset[Digest]] = Batcher(
            self._send, weigh=len, most=lambda: MOST_DIGESTS, clock=clock
        )

    async def __call__(self, digests: Collection[Digest]) -> list[Digest]:
        """Those that are absent, in their order, each once."""
        by_function: dict[DigestFunction, dict[Digest, None]] = {}
        for digest in digests:
            by_function.setdefault(digest.function, {})[digest] = None
        answers = [
            self._batcher.ask(part, function)
            for function, asked in by_function.items()
            for part in _parts(tuple(asked))
        ]
        with first_failure():
            missing = frozenset(chain(*await gatherResults(answers, consumeErrors=True)))
        return [digest for digest in dict.fromkeys(digests) if digest in missing]

    async def _send(
        self, questions: list[tuple[Digest, ...]], metadata: Metadata
    ) -> list[frozenset[Digest]]:
        asked = {(d.hash, d.size_bytes): d for d in dict.fromkeys(chain(*questions))}
        function = questions[0][0].function
        request = pb.FindMissingBlobsRequest(
            instance_name=self._instance_name,
            blob_digests=map(message_of, asked.values()),
            digest_function=function.name,
        )
        reply = await self._link.unary(FIND_MISSING_BLOBS, request, metadata=metadata)
        named = (asked.get((m.hash, m.size_bytes)) for m in reply.missing_blob_digests)
        missing = frozenset(digest for digest in named if digest is not None)
        return [missing.intersection(question) for question in questions]


def _parts(digests: tuple[Digest, ...]) -> list[tuple[Digest, ...]]:
    starts = range(0, len(digests), MOST_DIGESTS)
    return [digests[start : start + MOST_DIGESTS] for start in starts]
