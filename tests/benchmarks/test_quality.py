"""The benchmark of detection quality, on a set small enough for a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frame
from benchmarks.paging import detectors
from benchmarks.paging.calibration import BUDGETS
from benchmarks.paging.cut_forest import CutForestUnavailableError
from benchmarks.quality import lines, others, pages
from benchmarks.quality.conditions import CONDITIONS, JITTER
from benchmarks.quality.product import Recipe, Subject, run
from benchmarks.quality.seeds import over_seeds
from benchmarks.quality.sets import FAMILIES, interpretations, load
from benchmarks.quality.table import judged
from benchmarks.quality.trace import scored_series, trace

TRAIN, TEST, CHANNELS = 607, 211, 3
MINUTE = 60_000_000  # a record number, in microseconds
EVENTS = {"omi-1": (97, 113), "omi-2": (151, 154)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys in the form of ASD: waves, and in the test part one event each."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "asd" / "interpretation_label").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for shift, (key, (start, end)) in enumerate(EVENTS.items()):
        t = np.arange(TRAIN + TEST)
        values = np.sin(t / 7 + shift)[:, None] * np.arange(1, CHANNELS + 1)
        values += 0.1 * rng.standard_normal(values.shape)
        label = (t >= TRAIN + start) & (t < TRAIN + end)
        values[label, 1] += 9.0
        rows = ["t,split,c00,c01,c02,label"]
        rows += [
            f"{i},{'train' if i < TRAIN else 'test'},{','.join(f'{v:.6f}' for v in row)},{int(y)}"
            for i, (row, y) in enumerate(zip(values, label, strict=True))
        ]
        (folder / "asd" / f"{key}.csv").write_text("\n".join(rows) + "\n")
        (folder / "asd" / "interpretation_label" / f"{key}.txt").write_text(
            f"{start}-{end - 1}:2\n"
        )
    return folder


def test_it_trains_scores_and_judges(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quality", "--set", "asd", "--quick", "--json", "--data", str(data)]
    assert frame.main([*words, "--with", "epochs=2"]) == 0
    result = json.loads(capsys.readouterr().out)
    measured = result["sets"]["asd"]
    assert measured["recipe"] == {"epochs": 2}
    assert set(measured["product"]["per_key"]) == set(EVENTS)
    assert measured["product"]["mean"]["vus_pr"] > 0.7, "a shift of 9 is hard to miss"
    live = {f"live: {name}" for name in CONDITIONS}
    assert set(measured["conditions"]) == set(CONDITIONS) | live
    assert {row["set"] for row in result["table"]} == {"asd"}
    shown = "\n".join(lines(result))
    assert "omi-2" in shown
    assert "asd: VUS-PR, half lost" in shown


@pytest.mark.slow
def test_every_part_gives_its_figures(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(seed: int) -> None:
        raise CutForestUnavailableError("not in a test")

    monkeypatch.setattr(others, "CutForest", absent)
    monkeypatch.setattr(detectors, "CutForest", absent)
    monkeypatch.setattr(pages, "LEAST_DAYS", 0.1)
    words = ["quality", "--set", "asd", "--seeds", "1", "--ablations", "--json"]
    parts = "explanations,calibration,budgets,windows,paged others,cold start,baselines"
    words += ["--data", str(data), "--with", "epochs=2", "--parts", parts]
    assert frame.main(words) == 0
    result = json.loads(capsys.readouterr().out)
    measured = result["sets"]["asd"]
    assert measured["explanations"]["events"] == len(EVENTS)
    assert measured["explanations"]["hit_in_first"] == 1.0, "of three channels three are named"
    assert measured["cold start"]["per_key"].keys() == EVENTS.keys()
    assert measured["calibration"]["0.1"]["expected"] > 0
    assert measured["budgets"].keys() == {"default", *BUDGETS}
    assert measured["windows"]["dilated"]["budgets"].keys() == measured["budgets"].keys()
    assert set(measured["paged others"]) == {"naive_seasonal", "z", "pca", "kmeans"}
    for row in (measured["budgets"][".5"], measured["paged others"]["pca"][".5"]):
        assert row["times"] == pytest.approx(row["realised"] / 0.5)
        assert 0 <= row["paged"] <= row["faults"] == len(EVENTS)
    for one in (*measured["baselines"].values(), *measured["ablations"].values()):
        assert 0.0 <= one["mean"]["vus_pr"] <= 1.01
    assert {"features only", "RBM only", "liquid only", "linear VAR"} <= set(measured["ablations"])
    assert measured["baselines"]["random"]["mean"]["vus_pr"] < 0.5
    assert "VUS-PR ahead of the best ablation" in {row["figure"] for row in result["table"]}
    assert "features only" in "\n".join(lines(result))


def test_incidents_of_the_history_are_marked_by_their_labels(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LEAST_DAYS", 0.1)
    family = FAMILIES["asd"]
    dataset = load(family, data)
    subject = Subject(family, dataset, Recipe({"epochs": 1}), {})
    assert pages.incidents(subject) is None, "no label in the training part"
    table = dataset.tables[0]
    label = table.label.copy()
    label[100:110] = 1
    marked = replace(dataset, tables=(replace(table, label=label), *dataset.tables[1:]))
    measured = pages.incidents(replace(subject, dataset=marked))
    assert measured.keys() == {"joint", "channels+joint"}
    for figures in measured.values():
        assert figures["budgets"].keys() == {"default", *BUDGETS}


def test_the_trace_sees_what_the_engine_scores(data: Path) -> None:
    """The scores of traced visible units are those of the replay, bit for bit."""
    family = FAMILIES["asd"]
    one = run(family, load(family, data), Recipe({"epochs": 2}), 0)
    for seen, scores in zip(
        trace(one.model, scored_series(one.dataset)), one.result.scores, strict=True
    ):
        np.testing.assert_array_equal(seen.time_us, scores.time_us)
        np.testing.assert_array_equal(one.model.pipeline.score(seen.visible), scores.score)


@pytest.mark.parametrize(
    "words",
    [["--parts", "guesses"], ["--with", "levels"], ["--with", "levels=perhaps"], ["--set", "smd"]],
)
def test_what_cannot_be_measured_is_said(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert frame.main(["quality", "--quick", "--data", str(data), *words]) == 1
    assert "quality could not be measured" in capsys.readouterr().err


def test_a_lost_record_is_lost_in_every_column(data: Path) -> None:
    whole = load(FAMILIES["asd"], data)
    for name in ("20 % lost", "half lost", "outages"):
        thin = CONDITIONS[name](whole, 7)
        for full, table in zip(whole.tables, thin.tables, strict=True):
            kept = np.searchsorted(full.time_us, table.time_us)
            assert 0 < len(kept) < len(full.time_us)
            np.testing.assert_array_equal(table.values, full.values[kept])
            np.testing.assert_array_equal(table.label, full.label[kept])
            np.testing.assert_array_equal(table.is_train, full.is_train[kept])


def test_outages_last_twenty_records(data: Path) -> None:
    table = CONDITIONS["outages"](load(FAMILIES["asd"], data), 7).tables[0]
    steps = np.diff(table.time_us) // MINUTE
    assert set(steps.tolist()) == {1, 21}


def test_a_jittered_clock_keeps_the_order_and_the_values(data: Path) -> None:
    whole = load(FAMILIES["asd"], data)
    for full, table in zip(
        whole.tables, CONDITIONS["jittered clock"](whole, 7).tables, strict=True
    ):
        np.testing.assert_array_equal(table.values, full.values)
        assert (np.diff(table.time_us) > 0).all()
        off = np.abs(table.time_us - full.time_us)
        assert 0 < off.max() <= JITTER * MINUTE


def test_interpretations_count_channels_from_zero(data: Path) -> None:
    events = interpretations(FAMILIES["asd"], data)
    assert {key: (e[0].start, e[0].last, e[0].channels) for key, e in events.items()} == {
        key: (start, end - 1, {1}) for key, (start, end) in EVENTS.items()
    }


def test_seeds_are_averaged_and_the_worst_key_is_that_of_their_mean() -> None:
    def one(a: float, b: float) -> dict[str, object]:
        keys = {"a": {"vus_pr": a}, "b": {"vus_pr": b}}
        return {"per_key": keys, "mean": {"vus_pr": (a + b) / 2}, "pooled": {"events": 3}}

    both = over_seeds([one(0.2, 0.3), one(0.6, 0.4)])
    assert both["mean"]["vus_pr"] == pytest.approx(0.375)
    assert both["spread"]["vus_pr"] == pytest.approx(0.25)
    assert both["worst"]["vus_pr"] == {"key": "b", "value": pytest.approx(0.35)}
    assert both["pooled"] == {"events": 3.0}


def test_goals_are_reached_from_their_own_side() -> None:
    mean = {"vus_pr": 0.63, "auc_pr": 0.1, "false_episodes_per_1000": 0.4}
    rows = {row["figure"]: row for row in judged({"smd": {"product": {"mean": mean}}})}
    assert rows["VUS-PR"]["reached"] == "must"
    assert rows["AUC-PR"]["reached"] == "below"
    assert rows["false episodes per 1,000"]["reached"] == "aim"
    assert "alarm-episode F1" not in rows, "what was not measured is not judged"
