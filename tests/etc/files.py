"""What is in etc/ for Prometheus and Grafana."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ETC = Path(__file__).resolve().parents[2] / "etc"
PROMETHEUS = ETC / "prometheus"
GRAFANA = ETC / "grafana"

RECORDING = PROMETHEUS / "recording.yml"
ALERTS = PROMETHEUS / "alerts.yml"
DASHBOARD = GRAFANA / "gorego.json"


class Query(NamedTuple):
    """What a panel or the like of the dashboard asks for."""

    title: str
    legend: str
    expression: str

    def filled(self, *, job: str, instance: str, interval: str, whole: str) -> str:
        """The expression with values for Grafana's variables.

        :param interval: of a rate.
        :param whole: of all that is shown.
        """
        values = {
            "$__rate_interval": interval,
            "$__range": whole,
            "$job": job,
            "$instance": instance,
        }
        text = self.expression
        for name, value in values.items():
            text = text.replace(name, value)
        return text


def rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana gets it."""
    told: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return told


def panels() -> list[dict[str, Any]]:
    """Its panels, without those that are the heading of a row."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    """All queries of its panels."""
    for panel in panels():
        for target in panel["targets"]:
            yield Query(panel["title"], target["legendFormat"], target["expr"])


def marks() -> Iterator[Query]:
    """Those of what is marked in all of its graphs."""
    for annotation in dashboard()["annotations"]["list"]:
        yield Query(annotation["name"], annotation["titleFormat"], annotation["expr"])
