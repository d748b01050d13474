"""The baselines: causal, deterministic, and as good as known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ember_core.data.sources import DataOptions, read
from ember_core.evaluate import (
    Baseline,
    HalfSpaceTreesScore,
    KMeansWindows,
    PCAWindows,
    ZScore,
    baselines,
    peers,
    summarise,
    summary,
)
from ember_core.evaluate._kmeans import kmeans

NAMES = tuple(baselines())
PEERS = tuple(peers())  # those whose package is installed


def telemetry(n: int = 307, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(11)
    wave = np.sin(np.arange(n) / 7)[:, None] * np.arange(1, channels + 1)
    return wave + 0.1 * rng.standard_normal((n, channels))


def fitted(name: str) -> Baseline:
    baseline = (baselines(seed=3) | peers(seed=3))[name]
    baseline.fit(telemetry())
    return baseline


@pytest.mark.parametrize("name", [*NAMES, *PEERS])
def test_a_score_depends_on_no_later_record(name: str) -> None:
    test = telemetry(101)
    whole = fitted(name).score(test)
    assert whole.shape == (101,)
    np.testing.assert_allclose(fitted(name).score(test[:59]), whole[:59], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*NAMES, *PEERS])
def test_the_same_seed_gives_the_same_scores(name: str) -> None:
    np.testing.assert_array_equal(
        fitted(name).score(telemetry(67)), fitted(name).score(telemetry(67))
    )


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in NAMES if name != "random"),
        *(name for name in PEERS if name in ("isolation_forest", "mahalanobis")),
    ],
)
def test_a_record_unlike_the_training_scores_highest(name: str) -> None:
    test = telemetry(101)
    test[71] += [5.0, -5.0, 5.0]
    score = fitted(name).score(test)
    assert 71 <= score.argmax() < 71 + 10


@pytest.mark.parametrize("name", [*NAMES, *PEERS])
def test_missing_values_and_still_channels_give_finite_scores(name: str) -> None:
    train, test = telemetry(), telemetry(61)
    train[:, 1] = 7.0
    train[::5, 0] = test[::3, 2] = np.nan
    test[:, 1] = np.nan
    baseline = (baselines() | peers())[name]
    baseline.fit(train)
    assert np.isfinite(baseline.score(test)).all()


def test_the_largest_z_score_is_that() -> None:
    rows = telemetry(307, 2)
    baseline = ZScore()
    baseline.fit(rows)
    expected = np.abs((rows - rows.mean(axis=0)) / rows.std(axis=0)).max(axis=1)
    np.testing.assert_allclose(baseline.score(rows), expected)


def test_pca_of_what_a_plane_explains_leaves_nothing() -> None:
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((211, 1)) @ np.array([[1.0, -2.0, 0.5]])
    baseline = PCAWindows(window=1, explained=0.999)
    baseline.fit(rows)
    assert baseline.score(rows).max() < 1e-20


def test_kmeans_finds_separate_clusters_and_no_more_than_there_are() -> None:
    rng = np.random.default_rng(7)
    middles = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = np.repeat(middles, 31, axis=0) + 0.1 * rng.standard_normal((93, 2))
    centres = kmeans(points, 3, np.random.default_rng(0))
    assert np.abs(np.sort(centres, axis=0) - np.sort(middles, axis=0)).max() < 0.1
    assert len(kmeans(np.repeat(middles, 5, axis=0), 11, np.random.default_rng(0))) == 3


def test_fewer_records_than_clusters_or_window_are_enough() -> None:
    baseline = KMeansWindows()
    baseline.fit(telemetry(5))
    assert baseline.score(telemetry(3)).shape == (3,)
    assert baseline.score(telemetry(0)).shape == (0,)


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape=\(0, 3\)"):
        ZScore().fit(np.empty((0, 3)))


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_scores_no_records(name: str) -> None:
    assert fitted(name).score(np.empty((0, 3))).shape == (0,)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert peers() == {}
    with pytest.raises(ImportError, match='pip install "river"'):
        HalfSpaceTreesScore()


def test_an_unknown_join_is_refused() -> None:
    with pytest.raises(ValueError, match="over='median'"):
        ZScore("median")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "buffer", "known"),
    [
        (
            "smd",
            100,
            {"random": 0.10, "z_largest": 0.46, "z_mean": 0.38, "pca": 0.58, "kmeans": 0.60},
        ),
        (
            "asd",
            20,
            {"random": 0.06, "z_largest": 0.11, "z_mean": 0.07, "pca": 0.31, "kmeans": 0.31},
        ),
    ],
)
def test_mean_vus_pr_is_what_is_known(
    shared_data: Path, folder: str, buffer: int, known: dict[str, float]
) -> None:
    options = DataOptions(time="t", time_unit="index", split="split", label="label")
    data = read([shared_data / folder], options)
    rows: dict[str, dict[str, dict[str, float | int | None]]] = {name: {} for name in known}
    for index, table in enumerate(data.tables):
        train, scored = data.rows(index, "train"), data.rows(index, "scored")
        assert table.label is not None
        for name, baseline in baselines().items():
            baseline.fit(table.values[train])
            score = baseline.score(table.values[scored])
            rows[name][table.key.decode()] = summary(table.label[scored], score, buffer=buffer)
    measured = {name: summarise(keys)["mean"]["vus_pr"] for name, keys in rows.items()}
    assert measured == pytest.approx(known, abs=0.03)


def test_mean_vus_pr_tells_faults_from_chance_on_a_simulated_fleet() -> None:
    """Twin of the recorded sets: faults large enough for every baseline but chance."""
    rows: dict[str, dict[str, dict[str, float | int | None]]] = {name: {} for name in baselines()}
    for key in range(3):
        rng = np.random.default_rng(key)
        values = np.sin(np.arange(900) / (7 + key))[:, None] * np.arange(1, 6)
        values += 0.1 * rng.standard_normal(values.shape)
        label = np.zeros(900, dtype=int)
        for begin in (650, 800):
            label[begin : begin + 40] = 1
            values[begin : begin + 40, key : key + 2] += 9.0
        for name, baseline in baselines().items():
            baseline.fit(values[:600])
            score = baseline.score(values[600:])
            rows[name][str(key)] = summary(label[600:], score, buffer=10)
    measured = {name: summarise(keys)["mean"]["vus_pr"] for name, keys in rows.items()}
    assert measured.keys() == {"random", "z_largest", "z_mean", "pca", "kmeans"}
    assert measured.pop("random") < 0.45
    assert min(measured.values()) > 0.7
