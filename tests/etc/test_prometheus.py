"""etc/prometheus: Prometheus takes it, and its rules say what they are meant to."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.etc.files import ALERTS, PROMETHEUS, RECORDING, rules
from tests.etc.promql import selectors
from tests.tools import run, tool

HERE = Path(__file__).parent

SEVERITIES = frozenset({"critical", "warning", "info"})

#: Whoever is woken by an alert wants to read more than that.
SHORT = 100


class PromtoolTests(SynchronousTestCase):
    """What Prometheus' own tool says."""

    def assert_well(self, *arguments: str) -> None:
        """Promtool finds nothing wrong."""
        code, said = run(tool("promtool"), *arguments)
        self.assertEqual(code, 0, said)

    def test_configuration(self) -> None:
        """The scrape configuration is valid, and the rules that it names are there."""
        self.assert_well("check", "config", "--lint=all", str(PROMETHEUS / "prometheus.yml"))

    def test_rules(self) -> None:
        """All rules are valid, and none is there twice."""
        for path in (RECORDING, ALERTS):
            self.assert_well("check", "rules", "--lint=all", "--lint-fatal", str(path))

    def test_recorded(self) -> None:
        """The recording rules come to what they should."""
        self.assert_well("test", "rules", str(HERE / "recording_test.yml"))

    def test_alerts(self) -> None:
        """Each alert fires when it should, and nothing else does then."""
        self.assert_well("test", "rules", str(HERE / "alerts_test.yml"))


class RuleTests(SynchronousTestCase):
    def test_each_is_tested(self) -> None:
        """No rule is missing from the tests of promtool."""
        recorded = [f"expr: {rule['record']}" for rule in rules(RECORDING)]
        alerts = [f'alertname="{rule["alert"]}"' for rule in rules(ALERTS)]
        for path, wanted in ((RECORDING, recorded), (ALERTS, alerts)):
            tests = (
                (HERE / f"{path.stem}_test.yml").read_text(encoding="utf-8").replace("round(", "")
            )
            self.assertEqual([words for words in wanted if words not in tests], [])

    def test_alerts_tell_what_to_do(self) -> None:
        """Each has a severity, one line that says where it is, and a text that says what it means."""
        for rule in rules(ALERTS):
            name, annotations = rule["alert"], rule["annotations"]
            self.assertIn(rule["labels"]["severity"], SEVERITIES, name)
            self.assertEqual(set(annotations), {"summary", "description"}, name)
            self.assertNotIn("\n", annotations["summary"], name)
            self.assertGreater(len(annotations["description"]), SHORT, name)
            if name != "GoregoAbsent":
                self.assertIn("$labels.instance", annotations["summary"], name)

    def test_recorded_names_exist(self) -> None:
        """What rules take from other rules is recorded by one, and before that."""
        recorded: set[str] = set()
        for rule in [*rules(RECORDING), *rules(ALERTS)]:
            asked = {selector.metric for selector in selectors(rule["expr"])}
            self.assertEqual({name for name in asked if ":" in name} - recorded, set())
            recorded.add(rule.get("record", ""))
