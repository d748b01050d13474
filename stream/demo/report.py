"""Report of the demo, as an object and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .evaluation import Alarm, Evaluation
from .faults import Fault, Kind
from .scenario import Scenario


@dataclass(frozen=True, slots=True)
class Report:
    """Result of one run; times in seconds.

    Attributes:
        records: Records that the worker absorbed, this host's included.
        records_per_second: Rate over the live part.
        faults_injected: Number of faults whose window ended.
        faults_caught: Number of these faults that were caught.
        false_triggers: Episodes outside of any fault.
        false_triggers_per_10000: The same per 10,000 records.
        seconds_to_first_catch: Time since the first faulty record; None if nothing was caught.
        anomalies: Anomalies published.
        triggers: Triggers published, resolved ones included.
        by_kind: Counts by kind: injected, caught, z_score_caught.
        z_score: Result of the baseline with as many false triggers: caught, missed_kinds,
            false_triggers, threshold.
        training_seconds: Duration of the training.
        seed: Seed of fleet and faults.
        keys: Number of machines.
    """

    records: int
    records_per_second: float
    faults_injected: int
    faults_caught: int
    false_triggers: int
    false_triggers_per_10000: float
    seconds_to_first_catch: float | None
    anomalies: int
    triggers: int
    by_kind: dict[str, dict[str, int]]
    z_score: dict[str, Any]
    training_seconds: float
    seed: int
    keys: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunData:
    """Data of a run, before the evaluation; times in seconds on the demo's clock."""

    alarms: list[Alarm]
    evaluated: list[Fault]
    records: int
    live_seconds: float
    injected_at: float | None
    anomalies: int
    triggers: int
    training_seconds: float


def make_report(scenario: Scenario, run_data: RunData) -> Report:
    """Evaluate a run, and the baseline on the same rows."""
    evaluation = scenario.evaluate(run_data.alarms)
    baseline, threshold = scenario.evaluate_baseline(len(evaluation.false))
    by_kind = _by_kind(scenario.faults, run_data.evaluated, evaluation, baseline)
    caught_at = [
        alarm.received_at
        for fault, alarm in zip(scenario.faults, evaluation.caught, strict=True)
        if alarm is not None and fault in run_data.evaluated
    ]
    first = None
    if caught_at and run_data.injected_at is not None:
        first = round(max(min(caught_at) - run_data.injected_at, 0.0), 3)
    return Report(
        records=run_data.records,
        records_per_second=round(run_data.records / max(run_data.live_seconds, 1e-9), 1),
        faults_injected=len(run_data.evaluated),
        faults_caught=sum(kind["caught"] for kind in by_kind.values()),
        false_triggers=len(evaluation.false),
        false_triggers_per_10000=round(len(evaluation.false) / max(run_data.records, 1) * 1e4, 4),
        seconds_to_first_catch=first,
        anomalies=run_data.anomalies,
        triggers=run_data.triggers,
        by_kind=by_kind,
        z_score={
            "caught": sum(kind["z_score_caught"] for kind in by_kind.values()),
            "missed_kinds": [name for name, kind in by_kind.items() if not kind["z_score_caught"]],
            "false_triggers": len(baseline.false),
            "threshold": round(threshold, 2),
        },
        training_seconds=round(run_data.training_seconds, 2),
        seed=scenario.fleet.seed,
        keys=len(scenario.fleet.names),
    )


def _by_kind(
    faults: list[Fault], evaluated: list[Fault], evaluation: Evaluation, baseline: Evaluation
) -> dict[str, dict[str, int]]:
    """Count the evaluated faults by kind."""
    counts = {
        kind.value: {"injected": 0, "caught": 0, "z_score_caught": 0}
        for kind in Kind
        if any(fault.kind is kind for fault in evaluated)
    }
    for fault, alarm, baseline_alarm in zip(
        faults, evaluation.caught, baseline.caught, strict=True
    ):
        if fault in evaluated:
            count = counts[fault.kind.value]
            count["injected"] += 1
            count["caught"] += alarm is not None
            count["z_score_caught"] += baseline_alarm is not None
    return counts


def as_table(report: Report) -> RenderableType:
    """Render the report for people."""
    table = Table(title="Injected faults and those caught", title_justify="left")
    table.add_column("kind")
    for name in ("injected", "caught", "largest z-score"):
        table.add_column(name, justify="right")
    for kind, count in report.by_kind.items():
        table.add_row(
            kind, str(count["injected"]), str(count["caught"]), str(count["z_score_caught"])
        )
    table.add_section()
    table.add_row(
        "all",
        str(report.faults_injected),
        str(report.faults_caught),
        str(report.z_score["caught"]),
    )
    first = report.seconds_to_first_catch
    z_score = report.z_score
    speed = (
        f"{report.records:,} records of {report.keys} keys, "
        f"{report.records_per_second:,.0f} a second; {report.anomalies} anomalies, "
        f"{report.triggers} triggers; trained in {report.training_seconds:.1f} s"
    )
    false = (
        f"False triggers: {report.false_triggers} "
        f"({report.false_triggers_per_10000:.2f} in 10,000 records); the largest z-score has "
        f"{z_score['false_triggers']} at its threshold of {z_score['threshold']:g} deviations"
    )
    catch = "Nothing caught" if first is None else f"First catch after {first:.1f} s"
    return Group(table, Text(speed), Text(false), Text(catch))
