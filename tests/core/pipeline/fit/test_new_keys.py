"""Keys with little history: what they take from the fleet, and that they teach it nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ember_core.pipeline import PipelineConfig
from ember_core.pipeline.fit import Series
from ember_core.pipeline.fit.channels import ChannelFit, Spans, fit_channels
from ember_core.pipeline.fit.channels.rehearsal import Forecast, alike
from ember_core.pipeline.fit.scales import feature_scales
from ember_core.pipeline.fit.series import Rows
from ember_core.pipeline.fit.trainer import NEW_ROWS, PipelineTrainer
from tests.core.pipeline.evidence.fleet import CHANNELS, DAY_ROWS, DAYS, history, rows, times

KEYS = 10
NEW = 4  # the key that is like the new one
FEW = 40
STEP = 2  # of the fleet's rows: a row in twenty minutes
END = DAYS * DAY_ROWS
CONFIG = PipelineConfig(CHANNELS, evidence="channels+joint", hidden=16, rbm_hidden=16)


def young(count: int = FEW, name: str = "young") -> Series:
    """The last rows of the key that is like `NEW`."""
    time_us, values = times(0, END), rows(NEW, 0, END)
    return Series(name, time_us[::STEP][-count:], values[::STEP][-count:])


def series(keys: int) -> list[Series]:
    """A fleet with a whole history."""
    return [Series(s.key, s.time_us[::STEP], s.values[::STEP]) for s in history(keys)]


@cache
def fleet() -> ChannelFit:
    """A fleet alone."""
    return fit_channels(series(KEYS), CHANNELS)


@cache
def with_young() -> ChannelFit:
    """The same fleet beside a key of 40 rows."""
    return fit_channels([*series(KEYS), young()], CHANNELS)


def test_a_new_key_teaches_the_others_nothing():
    """Not a bit of their usual values, profiles and curves is another one."""
    alone, beside = fleet(), with_young()
    assert (alone.report["new_keys"], beside.report["new_keys"]) == (0, 1)
    for name, value in alone.first.items():
        assert value.tobytes() == beside.first[name][:KEYS].tobytes(), name
    weights = beside.stage.state_dict()
    for name, value in alone.stage.state_dict().items():
        assert np.asarray(value).tobytes() == np.asarray(weights[name]).tobytes(), name


def test_a_key_of_forty_rows_has_a_profile_near_its_kin():
    """Forty rows of one night: its mornings and weekends are those of the fleet."""
    found = with_young()
    profiles = np.asarray(found.stage.profiles)[:, CHANNELS.index("load")]
    loadings, units = (found.first[n][:, 0] for n in ("usual_loadings", "usual_unit"))
    own, kin = (units[k] * profiles @ loadings[k] for k in (KEYS, NEW))
    assert np.corrcoef(own, kin)[0, 1] > 0.95
    assert 0.7 < own.std() / kin.std() < 1.4


def test_the_size_of_its_departures_is_that_to_be_expected():
    """Not that of its few rows, and not that of the largest keys of the fleet."""
    found = with_young()
    size = found.first["usual_size"] * found.first["usual_unit"]
    ratio = size[KEYS] / size[NEW]
    assert (ratio > 0.6).all()
    assert (ratio < 2.5).all()
    extremes = found.first["usual_extremes"]
    usual = np.exp(np.log(extremes[:KEYS]).mean(axis=0))
    assert np.median(extremes[KEYS] / usual) > 1.0
    assert (found.first["usual_excess"][KEYS] >= 0.8 - 1e-6).all()


def test_few_rows_count_as_far_as_they_foretell():
    rng = np.random.default_rng(0)
    whole = np.exp(rng.normal(size=(400, 1)))
    exact, none = Forecast(2.0 * whole, whole), Forecast(np.exp(rng.normal(size=(400, 1))), whole)
    np.testing.assert_allclose(exact(np.array([[8.0]])), 4.0, rtol=1e-6)
    assert 0.7 < none(np.array([[20.0]]))[0, 0] < 1.6
    more = Forecast(np.ones((400, 1)), whole, margin=1.0)
    logs = np.log(whole)
    np.testing.assert_allclose(more(np.ones((1, 1))), np.exp(logs.mean() + logs.std()))


def test_keys_of_about_the_same_length_are_rehearsed_together():
    assert [places.tolist() for places in alike([72, 288, 80, 300])] == [[0, 2], [1, 3]]


def test_short_histories_are_new_only_beside_a_fleet():
    spans = Spans([*series(8), young()])
    assert spans.new.tolist() == [False] * 8 + [True]
    assert not Spans([*series(7), young()]).new.any()


def test_many_short_histories_do_not_hide_the_week_of_the_others():
    spans = Spans([*series(8), *(young(name=f"young-{i}") for i in range(30))])
    assert spans.has_week
    assert spans.new.sum() == 30


@pytest.mark.parametrize(
    ("keys", "count", "evidence", "trained"),
    [
        (8, NEW_ROWS, "channels+joint", True),
        (8, NEW_ROWS - 1, "channels+joint", False),
        (7, FEW, "channels+joint", False),
        (8, FEW, "joint", False),
    ],
)
def test_a_few_rows_suffice_beside_a_fleet(keys, count, evidence, trained):
    """With channel evidence only: a fleet lends it what it lacks."""
    config = replace(CONFIG, evidence=evidence)
    trainer = PipelineTrainer([*series(keys), young(count)], config)
    assert (b"young" in {s.key for s in trainer.series}) == trained


def test_features_of_a_new_key_lie_between_its_own_and_the_fleets():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(9, 1000, 2))
    few = 5.0 + 0.1 * rng.normal(size=(20, 2))

    def made(parts):
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        values = np.concatenate(parts).astype(np.float32)
        return Rows(owner, np.arange(len(owner)), values)

    alone = feature_scales(made([*raw]), 9)
    is_new = np.arange(10) == 9
    beside = feature_scales(made([*raw, few]), 10, is_new=is_new)
    np.testing.assert_array_equal(alone.mean, beside.mean[:9])
    np.testing.assert_array_equal(alone.var, beside.var[:9])
    np.testing.assert_array_equal(alone.new_var, beside.new_var)
    assert ((beside.mean[9] > 0.2) & (beside.mean[9] < 5.0)).all()
    assert ((beside.var[9] > 0.02) & (beside.var[9] < 1.1)).all()
    nothing = feature_scales(made([*raw]), 10, is_new=is_new)
    np.testing.assert_array_equal(nothing.mean[9], nothing.new_mean)
