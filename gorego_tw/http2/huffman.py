"""The Huffman code of HPACK (RFC 7541 appendix B), a byte of input at a time.

The code is canonical: ordered by length, then by symbol, each codeword is the one before plus one.
So the lengths are the whole table.
"""

from __future__ import annotations

# fmt: off
_LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)
# fmt: on

_EOS = 256

#: Decoded strings that are remembered, and how long they may be coded: 256 KiB at most. Names and
#: many values repeat; what is longer is metadata that mostly does not.
_MAX_REMEMBERED = 1024
_MAX_REMEMBERED_BYTES = 96


class HuffmanError(ValueError):
    """A string that is no Huffman code (RFC 7541 section 5.2): COMPRESSION_ERROR."""


class _Node(list["tuple[str, _Node] | None"]):
    """A place inside a codeword, and a list of what each next byte of input leads to.

    That is the symbols the byte completes and the place after it; None where no string goes on, and
    as long as nobody has asked.
    """

    __slots__ = ("children", "learned", "may_end")

    def __init__(self) -> None:
        super().__init__([None] * 256)
        self.children: list[_Node | int | None] = [None, None]
        self.learned = False
        self.may_end = False

    def learn(self) -> None:
        """Find out what each byte leads to.

        :raises HuffmanError: that was known, and there was nothing.
        """
        if self.learned:
            raise HuffmanError("the end-of-string symbol inside a string")
        self.learned = True
        self[:] = [self._after(byte) for byte in range(256)]

    def _after(self, byte: int) -> tuple[str, _Node] | None:
        node, symbols = self, ""
        for shift in range(7, -1, -1):
            child = node.children[byte >> shift & 1]
            if child is None or child == _EOS:
                return None
            if isinstance(child, int):
                symbols += chr(child)
                node = _ROOT
            else:
                node = child
        return symbols, node


def _tree() -> _Node:
    root = _Node()
    code = 0
    for length in range(1, max(_LENGTHS) + 1):
        for symbol, its_length in enumerate(_LENGTHS):
            if its_length == length:
                _plant(root, code, length, symbol)
                code += 1
        code <<= 1
    # Padding is up to seven bits of the end-of-string codeword, which is all ones.
    node: _Node | int | None = root
    for _ in range(8):
        assert isinstance(node, _Node)
        node.may_end = True
        node = node.children[1]
    return root


def _plant(root: _Node, code: int, length: int, symbol: int) -> None:
    node = root
    for shift in range(length - 1, 0, -1):
        bit = code >> shift & 1
        child = node.children[bit]
        if child is None:
            child = node.children[bit] = _Node()
        assert isinstance(child, _Node)
        node = child
    node.children[code & 1] = symbol


_ROOT = _tree()
_remembered: dict[bytes, bytes] = {}


def decode(data: bytes) -> bytes:
    """The string that ``data`` encodes.

    :raises HuffmanError: the end-of-string symbol in it, or padding that is too long or not ones.
    """
    known = _remembered.get(data)
    if known is None:
        known = _decode(data)
        if len(data) <= _MAX_REMEMBERED_BYTES:
            if len(_remembered) >= _MAX_REMEMBERED:
                _remembered.clear()
            _remembered[data] = known
    return known


def _decode(data: bytes) -> bytes:
    while True:
        node, out = _ROOT, ""  # a str, of one character for each byte, grows without being copied
        try:
            for byte in data:
                symbols, node = node[byte]  # type: ignore[misc]  # None is what the handler is for
                out += symbols
        except TypeError:
            node.learn()
            continue
        if not node.may_end:
            raise HuffmanError("padding that is not the beginning of the end-of-string symbol")
        return out.encode("latin-1")


class CodedValue:
    """A value that is decoded only if somebody asks for it.

    :param data: its Huffman code.
    """

    __slots__ = ("_data", "_decoded")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._decoded: bytes | None = None

    def decoded(self) -> bytes | None:
        """The value, None if ``data`` is no Huffman code."""
        if self._decoded is None:
            try:
                self._decoded = decode(self._data)
            except HuffmanError:
                return None
        return self._decoded
