"""Tests of gorego_tw.http2.header_table."""

from __future__ import annotations

from hpack.table import HeaderTable
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.http2.header_table import STATIC_FIELDS, DynamicTable, entry_of


def names_in(table: DynamicTable) -> list[bytes]:
    """The names of a table's fields, newest first."""
    return [field[0] for field, _, _ in table.entries]


class StaticTableTests(SynchronousTestCase):
    def test_same_as_of_others(self) -> None:
        """It is the one that an independent implementation has."""
        self.assertEqual(STATIC_FIELDS, tuple(HeaderTable.STATIC_TABLE))


class DynamicTableTests(SynchronousTestCase):
    def test_eviction(self) -> None:
        """The oldest entries leave when the bound is reached (RFC 7541 section 4.4)."""
        table = DynamicTable(100)
        for name in (b"a", b"b", b"c"):
            table.add(entry_of(name, b"v" * 10))
        self.assertEqual(names_in(table), [b"c", b"b"])
        self.assertEqual(table.size, 2 * (1 + 10 + 32))

    def test_too_large_an_entry(self) -> None:
        """An entry larger than the table empties it and is not kept."""
        table = DynamicTable(100)
        table.add(entry_of(b"a", b"b"))
        table.add(entry_of(b"a", b"v" * 100))
        self.assertEqual((names_in(table), table.size), ([], 0))

    def test_resize(self) -> None:
        """A smaller bound evicts; a larger one than ours is refused."""
        table = DynamicTable(100)
        table.add(entry_of(b"a", b"b"))
        table.resize(0)
        self.assertEqual(names_in(table), [])
        self.assertRaises(ValueError, table.resize, 101)
