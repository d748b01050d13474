"""The row of figures per key and their summary."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ember_core.evaluate import summarise, summary


def series(seed: int, n: int = 401) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = np.zeros(n, bool)
    label[100:117] = label[300:305] = True
    score = rng.random(n) + label * rng.random()
    return label, score, score > 0.97


def test_figures_are_plain_numbers_that_json_holds() -> None:
    row = summary(*series(1), buffer=7)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["records"], row["labelled"], row["events"]) == (401, 22, 2)
    assert set(row) == {
        *("records", "labelled", "vus_pr", "auc_pr", "best_f1", "best_threshold"),
        *("true_positives", "false_positives", "false_negatives", "precision", "recall", "f1"),
        *("f1_of_best", "events", "caught", "episodes", "false_episodes", "event_recall"),
        *("episode_precision", "ef1", "false_episodes_per_1000", "delay_records"),
    }


def test_without_flags_there_are_no_figures_of_alarms() -> None:
    label, score, _ = series(2)
    row = summary(label, score, buffer=7)
    assert set(row) == {"records", "labelled", "vus_pr", "auc_pr", "best_f1", "best_threshold"}


def test_a_key_without_anomalies_has_none_where_a_figure_is_not_defined() -> None:
    row = summary(np.zeros(53), np.arange(53.0), np.arange(53) == 31)
    assert row["vus_pr"] is None
    assert row["recall"] is None
    assert row["false_episodes"] == 1


def test_the_mean_is_over_keys_where_the_figure_is_defined_and_the_worst_is_named() -> None:
    rows = {str(seed): summary(*series(seed), buffer=7) for seed in (3, 4)}
    rows["quiet"] = summary(np.zeros(199), np.zeros(199), np.arange(199) % 50 == 0)
    total = summarise(rows)
    figures = [row["vus_pr"] for row in rows.values() if row["vus_pr"] is not None]
    assert len(figures) == 2
    assert total["mean"]["vus_pr"] == pytest.approx(np.mean(figures))
    assert total["worst"]["vus_pr"]["value"] == min(figures)
    assert total["worst"]["false_episodes_per_1000"]["key"] == "quiet"
    assert "records" not in total["mean"]
    assert "best_threshold" not in total["mean"]
    json.dumps(total, allow_nan=False)


def test_pooled_figures_are_those_of_one_long_series() -> None:
    parts = [series(seed) for seed in (5, 6, 7)]
    total = summarise({str(i): summary(*part, buffer=7) for i, part in enumerate(parts)})
    label, score, flags = (np.concatenate(column) for column in zip(*parts, strict=True))
    whole = summary(label, score, flags, buffer=7)
    for name in ("records", "f1", "precision", "recall", "false_episodes_per_1000"):
        assert total["pooled"][name] == whole[name]


def test_no_keys_give_empty_parts() -> None:
    assert summarise({}) == {"per_key": {}, "mean": {}, "worst": {}, "pooled": {}}
