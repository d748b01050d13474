"""Results by key that the report reads from a backtest."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from stream.report._facts import gather
from stream.report._moments import small_multiples
from stream.report._words import TimeFormat
from tests.stream.report import small


def test_the_fault_is_one_true_episode_with_its_channel_first() -> None:
    faulty = gather(small.result(), small.model())[0]
    begin = small.FAULT.start - small.TRAIN
    hits = [e for e in faulty.episodes if e.true]
    assert len(hits) == 1
    assert begin <= hits[0].first <= begin + 5
    assert hits[0].first <= hits[0].peak_row <= hits[0].last
    assert hits[0].channels[0].name == small.CHANNELS[1]
    assert faulty.caught == 1
    assert faulty.delays.tolist() == [hits[0].first - begin]
    assert faulty.known is not None


def test_a_silence_within_an_episode_does_not_cut_it() -> None:
    evil = gather(small.result(), small.model())[1]
    silent_row = small.SILENCE - small.TRAIN
    assert any(e.first < silent_row <= e.last for e in evil.episodes)
    assert len(evil.silences) == 1
    assert evil.silences[0][1] == small.dataset().tables[1].time_us[small.SILENCE]


def test_a_key_that_only_warmed_up_has_nothing_to_show() -> None:
    new = gather(small.result(), small.model())[2]
    assert new.known is None
    assert not len(new.scores.score)
    assert (new.episodes, new.top, new.fired) == ([], 0.0, 0)


def test_without_labels_nothing_is_judged() -> None:
    facts = gather(small.result(labelled=False), small.model())
    assert all(f.label is None and f.evaluation is None for f in facts)
    assert {e.true for f in facts for e in f.episodes} == {None}


def test_counts_are_those_of_the_figures() -> None:
    result = small.result()
    figures = result.figures()["per_key"]
    faulty = gather(result, small.model())[0]
    row = figures[faulty.name]
    assert (row["caught"], row["episodes"], row["false_episodes"]) == (
        faulty.caught,
        faulty.fired,
        faulty.false,
    )
    assert np.isclose(row["delay_records"], np.nanmean(faulty.delays))


def test_moments_draw_the_band_of_each_row() -> None:
    """Without rows in detail the band is the key's range in training, the same all the time."""
    result = small.key_result(small.FAULTY)
    scores = result.scores[0]
    rows = scores.details
    assert rows is not None
    band = np.sin(np.arange(len(rows)) / 5.0)[:, None] + np.zeros(3)
    moving = replace(rows, lower=rows.value - 2.0 + band, upper=rows.value + 2.0 + band)
    shapes = []
    for details in (moving, None):
        one_key = replace(result, scores=[replace(scores, details=details)])
        facts = gather(one_key, small.model())[0]
        drawing = small_multiples(facts, one_key, small.model(), TimeFormat())
        shapes.append(re.findall(r'class="band" d="([^"]+)"', drawing))
    assert len(shapes[0]) == len(shapes[1]) > 0
    for of_rows, flat in zip(*shapes, strict=True):
        assert of_rows.count(" ") > 50
        assert flat.count("M") == 1
        assert flat.count(" ") < 10
