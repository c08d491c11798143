"""Counting what passed and what failed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.everything import END_TO_END, ROOT, Tally, read_tally, run, with_daemons


class ReadTallyTests(SynchronousTestCase):
    def test_all_passed(self) -> None:
        """Passed tests are those that did as they should, expected failures among them."""
        output = "Ran 7 tests in 1.0s\n\nPASSED (skips=1, expectedFailures=2, successes=4)\n"
        self.assertEqual(read_tally(0, output), Tally(6, 0, 1))

    def test_some_failed(self) -> None:
        """Failures, errors and unexpected successes are failed tests."""
        output = "FAILED (failures=1, errors=2, unexpectedSuccesses=3, successes=4)\n"
        self.assertEqual(read_tally(1, output), Tally(4, 6, 0))

    def test_only_the_last_word_counts(self) -> None:
        """A test that prints what looks like a summary does not make one."""
        output = "PASSED (successes=99)\nFAILED (failures=1, successes=1)\n"
        self.assertEqual(read_tally(1, output), Tally(1, 1, 0))

    def test_a_crash_is_a_failure(self) -> None:
        """Without a summary, or with an exit code that the summary does not explain, one has failed."""
        self.assertEqual(read_tally(-11, "test_a ... "), Tally(0, 1, 0))
        self.assertEqual(read_tally(1, "PASSED (successes=2)\n"), Tally(2, 1, 0))

    def test_nothing_run_is_a_failure(self) -> None:
        """No test at all proves nothing."""
        self.assertEqual(read_tally(0, "Ran 0 tests in 0.0s\n\nPASSED\n"), Tally(0, 1, 0))


class GroupsTests(SynchronousTestCase):
    def test_with_daemons(self) -> None:
        """Each module that starts daemons is in one group."""
        names = [name for group in with_daemons() for name in group]
        found = (ROOT / END_TO_END).glob("test_*.py")
        self.assertEqual(sorted(names), sorted(f"tests.end_to_end.{path.stem}" for path in found))


class RunTests(SynchronousTestCase):
    def test_beside_each_other(self) -> None:
        """Of each tool there are the exit code and all that it printed, though one prints much meanwhile."""
        much = "print('x' * 70_000); raise SystemExit(3)"
        ends = run(("python", "-c", "print('first')"), ("python", "-c", much))
        self.assertEqual(ends, [(0, "first\n"), (3, "x" * 70_000 + "\n")])


class TallyTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Skipped tests are told if there are any."""
        self.assertEqual(str(Tally(2, 1)), "2 passed, 1 failed")
        self.assertEqual(str(Tally(2, 0, 3)), "2 passed, 0 failed, 3 skipped")

    def test_sum(self) -> None:
        """Each count is added to its own."""
        self.assertEqual(Tally(1, 2, 3).plus(Tally(10, 20, 30)), Tally(11, 22, 33))
