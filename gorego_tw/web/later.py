"""Pages that are made in several turns of the reactor, so that calls are not held up."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import INTERNAL_SERVER_ERROR
from twisted.web.server import NOT_DONE_YET, Request
from txaio.tx import make_logger

_log = make_logger()


def answer_later(
    request: Request, page: Coroutine[Deferred[Any], Any, bytes], name: str, apology: bytes
) -> int:
    """Send what ``page`` comes to; when the reader has gone no more of it is made.

    :param name: of the page, for the log.
    :param apology: sent in its place if it cannot be made.
    :returns: what ``render`` is to return.
    """
    making = Deferred.fromCoroutine(page)
    request.notifyFinish().addErrback(lambda _: making.cancel())

    def send(text: bytes) -> None:
        request.write(text)
        request.finish()

    def fail(failure: Failure) -> None:
        if failure.check(CancelledError):
            return  # the reader has gone
        _log.failure("{page}", failure, page=name)
        request.setResponseCode(INTERNAL_SERVER_ERROR)
        send(apology)

    making.addCallback(send).addErrback(fail)
    return NOT_DONE_YET
