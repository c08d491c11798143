"""etc/grafana: the dashboard is whole, and Prometheus understands what it asks."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.etc.files import DASHBOARD, GRAFANA, dashboard, marks, panels, queries
from tests.etc.promql import selectors
from tests.tools import run, tool

GRID_WIDTH = 24


class DashboardTests(SynchronousTestCase):
    def test_made_of_its_source(self) -> None:
        """It is what dashboard.py makes of panels.yml."""
        folder = Path(self.mktemp())
        folder.mkdir()
        for name in ("dashboard.py", "panels.yml"):
            (folder / name).write_bytes((GRAFANA / name).read_bytes())
        subprocess.run([sys.executable, str(folder / "dashboard.py")], check=True)
        self.assertEqual((folder / DASHBOARD.name).read_bytes(), DASHBOARD.read_bytes())

    def test_variables(self) -> None:
        """Data source, jobs and daemons are chosen on it."""
        variables = [variable["name"] for variable in dashboard()["templating"]["list"]]
        self.assertEqual(variables, ["datasource", "job", "instance"])

    def test_data_source(self) -> None:
        """Everything is asked of the data source that is chosen."""
        chosen = {"type": "prometheus", "uid": "${datasource}"}
        asking: list[dict[str, Any]] = [*panels(), *dashboard()["annotations"]["list"]]
        for one in asking:
            for place in (one, *one.get("targets", ())):
                self.assertEqual(place["datasource"], chosen, one)

    def test_places(self) -> None:
        """Panels have ids of their own and do not cover each other."""
        told = dashboard()["panels"]
        ids = [panel["id"] for panel in told]
        self.assertEqual(len(set(ids)), len(ids))
        for panel in told:
            self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], GRID_WIDTH)
        covering = [
            (one["title"], other["title"])
            for one, other in combinations(told, 2)
            if overlap(one["gridPos"], other["gridPos"])
        ]
        self.assertEqual(covering, [])

    def test_panels(self) -> None:
        """Each has a title of its own within its row, and queries of which none is there twice."""
        for panel in panels():
            self.assertTrue(panel["title"])
            expressions = [target["expr"] for target in panel["targets"]]
            self.assertTrue(expressions, panel["title"])
            self.assertEqual(len(set(expressions)), len(expressions), panel["title"])


class QueryTests(SynchronousTestCase):
    def test_all_are_of_the_chosen_daemons(self) -> None:
        """Each metric of each query is restricted to the jobs and the daemons that are chosen."""
        for query in (*queries(), *marks()):
            for selector in selectors(query.expression):
                self.assertLessEqual({"job", "instance"}, set(selector.labels), query)

    def test_promql(self) -> None:
        """Prometheus parses all of them."""
        made = [
            {
                "record": f"query:{number}",
                "expr": query.filled(job="a", instance="b", interval="5m", whole="1h"),
            }
            for number, query in enumerate((*queries(), *marks()))
        ]
        path = Path(self.mktemp())
        # JSON is YAML.
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": made}]}))
        code, said = run(tool("promtool"), "check", "rules", str(path))
        self.assertEqual(code, 0, said)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two panels cover each other."""
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
