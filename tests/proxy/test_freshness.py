"""Tests of gorego_tw.proxy.freshness."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.proxy.freshness import Freshness, FreshnessRules


class FreshnessRulesTests(SynchronousTestCase):
    def test_default(self) -> None:
        """Without rules all names are alike."""
        rules = FreshnessRules(Freshness.REVALIDATE, {})
        self.assertIs(rules.of(""), Freshness.REVALIDATE)
        self.assertIs(rules.of("ci/linux"), Freshness.REVALIDATE)

    def test_longest(self) -> None:
        """The longest rule that a name stands under holds, by whole segments."""
        rules = FreshnessRules(
            Freshness.LOCAL, {"ci": Freshness.STRICT, "ci/linux": Freshness.REVALIDATE}
        )
        modes = {name: rules.of(name) for name in ("", "c", "cii", "ci", "ci/mac", "ci/linux/x")}
        self.assertEqual(
            modes,
            {
                "": Freshness.LOCAL,
                "c": Freshness.LOCAL,
                "cii": Freshness.LOCAL,
                "ci": Freshness.STRICT,
                "ci/mac": Freshness.STRICT,
                "ci/linux/x": Freshness.REVALIDATE,
            },
        )

    def test_empty_name(self) -> None:
        """A rule for the empty name holds for all that have no other."""
        rules = FreshnessRules(Freshness.LOCAL, {"": Freshness.STRICT, "a": Freshness.LOCAL})
        self.assertIs(rules.of(""), Freshness.STRICT)
        self.assertIs(rules.of("b"), Freshness.STRICT)
        self.assertIs(rules.of("a/b"), Freshness.LOCAL)

    def test_local_is_final(self) -> None:
        """A local hit is final where the mode says so, and only there."""
        for mode in Freshness:
            rules = FreshnessRules(mode, {"final": Freshness.LOCAL})
            self.assertEqual(rules.is_local_final("ci"), mode is Freshness.LOCAL)
            self.assertTrue(rules.is_local_final("final"))

    def test_all_local(self) -> None:
        """Whether a local hit is final wherever it is can be told beforehand."""
        local, strict = Freshness.LOCAL, Freshness.STRICT
        self.assertTrue(FreshnessRules(local, {}).are_all_local)
        self.assertTrue(FreshnessRules(local, {"ci": local}).are_all_local)
        self.assertFalse(FreshnessRules(local, {"ci": strict}).are_all_local)
        self.assertFalse(FreshnessRules(strict, {}).are_all_local)
