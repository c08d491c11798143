"""What an import brings to a cache: what is small several in a message, for a call takes a millisecond."""

from __future__ import annotations

from collections import Counter

from gorego_tw.command import archive
from gorego_tw.command.blobs import PIECE_BYTES, send_blob
from gorego_tw.command.connection import Connection, Refused
from gorego_tw.command.digests import text_of
from gorego_tw.command.printing import tell
from gorego_tw.errors import Code
from gorego_tw.pb.gorego.control.v1 import control_pb2 as pb
from gorego_tw.storage.records import entry_name

#: Blobs of up to that many bytes are sent together with others.
SMALL_BYTES = 64 << 10

#: How much is in one message, in bytes and in entries. What is refused is told of after each.
_MESSAGE_BYTES = 1 << 20
_MESSAGE_ENTRIES = 256

#: What ends an import: it is said of everything that follows, too.
_HOPELESS = (Code.UNAVAILABLE,)


class Bringing:
    """Brings blobs and action results, in their order.

    :param as_json: whether what is refused is told to a program.
    :ivar counts: how many were kept (``blobs``, ``action_results``), were there (``existed``), or were
        ``refused``, which is told on standard error.
    """

    def __init__(self, connection: Connection, *, as_json: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._connection = connection
        self._as_json = as_json
        self._waiting = pb.WriteSeveralRequest()
        self._waiting_bytes = 0

    def take(self, subject: pb.BlobName | bytes, size_bytes: int, data: archive.Data) -> None:
        """Bring that, now or with others later.

        :param subject: the name of a blob, or the key of an action result.
        :raises Refused: nothing more will be kept.
        """
        if isinstance(subject, bytes):
            if size_bytes > archive.MOST_RESULT_BYTES:
                message = f"{size_bytes} bytes; allowed: {archive.MOST_RESULT_BYTES} at most"
                self._refused(subject, Refused(Code.RESOURCE_EXHAUSTED, message))
                return
            self._make_room(size_bytes)
            self._waiting.results.add(key=subject, value=data.read())
        elif size_bytes <= SMALL_BYTES:
            self._make_room(size_bytes)
            self._waiting.blobs.add(name=subject, data=data.read())
        else:
            self._take_large(subject, data)

    def send(self) -> None:
        """Bring what waits.

        :raises Refused: as :meth:`take`.
        """
        request, self._waiting = self._waiting, pb.WriteSeveralRequest()
        self._waiting_bytes = 0
        subjects: list[pb.BlobName | bytes] = [blob.name for blob in request.blobs]
        subjects += [result.key for result in request.results]
        if not subjects:
            return
        answer = self._connection.ask("WriteSeveral", request, pb.WriteSeveralResponse)
        for subject, outcome in zip(subjects, answer.outcomes, strict=True):
            if outcome.code:
                self._refused(subject, Refused(Code(outcome.code), outcome.message))
            else:
                self._kept(subject, existed=outcome.existed)

    def _make_room(self, size_bytes: int) -> None:
        entries = len(self._waiting.blobs) + len(self._waiting.results)
        if entries >= _MESSAGE_ENTRIES or self._waiting_bytes + size_bytes > _MESSAGE_BYTES:
            self.send()
        self._waiting_bytes += size_bytes

    def _take_large(self, name: pb.BlobName, data: archive.Data) -> None:
        pieces = iter(lambda: data.read(PIECE_BYTES), b"")
        try:
            existed = send_blob(self._connection, name, pieces)
        except Refused as error:
            self._refused(name, error)
        else:
            self._kept(name, existed=existed)

    def _kept(self, subject: pb.BlobName | bytes, *, existed: bool) -> None:
        kind = "action_results" if isinstance(subject, bytes) else "blobs"
        self.counts["existed" if existed else kind] += 1

    def _refused(self, subject: pb.BlobName | bytes, error: Refused) -> None:
        if error.code in _HOPELESS:
            raise error
        self.counts["refused"] += 1
        shown = entry_name(subject) if isinstance(subject, bytes) else text_of(subject)
        tell(
            f"refused: {shown}: {error.message}",
            {"entry": shown, "reason": error.message},
            as_json=self._as_json,
            err=True,
        )
