"""Forwarding."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.interface import Method
from zope.interface.verify import verifyObject

from gorego_tw.interfaces import IActionResults, IBlobAccess, IUpload, IUploads
from gorego_tw.storage.decorator import (
    ActionResultsDecorator,
    BlobAccessDecorator,
    UploadDecorator,
    UploadsDecorator,
)
from gorego_tw.storage.memory import MemoryActionResults, MemoryBlobs, MemoryUploads
from tests.storage.contract import ActionResultsContract, BlobAccessContract, UploadsContract


class Recorder:
    """Answers whatever is asked, and remembers what it was."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: object) -> str:
            self.calls.append((name, arguments))
            return f"answer to {name}"

        return call


class ForwardingTests(SynchronousTestCase):
    def check(self, interface: type[Interface], wrapper: object, recorder: Recorder) -> None:
        verifyObject(interface, wrapper)
        for name, method in interface.namesAndDescriptions(all=True):
            if not isinstance(method, Method):
                continue
            arguments: Collection[object] = [object() for _ in method.positional]
            answer = self.successResultOf(getattr(wrapper, name)(*arguments))
            self.assertEqual(recorder.calls.pop(), (name, tuple(arguments)))
            self.assertIn(answer, (f"answer to {name}", None))

    def test_blob_access(self) -> None:
        """Every method of a store of blobs reaches the store below, with its arguments."""
        recorder = Recorder()
        self.check(IBlobAccess, BlobAccessDecorator(cast(Any, recorder)), recorder)

    def test_action_results(self) -> None:
        """Every method of a store of action results reaches the store below."""
        recorder = Recorder()
        self.check(IActionResults, ActionResultsDecorator(cast(Any, recorder)), recorder)

    def test_uploads(self) -> None:
        """Every method of uploads, and of one of them, reaches those below."""
        recorder = Recorder()
        self.check(IUploads, UploadsDecorator(cast(Any, recorder)), recorder)
        self.check(IUpload, UploadDecorator(cast(Any, recorder)), recorder)


class BlobAccessDecoratorTests(BlobAccessContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.store = BlobAccessDecorator(MemoryBlobs())


class ActionResultsDecoratorTests(ActionResultsContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.results = ActionResultsDecorator(MemoryActionResults())


class UploadsDecoratorTests(UploadsContract, SynchronousTestCase):
    def setUp(self) -> None:
        self.store = blobs = MemoryBlobs()
        self.uploads = UploadsDecorator(MemoryUploads(blobs))
