"""`ember model shadow`: comparison of the candidate, `model.shadow`, with the model in service."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from stream.cli.options import WorkerArgs, WorkerOptions
from stream.cli.output import clean, print_fields
from stream.engine import EDGES, Comparison
from stream.errors import UserError
from stream.records import rfc3339
from stream.settings import Settings
from stream.tools.workers_http import request_worker


def shadow(*, options: WorkerArgs = WorkerOptions()) -> None:
    """Compare the candidate with the model in service, over all records since it was set.

    Args:
        options: Workers to ask.
    """
    settings = Settings.load(options.config)
    total, names = Comparison(), set()
    for address in options.urls(settings):
        answer = request_worker(f"{address}/shadow", settings)
        if "candidate" not in answer:
            raise UserError(f"{address} compares nothing. {answer.get('detail', '')}")
        names.add((answer.pop("live"), answer.pop("candidate")))
        total.merge(Comparison(**answer))
    if len(names) > 1:
        raise UserError(
            "The workers compare different models. Expected one pair. Received: "
            + ", ".join(f"{a[:12]} with {b[:12]}" for a, b in sorted(names))
            + ". Reload all of them."
        )
    ((live, candidate),) = names
    if options.json:
        correlation = total.correlation
        report: dict[str, Any] = {"live": live, "candidate": candidate} | total.body()
        report["correlation"] = None if math.isnan(correlation) else correlation  # no NaN in JSON
        sys.stdout.write(json.dumps(report) + "\n")
        return
    print_fields(lines(live, candidate, total))


def lines(live: str, candidate: str, comparison: Comparison) -> list[tuple[str, str]]:
    """Return the report for people, as names and values.

    Args:
        live: Digest of the model in service.
        candidate: Digest of the candidate.
        comparison: Comparison of both.
    """
    report: list[tuple[str, str]] = [("live", live[:12]), ("candidate", candidate[:12])]
    if comparison.failed:
        report.append(("FAILED", f"the candidate was given up: {clean(comparison.failed)}"))
    report.append(
        (
            "rows",
            (
                f"{comparison.rows:,} scored by both, {comparison.only_live:,} only by the live "
                f"model, {comparison.only_candidate:,} only by the candidate"
            ),
        )
    )
    if not comparison.rows:
        return report
    for name, counts in (
        ("anomalies", comparison.anomalies),
        ("rows in episodes", comparison.firing),
    ):
        report.append((name, _counts(counts)))
    triggers = comparison.triggers
    report.append(("firings", f"{triggers['live']:,} live, {triggers['candidate']:,} candidate"))
    mean = [total / comparison.rows for total in comparison.sums[:2]]
    report.append(
        (
            "severity",
            (
                f"mean {mean[0]:.3f} live, {mean[1]:.3f} candidate; correlation "
                f"{comparison.correlation:.3f}"
            ),
        )
    )
    edges = [f"up to {edge:g}" for edge in EDGES] + ["more"]
    shares = [
        f"{edge}: {number / comparison.rows:.1%}"
        for edge, number in zip(edges, comparison.apart, strict=True)
        if number
    ]
    report.append(("apart by", ", ".join(shares)))
    for distance, key, time_us, x, y in comparison.furthest:
        row = f"{key} at {rfc3339(time_us)}"
        report.append(("", f"{distance:.2f} apart: {row}, {x:.2f} live, {y:.2f} candidate"))
    return report


def _counts(counts: dict[str, Any]) -> str:
    return (
        f"{counts['both']:,} both, {counts['live']:,} only live, {counts['candidate']:,} only "
        "candidate"
    )
