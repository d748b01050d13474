"""A model with channel evidence in the engine: pages that say what spoke, and the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.configure import load_model
from stream.engine import Limits
from stream.errors import UserError
from stream.settings import Settings
from stream.thresholds import episode_text, page_rates
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import Run, Sent, cuts_of, interleaved, run, same, sent

LIMITS = Limits(max_keys=64)
NEXT = fleet.DAYS * fleet.DAY_ROWS
FAULT = slice(200, 230)


def _rows(key: int, count: int) -> list[Sent]:
    values = fleet.rows(key, NEXT, count)
    if key == 1:
        values[FAULT, 1] *= 3.0
    if key == 2:
        values[FAULT, 1] *= 3.0
        values[260:, 1] *= 3.0  # the same again
    if key == 3:
        values[FAULT.start : 290, 1] *= 3.0
        values[250:270, 0] += 60.0  # another fault inside it
    at = fleet.times(NEXT, count)
    return [sent(f"host-{key}".encode(), at[i], values[i]) for i in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """As `ember run` reads it."""
    folder = tmp_path_factory.mktemp("model")
    fleet.model().save(folder)
    return FleetModel.load(folder, backend="numpy")


@pytest.fixture(scope="module")
def feed() -> list[Sent]:
    """Five keys, one of them unknown to the model."""
    return interleaved(*(_rows(key, 300) for key in (0, 1, 2, 3, 40)))


@pytest.fixture(scope="module")
def whole(model: FleetModel, feed: list[Sent]) -> Run:
    """The feed in one batch."""
    return run(model, feed, limits=LIMITS)


@pytest.mark.parametrize("size", [1, 7, 256])
def test_the_size_of_a_batch_changes_nothing(
    model: FleetModel, feed: list[Sent], whole: Run, size: int
) -> None:
    """Scores, events and rows."""
    part = [m for m in feed if m.samples[0][0] in (b"host-1", b"host-40")] if size == 1 else feed
    expected = run(model, part, limits=LIMITS) if size == 1 else whole
    same(run(model, part, cuts_of(size, len(part)), limits=LIMITS), expected)


def test_a_fault_gives_one_firing_and_one_resolved(whole: Run) -> None:
    """Named by its channel, with its usual value and range, and since when."""
    firing, resolved = whole.triggers(b"host-1")
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    evidence = firing["evidence"]
    assert (evidence["kind"], evidence["channel"]) == ("channel", "latency")
    assert evidence["severity"] == firing["severity"] >= firing["threshold"]
    assert evidence["since"] <= firing["startsAt"]
    top = firing["top_channels"][0]
    assert top["name"] == "latency"
    assert top["value"] > top["usual_high"] > top["expected"] > top["usual_low"] >= 0
    assert top["direction"] == "above"
    assert "evidence" not in resolved
    assert not whole.triggers(b"host-0")


def test_the_end_of_a_fault_ends_its_episode_soon(whole: Run) -> None:
    """Within some rows, though slow averages remember it for hours."""
    _, resolved = whole.triggers(b"host-1")
    ended = int(fleet.times(NEXT, 300)[FAULT.stop])
    at = np.datetime64(resolved["endsAt"].rstrip("Z"), "us").astype(np.int64)
    assert 0 <= (at - ended) / fleet.STEP_US <= 60


def test_another_channel_in_an_open_episode_is_told(whole: Run) -> None:
    """`updated`, with the same fingerprint, so that it is one alert."""
    bodies = whole.triggers(b"host-3")
    updates = [b for b in bodies if b["status"] == "updated"]
    assert bodies[0]["status"] == "firing"
    assert "load" in [b["evidence"]["channel"] for b in updates]
    assert {b["reason"] for b in updates} == {"escalation"}
    assert {b["fingerprint"] for b in bodies} == {bodies[0]["fingerprint"]}


def test_a_budget_moves_the_threshold(model: FleetModel) -> None:
    """A larger one lowers it; one that can never fire is refused with what to do."""
    rates = page_rates(model)
    assert rates is not None
    config = model.pipeline.motor.get_config()
    try:
        levels = [model.configure(budget_per_week=b).pipeline.motor.on for b in (7.0, 1.0, 0.25)]
        assert levels == sorted(levels)
        model.report["pages"]["reachable"] = levels[0]
        with pytest.raises(ValueError, match=r"can never fire: it needs a severity of"):
            model.configure(budget_per_week=0.25)
    finally:
        model.report["pages"]["reachable"] = rates.reachable
        model.pipeline.motor = type(model.pipeline.motor)(**config)


def test_thresholds_are_told_in_days_of_a_key(model: FleetModel) -> None:
    """And how many pages to expect."""
    text = episode_text(model)
    assert "days of a key" in text or "times a day" in text
    assert "expected pages per key and month: " in text


def test_a_budget_that_can_never_fire_is_refused_at_the_start(
    model: FleetModel, tmp_path: Path
) -> None:
    """In one sentence that names the setting."""
    report = json.loads(json.dumps(model.report))
    report["pages"]["reachable"] = 0.1
    replace(model, report=report).save(tmp_path / "model")
    settings = Settings.load(None, model__path=tmp_path / "model", alerts__budget="1/month")
    with pytest.raises(UserError, match=r"alerts\.budget: A budget of .* can never fire"):
        load_model(settings)
