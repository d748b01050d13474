"""Gate of a candidate: what workers cannot use, and what is worse than the model in service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ember_core.data.sources import Dataset
from stream.history import RowRules
from stream.learn.gate import Candidate, judge_candidate
from stream.settings import Settings
from stream.training import train
from stream.trials import before, held_back_since
from tests.stream.engine.conftest import CHANNELS, KNOWN, SMALL, fit
from tests.stream.test_trials import history


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    fit(KNOWN, CHANNELS, rows=211).save(folder / "one")
    fit(KNOWN, ("wind", "rain"), rows=211).save(folder / "other")
    return folder


def candidate(folder: Path, in_service: Path | None = None) -> Candidate:
    dataset = Dataset(channels=CHANNELS, tables=(), divided=False)
    return Candidate(folder, dataset, RowRules(), Settings(), in_service)


def test_a_first_model_that_workers_can_use_is_accepted(bundles: Path) -> None:
    for in_service in (None, bundles / "gone"):
        verdict = judge_candidate(candidate(bundles / "one", in_service))
        assert verdict.accepted
        assert verdict.figures == {"channels": 3.0, "keys": 3.0}


def test_other_telemetry_is_refused(bundles: Path) -> None:
    verdict = judge_candidate(candidate(bundles / "one", bundles / "other"))
    assert not verdict.accepted
    assert "No channel" in verdict.reasons[0]


def test_a_bundle_that_cannot_be_used_is_refused(bundles: Path) -> None:
    verdict = judge_candidate(candidate(bundles / "gone"))
    assert not verdict.accepted
    assert verdict.reasons


def poisoned(dataset: Dataset, since_us: int) -> Dataset:
    """A week-long incident: the load of all hosts is thrown about before the held-back time."""
    rng = np.random.default_rng(5)
    tables = []
    for table in dataset.tables:
        values = table.values.copy()
        values[:, 0] += (table.time_us < since_us) * rng.normal(0, 40, len(values))
        tables.append(replace(table, values=values))
    return replace(dataset, tables=tuple(tables))


@pytest.mark.slow
def test_a_candidate_of_a_poisoned_history_is_refused(tmp_path: Path) -> None:
    """It would hide what the model in service tells; the same history without it passes."""
    clean = history()
    since_us = held_back_since(clean)
    train(before(clean, since_us), epochs=1, **SMALL).save(tmp_path / "old")
    accepted = []
    for name, dataset in (("same", clean), ("bad", poisoned(clean, since_us))):
        train(before(dataset, since_us), epochs=1, **SMALL).save(tmp_path / name)
        verdict = judge_candidate(
            Candidate(tmp_path / name, dataset, RowRules(), Settings(), tmp_path / "old", since_us)
        )
        assert verdict.figures["keys"] == 3.0
        assert verdict.accepted == (not verdict.reasons)
        accepted.append(verdict.accepted)
    assert accepted == [True, False]
