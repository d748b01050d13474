"""Page of one key as a browser receives it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from stream.engine import DetailedScores
from stream.records import TopChannel
from stream.report import EventCard, render_key
from stream.report._channels import channel_drawings
from stream.report._facts import gather
from stream.report._stretch import stretch
from stream.report._words import TimeFormat
from tests.stream.report import small
from tests.stream.report.test_page import _Reader

SECOND_US = 1_000_000


def _rows(key: bytes = small.FAULTY) -> DetailedScores:
    rows = small.key_result(key).scores[0].details
    assert rows is not None
    return rows


def _page(key: bytes = small.FAULTY, **more) -> str:
    rows = _rows(key)
    span = {"begin_us": int(rows.time_us[0]), "end_us": int(rows.time_us[-1])}
    shown = more.pop("rows", rows)
    return render_key(small.key_result(key), small.model(), shown, **(span | more))


@pytest.mark.parametrize("key", [small.FAULTY, small.EVIL])
def test_it_loads_nothing_and_has_no_script(key: bytes) -> None:
    page = _page(key)
    for word in ("http://", "https://", "@import", "url(", "<link", "<iframe", "<script"):
        assert word not in page
    reader = _Reader(page)  # fails where an element is not closed
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in page
    assert not any({"src", "onerror", "onclick"} & attrs.keys() for _, attrs in reader.tags)


def test_nothing_of_the_data_becomes_an_element() -> None:
    card = EventCard("<id>", "<title>", ("<b>bold</b>",), (), 0)
    page = _page(small.EVIL, notes=[("<note>", "<i>text</i>")], event=card, command="<command>")
    tags = {tag for tag, _ in _Reader(page).tags}
    assert not {"img", "script", "note", "id", "i>", "command"} & tags
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_the_same_replay_gives_the_same_bytes() -> None:
    assert _page() == _page()


def test_every_channel_is_drawn_with_its_band() -> None:
    page = _page(coverage=0.95)
    reader = _Reader(page)
    drawn = [a for tag, a in reader.tags if tag == "svg" and a.get("class") == "channel"]
    assert len(drawn) == len(small.CHANNELS)
    assert len(re.findall(r'class="band" d="M[^"]+z"', page)) == len(small.CHANNELS)
    assert "The band holds 95 % of usual rows." in page


def test_triggers_have_the_ids_of_the_replay_and_their_reasons() -> None:
    triggers = [e for e in small.key_result(small.FAULTY).events if e.kind == "trigger"]
    assert triggers
    page = _page(event=EventCard(triggers[0].id, "t", (), (), triggers[0].time_us))
    assert page.count('<tr class="this">') == 1
    for event in triggers:
        assert f"<code>{event.id}</code>" in page
    text = " ".join(_Reader(page).text)
    assert json.loads(triggers[0].body)["annotations"]["summary"] in text
    # On the score and on each channel.
    assert page.count('class="mark"') == 1 + len(small.CHANNELS)


def test_the_event_s_channels_are_named() -> None:
    channels = (TopChannel("cpu", 3.0, 1.0, 0.75, "above"),)
    text = " ".join(_Reader(_page(event=EventCard("id", "Trigger", ("s",), channels, 0))).text)
    assert "75 %" in text


def test_a_stretch_shows_its_rows_and_episodes_only() -> None:
    facts = gather(small.key_result(small.FAULTY), small.model())[0]
    (episode,) = [e for e in facts.episodes if e.peak == max(x.peak for x in facts.episodes)]
    middle = int(facts.scores.time_us[(episode.first + episode.last) // 2])
    part = stretch(facts, middle, middle + 60 * SECOND_US)
    assert part.scores.time_us[0] == middle
    (shown,) = part.episodes
    assert shown.first == 0
    assert shown.last < len(part.scores.score)
    assert shown.start_us == episode.start_us  # it began before
    assert stretch(facts, 0, 1).episodes == []
    assert len(stretch(facts, 0, 1).scores.score) == 0


def test_the_values_are_those_of_the_rows() -> None:
    rows = _rows()
    facts = gather(small.key_result(small.FAULTY), small.model())[0]
    flat = replace(rows, value=np.full_like(rows.value, 5.0), usual=np.full_like(rows.value, 5.0))
    drawing = channel_drawings(facts, flat, TimeFormat())
    values = re.findall(r'class="value" d="M([\d.]+) ([\d.]+)l0 0([^"]*)"', drawing)
    assert len(values) == 3
    for x, _, steps in values:
        assert x == "62"  # the left edge of the plot
        assert set(re.findall(r"-?\d*\.?\d+", steps)[1::2]) == {"0"}


def test_a_stretch_without_rows_is_a_page_too() -> None:
    rows = _rows()
    page = _page(rows=rows.take(np.zeros(0, np.int64)), begin_us=0, end_us=1)
    assert "No row of the key was scored in this time." in page


def test_a_gap_of_the_band_is_a_gap_of_its_shape() -> None:
    rows = _rows()
    lower, upper = rows.lower.copy(), rows.upper.copy()
    lower[101:211], upper[101:211] = np.nan, np.nan
    lower[:, 2], upper[:, 2] = np.nan, np.nan
    page = _page(rows=replace(rows, lower=lower, upper=upper))
    shapes = re.findall(r'class="band" d="([^"]+)"', page)
    assert [shape.count("M") for shape in shapes] == [2, 2]


def test_changed_thresholds_are_a_curve() -> None:
    rows = _rows()
    assert 'class="on-curve"' not in _page()
    threshold = rows.threshold.copy()
    threshold[211:] -= 1.0
    assert 'class="on-curve"' in _page(rows=replace(rows, threshold=threshold))


def test_a_threshold_that_no_evidence_reaches_is_no_curve() -> None:
    """Rows on which the key may not fire yet leave a gap, and no other trace."""
    rows = _rows()
    threshold = rows.threshold.copy()
    threshold[:61] = np.inf
    assert 'class="on-curve"' not in _page(rows=replace(rows, threshold=threshold))
    threshold[211:] -= 1.0
    threshold[101:131] = np.inf
    page = _page(rows=replace(rows, threshold=threshold))
    assert page.count('class="on-curve"') == 2
    assert "inf" not in "".join(re.findall(r'class="on-curve" d="([^"]+)"', page))


def test_many_channels_and_rows_stay_small() -> None:
    rows, count, n = _rows(), 71, 30_011
    rng = np.random.default_rng(5)
    wide = {
        name: rng.standard_normal((n, count))
        for name in ("value", "usual", "lower", "upper", "contribution")
    }
    wide["upper"] = wide["lower"] + 1.0
    wide["contribution"] = np.abs(wide["contribution"])
    time_us = int(rows.time_us[0]) + np.arange(n, dtype=np.int64) * SECOND_US
    columns = {
        name: np.resize(getattr(rows, name), n)
        for name in ("score", "severity", "evidence", "threshold", "firing", "anomaly", "trigger")
    }
    large = DetailedScores(
        tuple(f"channel {i}" for i in range(count)),
        [small.FAULTY] * n,
        np.arange(n),
        time_us,
        **columns,
        **wide,
    )
    result = small.key_result(small.FAULTY)
    scores = result.scores[0]
    long = replace(
        scores,
        time_us=time_us,
        probability=np.resize(scores.probability, n),
        details=None,
        **{name: column for name, column in columns.items() if name != "threshold"},
    )
    page = render_key(
        replace(result, scores=[long], events=[]),
        small.model(),
        large,
        begin_us=int(time_us[0]),
        end_us=int(time_us[-1]),
    )
    assert len(page) < 3_000_000
    text = " ".join(_Reader(page).text)
    assert "52 more channels" in text
    assert "7 channels with smaller parts are not drawn." in text
