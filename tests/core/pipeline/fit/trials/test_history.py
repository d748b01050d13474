"""Faults that a model would catch, as training tells them."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Incident, fit_pipeline
from ember_core.pipeline.fit.incidents import Marks
from ember_core.pipeline.fit.trials.history import faults_report
from ember_core.pipeline.fit.trials.kinds import KINDS, SIZES
from tests.core.conftest import CHANNELS, SMALL, history
from tests.core.pipeline.evidence.fleet import DAY_ROWS, model, times
from tests.core.pipeline.evidence.fleet import history as fleet_history


@pytest.fixture(scope="module")
def report() -> dict:
    found = model()
    series = fleet_history()
    return faults_report(found.pipeline, found.key_state, series, Marks(series))


def test_every_kind_and_size_has_its_share(report: dict) -> None:
    assert list(report["kinds"]) == list(KINDS)
    assert report["keys"] == 8
    for name, sizes in report["kinds"].items():
        assert [one["size"] for one in sizes] == (list(SIZES) if KINDS[name].is_sized else [None])
        for one in sizes:
            assert 0 <= one["caught"] <= one["faults"] <= report["moments"]
            assert one["evidence"] == sorted(one["evidence"])


def test_larger_faults_are_caught_more_often(report: dict) -> None:
    for name in ("level shift", "slow drift", "spike of one row"):
        caught = [one["caught"] for one in report["kinds"][name]]
        assert caught[-1] > 0.9 * report["kinds"][name][-1]["faults"]
        assert caught[0] < caught[-1]
        assert np.all(np.diff(caught) >= -1)


def test_the_motor_neuron_fires_where_the_evidence_reaches_its_threshold(report: dict) -> None:
    """So shares at another threshold follow from the evidence alone."""
    for sizes in report["kinds"].values():
        for one in sizes:
            reached = np.mean(np.array(one["evidence"]) >= report["on"])
            assert one["caught"] / one["faults"] == pytest.approx(reached, abs=0.08)


def test_what_one_channel_and_all_of_them_reach_is_told(report: dict) -> None:
    assert report["on"] < report["reach"]["channel"] <= report["reach"]["all"]


def test_marked_rows_and_chosen_keys_are_kept_to() -> None:
    found, series = model(), fleet_history()
    everything = Marks(series, [Incident(None, int(times(0, 1)[0]), 2**60)])
    assert faults_report(found.pipeline, found.key_state, series, everything) == {}
    one = faults_report(found.pipeline, found.key_state, series, Marks(series), usable=[3])
    assert one["keys"] == 1
    assert faults_report(found.pipeline, found.key_state, series, Marks(series), usable=[]) == {}


def test_a_key_with_too_few_rows_is_tried_by_nobody() -> None:
    found = model()
    series = [s.rows(0, DAY_ROWS) for s in fleet_history()]  # 16 more than are quiet
    assert faults_report(found.pipeline, found.key_state, series, Marks(series)) == {}


def test_training_reports_them_only_if_asked_and_changes_nothing_else() -> None:
    config = PipelineConfig(channels=CHANNELS, **SMALL)
    plain, tried = (fit_pipeline(history(), config, epochs=1, try_faults=t) for t in (False, True))
    assert "faults" not in plain.report
    faults = tried.report.pop("faults")
    assert plain.report == tried.report
    assert plain.pipeline.motor.get_config() == tried.pipeline.motor.get_config()
    for name, value in plain.pipeline.state_dict().items():
        assert np.array_equal(value, tried.pipeline.state_dict()[name])
    again = fit_pipeline(history(), config, epochs=1, try_faults=True)
    assert again.report["faults"] == faults


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
def test_faults_are_tried_whatever_backend_trains(backend: str, evidence: str) -> None:
    config = PipelineConfig(channels=CHANNELS, evidence=evidence, **SMALL)
    fitted = fit_pipeline(history(), config, epochs=1, try_faults=True)
    assert fitted.report["faults"]["reach"]["channel"] > 0.0
    assert type(fitted.key_state["rows"]).__module__.partition(".")[0] == backend
