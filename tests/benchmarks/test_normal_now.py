"""`python -m benchmarks normal-now`: hosts that change for good."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import normal_now

OPTIONS = argparse.Namespace(keys=3, history=2.0, days=3.0, step=900.0)


def test_only_one_channel_of_each_key_changes_and_from_then_on() -> None:
    fleet, begin = normal_now.make(1, OPTIONS)
    begin_us = int(fleet.keys[0].times_us[begin])
    for change, factor in normal_now.CHANGES.items():
        other = normal_now.changed(fleet, change, factor, begin_us)
        for before, after in zip(fleet.keys, other.keys, strict=True):
            moved = ~np.isclose(before.values, after.values, equal_nan=True)
            assert not moved[before.times_us < begin_us].any()
            assert moved.any(axis=0).sum() == 1


def test_a_larger_amplitude_keeps_the_mean_and_a_level_the_spread() -> None:
    fleet, begin = normal_now.make(1, OPTIONS)
    begin_us = int(fleet.keys[0].times_us[begin])
    usual = fleet.keys[0].values[fleet.keys[0].times_us >= begin_us]
    channel = fleet.channels.index("requests")
    level, amplitude = (
        normal_now.changed(fleet, change, 1.5, begin_us).keys[0].values[-len(usual) :, channel]
        for change in normal_now.CHANGES
    )
    usual = usual[:, channel]
    assert np.isclose(np.nanstd(level), np.nanstd(usual), rtol=1e-6)
    assert np.nanmean(level) > 1.3 * np.nanmean(usual)
    assert np.nanstd(amplitude) > 1.3 * np.nanstd(usual)


def test_the_page_has_weeks_of_each_way() -> None:
    ways = {"0": [8, 4], "1": [4, 2], "3": [2, 2]}
    changes = dict.fromkeys(normal_now.CHANGES, ways)
    text = normal_now.part({"keys": 4, "none": [1, 0], "changes": changes})
    assert "| level ×1.5 | 1 | 1.0 | 0.5 |" in text
    assert "| none |  | 0.2 | 0.0 |" in text
    assert "Not measured" in normal_now.part(None)
