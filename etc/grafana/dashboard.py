"""Makes gorego.json, a dashboard for Grafana 10 and later, of panels.yml.

``python etc/grafana/dashboard.py`` after a change of panels.yml.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any, TypeAlias

import yaml

FOLDER = Path(__file__).parent

#: In place of HERE in a query.
HERE = 'job=~"$job",instance=~"$instance"'

#: Of Grafana 11; later versions convert it when they load it.
SCHEMA_VERSION = 39

#: Grafana's grid is so wide; a panel is so wide and so high, if its row says nothing else.
GRID_WIDTH = 24
SIZE = (8, 8)

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Part: TypeAlias = dict[str, Any]

#: What each type of panel is like, beside what its queries say.
OPTIONS: Mapping[str, Part] = {
    "timeseries": {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
    },
    "state-timeline": {
        "alignValue": "left",
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    },
}


def dashboard(rows: list[Part]) -> Part:
    """The whole of it."""
    return {
        "uid": "gorego",
        "title": "gorego",
        "description": "What the cache does, and why it is slow when it is.",
        "tags": ["bazel", "gorego", "remote cache"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [*marks()]},
        "templating": {"list": [*variables()]},
        "links": [],
        "panels": [*laid_out(rows)],
    }


def laid_out(rows: list[Part]) -> Iterator[Part]:
    """The panels in their places, each row below the one before."""
    ids = count(1)
    top = 0
    for row in rows:
        yield {
            "id": next(ids),
            "type": "row",
            "title": row["row"],
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": GRID_WIDTH, "h": 1},
            "panels": [],
        }
        width, height = row.get("size", SIZE)
        left, top = 0, top + 1
        for told in row["panels"]:
            if left + width > GRID_WIDTH:
                left, top = 0, top + height
            yield panel(next(ids), told, {"x": left, "y": top, "w": width, "h": height})
            left += width
        top += height


def panel(number: int, told: Part, place: Part) -> Part:
    """One of them.

    :param told: as in panels.yml.
    """
    kind = told.get("type", "timeseries")
    options = dict(OPTIONS[kind])
    if kind == "heatmap":
        options["yAxis"] = {"axisPlacement": "left", "unit": told["unit"]}
    if told.get("names"):
        options |= {"textMode": "name", "graphMode": "none", "colorMode": "none"}
    return {
        "id": number,
        "type": kind,
        "title": told["title"],
        "description": told.get("description", ""),
        "datasource": DATA_SOURCE,
        "gridPos": place,
        "targets": [*targets(told, kind)],
        "fieldConfig": {"defaults": field(told, kind), "overrides": []},
        "options": options,
    }


def targets(told: Part, kind: str) -> Iterator[Part]:
    """Its queries."""
    for letter, (legend, query) in zip(ascii_uppercase, told["queries"].items(), strict=False):
        yield {
            "refId": letter,
            "datasource": DATA_SOURCE,
            "expr": query.strip().replace("HERE", HERE),
            "legendFormat": legend,
            "format": "heatmap" if kind == "heatmap" else "time_series",
            "range": True,
            "exemplar": told.get("exemplars", False),
        }


def field(told: Part, kind: str) -> Part:
    """How its values are shown: ``unit``, ``max``, ``values``, ``thresholds``, ``links``, ``stack``, ``log``."""
    made: Part = {"unit": told.get("unit", "short"), "min": 0}
    if "max" in told:
        made["max"] = told["max"]
    if "log" in told or told.get("unit") == "d":
        del made["min"]
    steps = [("green", None), *told.get("thresholds", {}).items()]
    made["thresholds"] = {
        "mode": "absolute",
        "steps": [{"color": color, "value": value} for color, value in steps],
    }
    made["mappings"] = [
        {"type": "value", "options": {str(value): {"text": text, "color": color, "index": index}}}
        for index, (value, (text, color)) in enumerate(told.get("values", {}).items())
    ]
    made["links"] = [
        {"title": title, "url": url, "targetBlank": True}
        for title, url in told.get("links", {}).items()
    ]
    if kind == "timeseries":
        made["custom"] = lines(told)
    return made


def lines(told: Part) -> Part:
    """How the lines of a graph are drawn."""
    stacked = told.get("stack", False)
    return {
        "drawStyle": "line",
        "fillOpacity": 40 if stacked else 5,
        "lineWidth": 1,
        "scaleDistribution": {"type": "log", "log": 10} if told.get("log") else {"type": "linear"},
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }


def variables() -> Iterator[Part]:
    """What is chosen at the top: where the data is, and of which daemons."""
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
    }
    chosen = {"job": "gorego_build_info", "instance": 'gorego_build_info{job=~"$job"}'}
    for label, series in chosen.items():
        query = f"label_values({series},{label})"
        yield {
            "name": label,
            "label": label.capitalize(),
            "type": "query",
            "datasource": DATA_SOURCE,
            "definition": query,
            "query": {
                "qryType": 1,
                "query": query,
                "refId": "PrometheusVariableQueryEditor-VariableQuery",
            },
            "regex": "",
            "refresh": 2,
            "sort": 1,
            "hide": 0,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": [],
        }


def marks() -> Iterator[Part]:
    """What is marked in all graphs."""
    marked = {
        "Restarts": (
            f"changes(process_start_time_seconds{{{HERE}}}[$__rate_interval]) > 0",
            "blue",
        ),
        "Alerts": (f'ALERTS{{{HERE},alertname=~"Gorego.+",alertstate="firing"}}', "red"),
    }
    for name, (query, color) in marked.items():
        yield {
            "name": name,
            "datasource": DATA_SOURCE,
            "enable": True,
            "expr": query,
            "iconColor": color,
            "titleFormat": "{{alertname}} {{instance}}",
        }


def text(board: Part) -> str:
    """As JSON, with a line for each panel: what is made is not for reading, but for Grafana and for diffs."""
    panels = ",\n".join(f"    {json.dumps(panel)}" for panel in board["panels"])
    around = json.dumps(board | {"panels": []}, indent=2)
    return around.replace('"panels": []', f'"panels": [\n{panels}\n  ]') + "\n"


def main() -> None:
    """Write it."""
    rows = yaml.safe_load((FOLDER / "panels.yml").read_text(encoding="utf-8"))
    (FOLDER / "gorego.json").write_text(text(dashboard(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
