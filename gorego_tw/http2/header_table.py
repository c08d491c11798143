"""The tables of HPACK: the static one (RFC 7541 appendix A) and a connection's dynamic one."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from gorego_tw.http2.header_rules import Field, Kind, kind_of

STATIC_FIELDS: tuple[Field, ...] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)

#: What an entry costs beside its name and value, in bytes (RFC 7541 section 4.1).
ENTRY_OVERHEAD = 32


#: A field, what is found out about it once however often it is referred to, and its bytes with overhead.
#: No named tuple: making one takes ten times as long.
Entry: TypeAlias = tuple[Field, Kind, int]


def entry_of(name: bytes, value: bytes) -> Entry:
    """The entry of a field."""
    return (name, value), kind_of(name, value), len(name) + len(value) + ENTRY_OVERHEAD


STATIC_ENTRIES = tuple(entry_of(*field) for field in STATIC_FIELDS)


class DynamicTable:
    """The fields a peer lately sent, newest first, bounded in bytes.

    :param max_size: the bound that our SETTINGS_HEADER_TABLE_SIZE announced, in bytes.
    """

    __slots__ = ("_allowed", "_max_size", "_size", "entries")

    def __init__(self, max_size: int = 4096) -> None:
        self._allowed = max_size
        self._max_size = max_size
        self._size = 0
        #: What is in it; only to be read.
        self.entries: deque[Entry] = deque()

    @property
    def size(self) -> int:
        """The bytes in use, overhead included."""
        return self._size

    def add(self, entry: Entry) -> None:
        """Put ``entry`` in front; older ones make room. One too large for the table empties it."""
        self.entries.appendleft(entry)
        self._size += entry[2]
        if self._size > self._max_size:
            self._evict()

    def resize(self, max_size: int) -> None:
        """Take a new bound from the peer.

        :raises ValueError: more than what our SETTINGS allow.
        """
        if max_size > self._allowed:
            raise ValueError(f"a table of {max_size} bytes; {self._allowed} are allowed")
        self._max_size = max_size
        self._evict()

    def _evict(self) -> None:
        while self._size > self._max_size:
            self._size -= self.entries.pop()[2]
