"""Builder of Grafana's dashboards: rows of panels with PromQL queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHO = 'job=~"$job", instance=~"$instance"'
TOPIC = f'{WHO}, topic=~"$topic"'
BRIDGE = 'job="ember-bridge"'  # the bridge is no worker; the alert rules select this job too
WIDTH = 24


def rate(metric: str, by: str = "", where: str = WHO, function: str = "rate") -> str:
    """Return the query of a counter's rate, summed over workers."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} ({function}({metric}{{{where}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str = "", where: str = WHO) -> str:
    """Return the query of a histogram's quantile over all workers."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', labels, where)})"


@dataclass
class Panel:
    """Panel of a dashboard.

    Args:
        title: Short title.
        text: Description: the quantity shown, and how to read it.
        unit: Grafana's name of the unit.
        queries: PromQL and legend of each query.
        kind: `timeseries`, `stat`, `heatmap`, `bargauge` or `table`.
        width: Width in columns, of 24.
        stacked: Stack the areas on top of each other.
        steps: Values from which a stat is orange, and red.
        lines: Looks of single lines, as Grafana's overrides.
        repeat: Variable of whose values each has a panel like this; empty: one panel.
    """

    title: str
    text: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    width: int = 12
    stacked: bool = False
    steps: tuple[float, float] | None = None
    lines: Sequence[Mapping[str, Any]] = ()
    repeat: str = ""

    @property
    def height(self) -> int:
        """Height in rows of Grafana's grid."""
        return 4 if self.kind == "stat" else 8

    def as_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel's JSON.

        Args:
            number: Id within the dashboard.
            x: Column of the left edge.
            y: Row of the upper edge.
        """
        now = self.kind in ("stat", "bargauge", "table")
        targets = [
            {
                "datasource": SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "refId": chr(ord("A") + index),
                # A panel of the current value needs one sample, not a series.
                "instant": now,
                "range": not now,
                "format": {"heatmap": "heatmap", "table": "table"}.get(self.kind, "time_series"),
            }
            for index, (expr, legend) in enumerate(self.queries)
        ]
        repeated = {"repeat": self.repeat, "repeatDirection": "v"} if self.repeat else {}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets,
            "fieldConfig": {"defaults": self._defaults(), "overrides": [*self.lines]},
            "options": self._options(),
            **repeated,
        }

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {"unit": self.unit, "min": 0}
        if self.unit == "none" and self.kind == "timeseries":
            del defaults["min"]  # scores may be negative
        if self.kind == "timeseries":
            defaults["custom"] = {
                "fillOpacity": 30 if self.stacked else 8,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none"},
            }
        if self.steps is not None:
            orange, red = self.steps
            defaults["thresholds"] = {
                "mode": "absolute",
                "steps": [
                    {"color": "green", "value": None},
                    {"color": "orange", "value": orange},
                    {"color": "red", "value": red},
                ],
            }
        return defaults

    def _options(self) -> dict[str, Any]:
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        match self.kind:
            case "stat":
                return {"reduceOptions": last, "colorMode": "value", "graphMode": "none"}
            case "bargauge":
                return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
            case "heatmap":
                return {"calculate": False, "yAxis": {"unit": "none"}}
            case "table":
                return {"showHeader": True}
            case _:
                return {
                    "legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }


@dataclass
class Dashboard:
    """Dashboard: sections of panels, from left to right and downwards.

    Args:
        uid: Name in its address.
        title: Title.
        text: Description.
        sections: Panels of each section.
        variables: Variables beside the data source; None: those of the workers.
        annotations: Annotations; None: new models.
    """

    uid: str
    title: str
    text: str
    sections: dict[str, list[Panel]] = field(default_factory=dict)
    variables: Sequence[Mapping[str, Any]] | None = None
    annotations: Sequence[Mapping[str, Any]] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that Grafana imports."""
        panels: list[dict[str, Any]] = []
        y = 0
        for name, members in self.sections.items():
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": name,
                    "collapsed": False,
                    "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                    "panels": [],
                }
            )
            y += 1
            x = tallest = 0
            for panel in members:
                if x + panel.width > WIDTH:  # the next line begins below the tallest panel
                    x, y, tallest = 0, y + tallest, 0
                panels.append(panel.as_json(len(panels) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.text,
            "tags": ["ember-stream"],
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "schemaVersion": 39,
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [
                {
                    "type": "dashboards",
                    "title": "Ember Stream",
                    "tags": ["ember-stream"],
                    "asDropdown": False,
                    "includeVars": True,
                    "keepTime": True,
                }
            ],
            "annotations": {
                "list": [_MODEL_CHANGES] if self.annotations is None else [*self.annotations]
            },
            "templating": {
                "list": [_DATASOURCE, *(_WORKERS if self.variables is None else self.variables)]
            },
            "panels": panels,
        }


def variable(name: str, label: str, query: str, *, is_one: bool = False) -> dict[str, Any]:
    """Return a variable whose values a query gives.

    Args:
        name: Name in queries.
        label: Name on the page.
        query: Query of the values.
        is_one: One value at a time, not several or all.
    """
    all_values = {
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        **({"multi": False, "includeAll": False} if is_one else all_values),
        "sort": 1,
    }


_DATASOURCE = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "current": {"text": "Prometheus", "value": "prometheus"},
}
_WORKERS = [
    variable("job", "Job", "label_values(ember_build_info, job)"),
    variable("instance", "Worker", 'label_values(ember_build_info{job=~"$job"}, instance)'),
    variable("topic", "Topic", 'label_values(ember_records_total{job=~"$job"}, topic)'),
]

_MODEL_CHANGES = {
    "name": "New model",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "purple",
    "expr": f"count by (model) (ember_build_info{{{WHO}}}) unless "
    f"count by (model) (ember_build_info{{{WHO}}} offset 5m)",
    "titleFormat": "New model {{model}}",
    "step": "60s",
}
