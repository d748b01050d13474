"""`ember model shadow`: the candidate of `model.shadow` beside the model in service."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from stream.cli.lines import clean
from stream.cli.named import print_named
from stream.engine import EDGES, Comparison
from stream.errors import UserError
from stream.records import rfc3339
from stream.settings import Settings
from stream.tools.workers_http import THE_ONE_HERE, ToWorkers, ask


def shadow(*, options: ToWorkers = THE_ONE_HERE) -> None:
    """Compare the candidate with the model in service, over all records since it was set.

    Args:
        options: The workers to ask.
    """
    settings = Settings.load(options.config)
    whole, names = Comparison(), set()
    for address in options.urls(settings):
        found = ask(f"{address}/shadow", settings)
        if "candidate" not in found:
            raise UserError(f"{address} compares nothing. {found.get('detail', '')}")
        names.add((found.pop("live"), found.pop("candidate")))
        whole.merge(Comparison(**found))
    if len(names) > 1:
        raise UserError(
            "The workers compare different models. Expected one pair. Received: "
            + ", ".join(f"{a[:12]} with {b[:12]}" for a, b in sorted(names))
            + ". Reload all of them."
        )
    ((live, candidate),) = names
    if options.json:
        correlation = whole.correlation
        more = {"correlation": None if math.isnan(correlation) else correlation}
        about = {"live": live, "candidate": candidate}
        sys.stdout.write(json.dumps(about | whole.body() | more) + "\n")
        return
    print_named(lines(live, candidate, whole))


def lines(live: str, candidate: str, found: Comparison) -> list[tuple[str, str]]:
    """The report, for people."""
    said: list[tuple[str, str]] = [("live", live[:12]), ("candidate", candidate[:12])]
    if found.failed:
        said.append(("FAILED", f"the candidate was given up: {clean(found.failed)}"))
    said.append(
        (
            "rows",
            (
                f"{found.rows:,} scored by both, {found.only_live:,} only by the live model, "
                f"{found.only_candidate:,} only by the candidate"
            ),
        )
    )
    if not found.rows:
        return said
    for name, counts in (("anomalies", found.anomalies), ("rows in episodes", found.firing)):
        said.append((name, _counts(counts)))
    triggers = found.triggers
    said.append(("firings", f"{triggers['live']:,} live, {triggers['candidate']:,} candidate"))
    mean = [total / found.rows for total in found.sums[:2]]
    said.append(
        (
            "severity",
            (
                f"mean {mean[0]:.3f} live, {mean[1]:.3f} candidate; correlation "
                f"{found.correlation:.3f}"
            ),
        )
    )
    edges = [f"up to {edge:g}" for edge in EDGES] + ["more"]
    shares = [
        f"{edge}: {number / found.rows:.1%}"
        for edge, number in zip(edges, found.apart, strict=True)
        if number
    ]
    said.append(("apart by", ", ".join(shares)))
    for distance, key, time_us, x, y in found.furthest:
        where = f"{clean(key)} at {rfc3339(time_us)}"
        said.append(("", f"{distance:.2f} apart: {where}, {x:.2f} live, {y:.2f} candidate"))
    return said


def _counts(counts: dict[str, Any]) -> str:
    return (
        f"{counts['both']:,} both, {counts['live']:,} only live, {counts['candidate']:,} only "
        "candidate"
    )
