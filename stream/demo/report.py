"""What the demo found, as one object and as a table."""

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
    """The score of one run; times in seconds.

    Attributes:
        records: records the worker has absorbed, this host's included.
        records_per_second: over the live part.
        faults_injected: faults that had their time.
        faults_caught: those caught.
        false_triggers: episodes where nothing was wrong.
        false_triggers_per_10000: records.
        seconds_to_first_catch: from the first faulty record; None where nothing was caught.
        anomalies: anomalies published.
        triggers: triggers published, resolved ones included.
        by_kind: kind -> injected, caught, z_score_caught.
        z_score: the largest z-score with as many false triggers: caught, missed_kinds,
            false_triggers, threshold.
        training_seconds: what training took.
        seed: of fleet and faults.
        keys: machines.
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
class Course:
    """How a run went, before it is judged; times in seconds on the demo's clock."""

    alarms: list[Alarm]
    judged: list[Fault]
    records: int
    live_seconds: float
    injected_at: float | None
    anomalies: int
    triggers: int
    training_seconds: float


def make_report(scenario: Scenario, course: Course) -> Report:
    """Judge a run, and the detector to beat on the same rows."""
    ours = scenario.evaluate(course.alarms)
    theirs, threshold = scenario.evaluate_baseline(len(ours.false))
    by_kind = _by_kind(scenario.faults, course.judged, ours, theirs)
    caught_at = [
        alarm.last_heartbeat
        for fault, alarm in zip(scenario.faults, ours.caught, strict=True)
        if alarm is not None and fault in course.judged
    ]
    first = None
    if caught_at and course.injected_at is not None:
        first = round(max(min(caught_at) - course.injected_at, 0.0), 3)
    return Report(
        records=course.records,
        records_per_second=round(course.records / max(course.live_seconds, 1e-9), 1),
        faults_injected=len(course.judged),
        faults_caught=sum(kind["caught"] for kind in by_kind.values()),
        false_triggers=len(ours.false),
        false_triggers_per_10000=round(len(ours.false) / max(course.records, 1) * 1e4, 4),
        seconds_to_first_catch=first,
        anomalies=course.anomalies,
        triggers=course.triggers,
        by_kind=by_kind,
        z_score={
            "caught": sum(kind["z_score_caught"] for kind in by_kind.values()),
            "missed_kinds": [name for name, kind in by_kind.items() if not kind["z_score_caught"]],
            "false_triggers": len(theirs.false),
            "threshold": round(threshold, 2),
        },
        training_seconds=round(course.training_seconds, 2),
        seed=scenario.fleet.seed,
        keys=len(scenario.fleet.names),
    )


def _by_kind(
    faults: list[Fault], judged: list[Fault], ours: Evaluation, theirs: Evaluation
) -> dict[str, dict[str, int]]:
    """Count by kind, of the faults that had their time."""
    counts = {
        kind.value: {"injected": 0, "caught": 0, "z_score_caught": 0}
        for kind in Kind
        if any(fault.kind is kind for fault in judged)
    }
    for fault, by_us, by_them in zip(faults, ours.caught, theirs.caught, strict=True):
        if fault in judged:
            count = counts[fault.kind.value]
            count["injected"] += 1
            count["caught"] += by_us is not None
            count["z_score_caught"] += by_them is not None
    return counts


def as_table(report: Report) -> RenderableType:
    """Return the report for people."""
    table = Table(title="Faults injected, and what was caught", title_justify="left")
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
