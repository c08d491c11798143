"""What every store has to do, whatever it is: one class of tests for each interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gorego_tw.body import BytesBody
from gorego_tw.digest import DigestFunction, empty_digest
from gorego_tw.errors import Aborted, DigestMismatch, NotFound, Unavailable
from gorego_tw.interfaces import (
    ActionKey,
    IActionResults,
    IBlobAccess,
    IBlobBody,
    IUpload,
    IUploads,
    StoredActionResult,
)
from tests.storage.tiers import SIZES, PiecesBody, blob, in_pieces, put, read

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class BlobAccessContract(Case):
    """A store of blobs.

    :ivar store: an empty one, made by setUp.
    """

    store: IBlobAccess

    def test_interface(self) -> None:
        """It has the methods of a store of blobs."""
        verifyObject(IBlobAccess, self.store)

    def test_absent(self) -> None:
        """A blob nobody put is not found."""
        self.failureResultOf(self.store.get(blob(10)[0]), NotFound)

    def test_put_and_read(self) -> None:
        """A blob of any size, under any digest function, comes back as it was put."""
        for function in DigestFunction:
            for size_bytes in SIZES:
                digest, data = blob(size_bytes, function=function)
                self.successResultOf(self.store.put(digest, in_pieces(data)))
                self.assertEqual(self.successResultOf(read(self.store, digest)), data)

    def test_body(self) -> None:
        """What is got is a body of the right size."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            self.successResultOf(put(self.store, digest, data))
            body = self.successResultOf(self.store.get(digest))
            verifyObject(IBlobBody, body)
            self.assertEqual(body.size_bytes, size_bytes)
            body.discard()

    def test_read_all(self) -> None:
        """A body can be read in one go."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            self.successResultOf(put(self.store, digest, data))
            body = self.successResultOf(self.store.get(digest))
            self.assertEqual(self.successResultOf(body.read_all()), data)

    def test_part(self) -> None:
        """A body can be read from any offset to any other, its end included."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            self.successResultOf(put(self.store, digest, data))
            for offset in (0, 1, size_bytes // 2, size_bytes - 1, size_bytes):
                for end in (None, size_bytes, offset, min(offset + 10, size_bytes)):
                    part = self.successResultOf(read(self.store, digest, offset, end))
                    self.assertEqual(part, data[offset:end])

    def test_other_function(self) -> None:
        """The same hash under another function is another blob."""
        digest, data = blob(100)
        self.successResultOf(put(self.store, digest, data))
        other = digest._replace(key=bytes([DigestFunction.BLAKE3]) + digest.key[1:])
        self.failureResultOf(self.store.get(other), NotFound)
        self.assertEqual(self.successResultOf(self.store.find_missing([other])), [other])

    def test_other_size(self) -> None:
        """The same hash with another size is another blob, which cannot exist."""
        digest, data = blob(100)
        self.successResultOf(put(self.store, digest, data))
        other = digest._replace(size_bytes=99)
        self.failureResultOf(self.store.get(other), NotFound)
        self.assertEqual(self.successResultOf(self.store.find_missing([other])), [other])

    def test_find_missing(self) -> None:
        """Those that are absent are named in the order asked for, each once."""
        present, data = blob(10)
        large, large_data = blob(10_000)
        self.successResultOf(put(self.store, present, data))
        self.successResultOf(put(self.store, large, large_data))
        first, second = blob(11)[0], blob(12)[0]
        asked = [second, present, first, large, second, present]
        self.assertEqual(self.successResultOf(self.store.find_missing(asked)), [second, first])
        self.assertEqual(self.successResultOf(self.store.find_missing([])), [])

    def test_wrong_hash(self) -> None:
        """Data with another hash is refused, and nothing is kept."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            body = in_pieces(bytes([data[0] ^ 1]) + data[1:])
            self.failureResultOf(self.store.put(digest, body), DigestMismatch)
            self.assertTrue(body.closed)
            self.assertEqual(self.successResultOf(self.store.find_missing([digest])), [digest])

    def test_wrong_size(self) -> None:
        """A body that says that it has another size is refused."""
        digest, data = blob(10_000)
        body = in_pieces(data + b"x")
        self.failureResultOf(self.store.put(digest, body), DigestMismatch)
        self.assertTrue(body.closed)
        self.assertEqual(self.successResultOf(self.store.find_missing([digest])), [digest])

    def test_lying_body(self) -> None:
        """A body that has fewer or more bytes than it says is refused."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            for lie in (data[:-1], data + b"x"):
                body = PiecesBody(size_bytes, lie)
                self.failureResultOf(self.store.put(digest, body), DigestMismatch)
                self.assertTrue(body.closed)
            self.assertEqual(self.successResultOf(self.store.find_missing([digest])), [digest])

    def test_failing_body(self) -> None:
        """The failure of a body is the failure of the put, and nothing is kept."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            body = PiecesBody(size_bytes, data[:-1], error=Unavailable("gone"))
            self.failureResultOf(self.store.put(digest, body), Unavailable)
            self.assertTrue(body.closed)
            self.assertEqual(self.successResultOf(self.store.find_missing([digest])), [digest])

    def test_put_again(self) -> None:
        """What is there already may be put again, and is verified again."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            self.successResultOf(put(self.store, digest, data))
            self.successResultOf(put(self.store, digest, data))
            wrong = BytesBody(bytes([data[0] ^ 1]) + data[1:])
            self.failureResultOf(self.store.put(digest, wrong), DigestMismatch)
            self.assertEqual(self.successResultOf(read(self.store, digest)), data)

    def test_pieces_in_the_same_memory(self) -> None:
        """A piece is used before the next is asked for."""
        digest, data = blob(30_000)
        memory = bytearray(10_000)

        class Reusing(PiecesBody):
            async def chunks(
                self, offset: int = 0, end: int | None = None
            ) -> AsyncIterator[bytes | memoryview]:
                for start in range(offset, 30_000, 10_000):
                    memory[:] = data[start : start + 10_000]
                    yield memoryview(memory)

        body = Reusing(30_000)
        self.successResultOf(self.store.put(digest, body))
        self.assertEqual(self.successResultOf(read(self.store, digest)), data)


class EmptyBlobContract(BlobAccessContract):
    """A store in which the empty blob always exists."""

    def test_empty_blob_exists(self) -> None:
        """It is there, and of no bytes, in every digest function."""
        for function in DigestFunction:
            digest = empty_digest(function)
            self.assertEqual(self.successResultOf(read(self.store, digest)), b"")
            body = self.successResultOf(self.store.get(digest))
            self.assertEqual(self.successResultOf(body.read_all()), b"")
            self.assertEqual(self.successResultOf(self.store.find_missing([digest])), [])

    def test_empty_blob_can_be_put(self) -> None:
        """To put it changes nothing."""
        self.successResultOf(put(self.store, empty_digest(DigestFunction.SHA256), b""))

    def test_empty_blob_has_one_hash(self) -> None:
        """No bytes under another hash are refused and never found."""
        wrong = blob(5)[0]._replace(size_bytes=0)
        self.failureResultOf(put(self.store, wrong, b""), DigestMismatch)
        self.failureResultOf(self.store.get(wrong), NotFound)
        self.assertEqual(self.successResultOf(self.store.find_missing([wrong])), [wrong])

    def test_empty_digest_with_data(self) -> None:
        """The empty blob has no bytes."""
        body = in_pieces(b"x")
        put_ = self.store.put(empty_digest(DigestFunction.SHA256), body)
        self.failureResultOf(put_, DigestMismatch)
        self.assertTrue(body.closed)


class ActionResultsContract(Case):
    """A store of action results.

    :ivar results: an empty one, made by setUp.
    """

    results: IActionResults

    def key(self, instance_name: str = "", seed: int = 0) -> ActionKey:
        """The name of an action result."""
        return ActionKey(instance_name, blob(100, seed)[0])

    def test_interface(self) -> None:
        """It has the methods of a store of action results."""
        verifyObject(IActionResults, self.results)

    def test_absent(self) -> None:
        """A result nobody put is not found."""
        self.failureResultOf(self.results.get(self.key()), NotFound)

    def test_put_and_get(self) -> None:
        """A result comes back as it was put, with what it refers to in any digest function."""
        references = tuple(blob(n, function=f)[0] for f in DigestFunction for n in (1, 5000))
        for data in (b"", b"result", blob(100_000)[1]):
            for chosen in ((), references[:1], references, references * 300):
                result = StoredActionResult(data, chosen)
                self.successResultOf(self.results.put(self.key(), result))
                self.assertEqual(self.successResultOf(self.results.get(self.key())), result)

    def test_instance_names(self) -> None:
        """Results of two instance names never meet."""
        names = ("", "a", "a/b", "b", "ä")
        for name in names:
            result = StoredActionResult(name.encode(), ())
            self.successResultOf(self.results.put(self.key(name), result))
        for name in names:
            result = self.successResultOf(self.results.get(self.key(name)))
            self.assertEqual(result.data, name.encode())

    def test_actions(self) -> None:
        """Results of two actions never meet, also of the same hash with another size."""
        self.successResultOf(self.results.put(self.key(), StoredActionResult(b"one", ())))
        self.failureResultOf(self.results.get(self.key(seed=1)), NotFound)
        key = self.key()
        other = key._replace(action=key.action._replace(size_bytes=1))
        self.failureResultOf(self.results.get(other), NotFound)


class UploadsContract(Case):
    """Uploads by name.

    :ivar uploads: none, made by setUp.
    :ivar store: where those go that are whole.
    """

    uploads: IUploads
    store: IBlobAccess

    def begin(self, size_bytes: int, name: str = "name") -> tuple[IUpload, bytes]:
        """An upload of such a blob, and its bytes."""
        digest, data = blob(size_bytes)
        return self.successResultOf(self.uploads.open(name, digest)), data

    def size(self, name: str = "name") -> int:
        """How much of an upload is held."""
        return int(self.successResultOf(self.uploads.committed_size(name)))

    def missing(self, size_bytes: int) -> bool:
        """Whether the store does not have such a blob."""
        return bool(self.successResultOf(self.store.find_missing([blob(size_bytes)[0]])))

    def test_interface(self) -> None:
        """It has the methods of uploads."""
        verifyObject(IUploads, self.uploads)
        verifyObject(IUpload, self.begin(10)[0])

    def test_unheard_of(self) -> None:
        """Of an upload nobody began there is nothing."""
        self.assertEqual(self.size(), 0)

    def test_write_and_commit(self) -> None:
        """A blob that came in pieces is in the store when it is committed, and not before."""
        for size_bytes in SIZES:
            upload, data = self.begin(size_bytes)
            for start in range(0, size_bytes, 70_001):
                self.assertEqual(upload.committed_size, start)
                self.successResultOf(upload.write(data[start : start + 70_001]))
            self.assertEqual((upload.committed_size, self.size()), (size_bytes, size_bytes))
            self.assertTrue(self.missing(size_bytes))
            self.successResultOf(upload.commit())
            self.assertEqual(self.successResultOf(read(self.store, blob(size_bytes)[0])), data)
            self.assertEqual(self.size(), 0)

    def test_resume(self) -> None:
        """What was suspended is gone on with to the byte."""
        for size_bytes in SIZES:
            for stop in (0, 1, size_bytes // 2, size_bytes - 1, size_bytes):
                name = f"{size_bytes} {stop}"
                upload, data = self.begin(size_bytes, name)
                self.successResultOf(upload.write(data[:stop]))
                self.successResultOf(upload.suspend())
                self.assertEqual(self.size(name), stop)
                upload, _ = self.begin(size_bytes, name)
                self.assertEqual(upload.committed_size, stop)
                self.successResultOf(upload.write(data[stop:]))
                self.successResultOf(upload.commit())
                self.assertEqual(self.successResultOf(read(self.store, blob(size_bytes)[0])), data)

    def test_takeover(self) -> None:
        """Who opens an upload has it, with all of what is held; the one before may not go on."""
        for size_bytes in (1000, 100_000, 1_500_000):
            first, data = self.begin(size_bytes, str(size_bytes))
            self.successResultOf(first.write(data[:700]))
            second, _ = self.begin(size_bytes, str(size_bytes))
            self.assertEqual(second.committed_size, 700)
            self.failureResultOf(first.write(data[700:]), Aborted)
            self.failureResultOf(first.commit(), Aborted)
            self.successResultOf(first.suspend())
            self.successResultOf(first.abandon())
            self.successResultOf(second.write(data[700:]))
            self.successResultOf(second.commit())
            self.assertFalse(self.missing(size_bytes))

    def test_abandon(self) -> None:
        """What was abandoned is gone."""
        upload, data = self.begin(1_500_000)
        self.successResultOf(upload.write(data[:-1]))
        self.successResultOf(upload.abandon())
        self.assertEqual(self.size(), 0)

    def test_too_much(self) -> None:
        """More bytes than announced are refused, and what was held is dropped."""
        for size_bytes in SIZES:
            upload, data = self.begin(size_bytes)
            self.successResultOf(upload.write(data))
            self.failureResultOf(upload.write(b"x"), DigestMismatch)
            self.successResultOf(upload.suspend())
            self.assertEqual(self.size(), 0)
            self.assertTrue(self.missing(size_bytes))

    def test_too_little(self) -> None:
        """Fewer bytes than announced are no blob, and are dropped."""
        for size_bytes in SIZES:
            upload, data = self.begin(size_bytes)
            self.successResultOf(upload.write(data[:-1]))
            self.failureResultOf(upload.commit(), DigestMismatch)
            self.assertEqual(self.size(), 0)
            self.assertTrue(self.missing(size_bytes))

    def test_wrong_hash(self) -> None:
        """Other bytes than announced are no blob, and are dropped."""
        for size_bytes in SIZES:
            upload, data = self.begin(size_bytes)
            self.successResultOf(upload.write(bytes([data[0] ^ 1]) + data[1:]))
            self.failureResultOf(upload.commit(), DigestMismatch)
            self.assertEqual(self.size(), 0)
            self.assertTrue(self.missing(size_bytes))

    def test_larger_than_the_digest(self) -> None:
        """What is held under a name and is larger than the blob now announced is dropped."""
        upload, data = self.begin(200_000)
        self.successResultOf(upload.write(data))
        self.successResultOf(upload.suspend())
        upload, data = self.begin(100_000)
        self.assertEqual(upload.committed_size, 0)
        self.successResultOf(upload.write(data))
        self.successResultOf(upload.commit())
        self.assertFalse(self.missing(100_000))

    def test_names(self) -> None:
        """Uploads of two names never meet, whatever the names are."""
        names = ("a", "b", "a/b", "../a", "ä", "x" * 10_000)
        for number, name in enumerate(names, 1):
            upload, data = self.begin(1000, name)
            self.successResultOf(upload.write(data[:number]))
            self.successResultOf(upload.suspend())
        self.assertEqual([self.size(name) for name in names], list(range(1, len(names) + 1)))

    def test_needless(self) -> None:
        """An upload is needless when the store has the blob, and not before; another size is another blob."""
        for size_bytes in SIZES:
            digest, data = blob(size_bytes)
            self.assertFalse(self.successResultOf(self.uploads.is_needless(digest)))
            self.successResultOf(put(self.store, digest, data))
            self.assertTrue(self.successResultOf(self.uploads.is_needless(digest)))
            larger = digest._replace(size_bytes=size_bytes + 1)
            self.assertFalse(self.successResultOf(self.uploads.is_needless(larger)))

    def test_blob_that_exists(self) -> None:
        """A blob that came another way meanwhile may be committed all the same."""
        for size_bytes in SIZES:
            upload, data = self.begin(size_bytes)
            self.successResultOf(put(self.store, blob(size_bytes)[0], data))
            self.successResultOf(upload.write(data))
            self.successResultOf(upload.commit())
            self.assertEqual(self.successResultOf(read(self.store, blob(size_bytes)[0])), data)
