"""The 35 series of the Numenta Anomaly Benchmark that are here, as one fleet of one channel.

A series is trained on its probation (15 %, at most 750 records), which the benchmark does not
score. A detection is a trigger that fires, worth its severity; as for every detector on the
benchmark's board, one threshold is chosen for all series: here over the budgets an operator may
set, and over the severity at which a trigger counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.quality.nab_detectors import candidates
from benchmarks.quality.product import Recipe, fitted
from benchmarks.quality.sets import divided_at, side_by_side
from ember_core.data.sources import DataOptions, Dataset, read
from ember_core.evaluate import NAB_PROFILES, NabScore, NabSeries, nab_probation, nab_score
from ember_core.pipeline import FleetModel
from stream.backtest import backtest

BUDGETS: Final = {
    "3 a day": 21.0,
    "1 a day": 7.0,
    "2 a week": 2.0,
    "2 a month": 14.0 / 30.0,
}  # per week
REFRACTORY_ROWS: Final = 200  # one report a fault: the windows are hundreds of records long


@dataclass(frozen=True)
class Corpus:
    """The series and their labelled windows.

    Attributes:
        dataset: One key per series, its probation to train on.
        windows: First and last record of each window, per series.
    """

    dataset: Dataset
    windows: list[list[tuple[int, int]]]


def nab(data: Path, recipe: Recipe, seeds: Sequence[int], parts: Sequence[str]) -> dict[str, Any]:
    """Standard and other scores of the product, and of simple detectors beside it."""
    corpus = load_corpus(data / "nab")
    by_seed = []
    for seed in seeds:
        model = fitted(corpus.dataset, recipe, seed)
        by_threshold = {}
        for name, budget in BUDGETS.items():
            model.configure(budget_per_week=budget, refractory_rows=REFRACTORY_ROWS)
            by_threshold[name] = detections(corpus, model, recipe)
            log_progress(f"  seed {seed}, {name}: {nab_score(by_threshold[name]).score:.1f}")
        by_seed.append(by_threshold)
    out: dict[str, Any] = {
        "seeds": len(seeds),
        "recipe": recipe.options,
        "series": len(corpus.windows),
        "refractory_rows": REFRACTORY_ROWS,
        "product": _best(by_seed),
        "budgets": {
            name: float(np.mean([nab_score(by_threshold[name]).score for by_threshold in by_seed]))
            for name in BUDGETS
        },
    }
    if "baselines" in parts:
        values = [table.values[:, 0] for table in corpus.dataset.tables]
        baselines = candidates(values, corpus.windows)
        out["baselines"] = {name: _best([detections]) for name, detections in baselines.items()}
    return out


def _best(by_seed: list[dict[str, list[NabSeries]]]) -> dict[str, Any]:
    """Mean over the seeds of each profile's score at its best budget, and what it is made of."""
    out: dict[str, Any] = {}
    for profile, costs in NAB_PROFILES.items():
        best: list[NabScore] = [
            max((nab_score(detections, costs) for detections in by_threshold.values()), key=_score)
            for by_threshold in by_seed
        ]
        values = [score.score for score in best]
        out[profile] = {
            "score": float(np.mean(values)),
            "spread": max(values) - min(values),
            "caught": float(np.mean([score.caught for score in best])),
            "windows": best[0].windows,
            "false_positives": float(np.mean([score.false_positives for score in best])),
        }
    return out


def _score(one: NabScore) -> float:
    return one.score


def detections(corpus: Corpus, model: FleetModel, recipe: Recipe) -> list[NabSeries]:
    """Severity where a trigger fires, 0 elsewhere, by replay through the engine."""
    result = backtest(model, corpus.dataset, warm=recipe.warm)
    out = []
    for table, scores, windows in zip(
        corpus.dataset.tables, result.scores, corpus.windows, strict=True
    ):
        flags = np.zeros(len(table.time_us))
        fires = scores.trigger > 0
        flags[_rows(table.time_us, scores.time_us[fires])] = scores.severity[fires]
        out.append(NabSeries(flags, windows))
    return out


def load_corpus(folder: Path) -> Corpus:
    """Read the series and their windows.

    Raises:
        BenchmarkError: If they are not there.
    """
    files = folder / "windows.json"
    if not files.is_file():
        raise BenchmarkError(f"the set nab is not there. Expected a file. Received: {files}")
    spans_of = {Path(name).stem: spans for name, spans in json.loads(files.read_text()).items()}
    parts = sorted(path for path in (folder / "data").iterdir() if path.is_dir())
    raw = read(parts, DataOptions(time="timestamp"))
    windows = []
    for table in raw.tables:
        spans = [[_micros(moment) for moment in span] for span in spans_of[table.key.decode()]]
        windows.append([_span(table.time_us, first, last) for first, last in spans])
    heads = [nab_probation(len(table.time_us)) for table in raw.tables]
    return Corpus(side_by_side(divided_at(raw, heads)), windows)


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def _span(time_us: NDArray[np.int64], first: int, last: int) -> tuple[int, int]:
    """Places of a window's borders: the first record of each time, as the benchmark has it."""
    return int(_rows(time_us, np.array([first]))[0]), int(_rows(time_us, np.array([last]))[0])


def _rows(time_us: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """First record of each time; a series may turn back its clock."""
    times, first = np.unique(time_us, return_index=True)
    index = np.searchsorted(times, wanted)
    if not np.array_equal(times[np.minimum(index, len(times) - 1)], wanted):
        raise BenchmarkError("a labelled window of the set nab has no record at its border")
    return first[index]
