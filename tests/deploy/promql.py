"""What PromQL expressions ask for, and what there is to ask."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.bridge import OUTCOMES, RESULTS
from stream.observe import ConsoleMetrics, IncidentMetrics, Metrics, RemoteWriteMetrics
from stream.observe.host import merge
from stream.remote_write import CHANNEL_COLUMNS, KEY_COLUMNS, READ
from stream.remote_write import OUTCOMES as SAMPLE_OUTCOMES

pytest.importorskip("promql_parser", reason="promql-parser is not installed")
pytest.importorskip("yaml", reason="PyYAML is not installed")
import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
ADDED = {"job", "instance"}  # by Prometheus
FOREIGN = {"up": ADDED, "ALERTS": {*ADDED, "alertname", "alertstate", "severity"}}
KEY_SERIES = {
    **{f"ember_{name}": {"topic", "key"} for name in KEY_COLUMNS},
    **{f"ember_{name}": {"topic", "key", "channel"} for name in CHANNEL_COLUMNS},
}
"""Series of `ember remote-write`, and their labels."""
OVER_TIME = {"rate", "irate", "increase", "changes", "resets"}


class Asked(NamedTuple):
    """A selector: metric, labels it matches on, and the function right around it."""

    metric: str
    labels: set[str]
    function: str


def plain(expression: str) -> str:
    """An expression of a dashboard as Prometheus gets it."""
    expression = re.sub(r"\$__(rate_)?interval|\$__range", "5m", expression)
    return re.sub(r"\$\{?\w+(:\w+)?\}?", ".*", expression)


def asked(expression: str) -> list[Asked]:
    """Every selector of an expression; ValueError if it is no PromQL."""
    found: list[Asked] = []

    def visit(node: Any, function: str) -> None:
        match node:
            case promql_parser.VectorSelector():
                labels = {matcher.name for matcher in node.matchers.matchers}
                found.append(Asked(str(node.name), labels, function))
            case promql_parser.MatrixSelector():
                visit(node.vector_selector, function)
            case promql_parser.Call():
                for argument in node.args:
                    visit(argument, node.func.name)
            case promql_parser.AggregateExpr() | promql_parser.ParenExpr():
                visit(node.expr, "")
            case promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
                visit(node.expr, function)
            case promql_parser.BinaryExpr():
                visit(node.lhs, "")
                visit(node.rhs, "")

    visit(promql_parser.parse(plain(expression)), "")
    return found


def rules() -> list[dict[str, Any]]:
    """Every rule of every file."""
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    """Alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def exposed() -> dict[str, tuple[str, set[str]]]:
    """Sample name -> type and labels: of a re-keying worker, the bridge, the recording rules."""
    metrics = Metrics(["telemetry"], rekeyed=["telemetry"])
    metrics.assigned([("telemetry", 0)], [])
    metrics.rekey_assigned([("telemetry", 0)])
    metrics.consumed(
        "telemetry",
        messages=1,
        counts={"scored": 1},
        time_us=np.array([1]),
        now_seconds=1.0,
        seconds=0.1,
    )
    pages = (
        metrics.render()
        + merge([None])  # of all workers of a host
        + IncidentMetrics(OUTCOMES, RESULTS, process=False).render()
        + ConsoleMetrics(process=False).render()
        + RemoteWriteMetrics(READ, SAMPLE_OUTCOMES, RESULTS, process=False).render()
    )
    found = {
        sample.name: (family.type, set(sample.labels) | ADDED)
        for family in text_string_to_metric_families(pages.decode())
        for sample in family.samples
    }
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    added = {name: ("gauge", {"job", "topic", "reason"}) for name in recorded}
    others = {name: ("gauge", labels) for name, labels in (FOREIGN | KEY_SERIES).items()}
    return found | added | others


def complaints(expression: str) -> list[str]:
    """What is wrong with an expression: no such metric or label, a counter not taken over time."""
    wrong = []
    for metric, labels, function in asked(expression):
        if metric not in exposed():
            wrong.append(f"{metric} is not a metric of a worker")
            continue
        kind, known = exposed()[metric]
        if labels - known:
            wrong.append(f"{metric} has no label {', '.join(sorted(labels - known))}")
        if (kind == "counter" or metric.endswith("_bucket")) and function not in OVER_TIME:
            wrong.append(f"{metric} only grows; ask for its rate or increase")
    return wrong
