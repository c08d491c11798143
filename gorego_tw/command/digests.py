"""Digests on the command line: ``[FUNCTION:]HASH[/SIZE]``."""

from __future__ import annotations

import click

from gorego_tw.digest import DigestFunction, parse_digest
from gorego_tw.errors import InvalidArgument
from gorego_tw.pb.gorego.control.v1.control_pb2 import BlobName

#: A size with so many digits is none of a blob, nor of a message.
_MOST_DIGITS = 19

_FUNCTIONS = {function.name.lower(): function for function in DigestFunction}


class DigestType(click.ParamType[BlobName]):
    """A digest. Without a function its length tells it; without a size it is looked up."""

    name = "digest"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> BlobName:
        """The name in those words."""
        if isinstance(value, BlobName):
            return value
        text = str(value)
        function, separator, rest = text.rpartition(":")
        hash_hex, slash, size = rest.partition("/")
        if separator and function not in _FUNCTIONS:
            self.fail(f"{function!r} is none of {', '.join(sorted(_FUNCTIONS))}", param, ctx)
        if slash and not (size.isascii() and size.isdigit() and len(size) < _MOST_DIGITS):
            self.fail(f"{text!r}: what follows / is the size, a number of bytes", param, ctx)
        try:
            digest = parse_digest(hash_hex, int(size or 0), _FUNCTIONS.get(function))
        except InvalidArgument as error:
            self.fail(error.message, param, ctx)
        return BlobName(
            digest_function=digest.key[0],
            hash=digest.key[1:],
            size_bytes=digest.size_bytes if slash else -1,
        )


DIGEST = DigestType()


def text_of(name: BlobName) -> str:
    """A name in the form that the command takes."""
    function = DigestFunction(name.digest_function)
    prefix = f"{function.segment}:" if function.segment else ""
    return f"{prefix}{name.hash.hex()}/{name.size_bytes}"
