"""Known incidents of a history: what counts without them, and what does not change."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Incident, Series, fit_pipeline
from ember_core.pipeline.fit.incidents import MARGIN_ROWS, Marks, kept_parts, kept_rows, until_calm

STEP_US, START_US, DAYS = 1_200_000_000, 1_767_225_600_000_000, 4
ROWS = DAYS * 72
EVIDENCE = ("joint", "channels+joint")
KEYS, FAULT = 4, slice(150, 154)
FIRST_TIME, LAST_TIME = "2026-01-03T02:00:00Z", "2026-01-03T03:00:00Z"


def history(
    keys: int = KEYS, faults: tuple[tuple[int, slice], ...] = ((0, FAULT),)
) -> list[Series]:
    """Hosts with a daily shape; some have a fault in their first channel."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(keys):
        phase = 2.0 * np.pi * np.arange(ROWS) / 72
        noise = rng.normal(size=(ROWS, 2)) * [0.2, 0.3]
        values = np.stack([np.sin(phase), np.cos(phase)], axis=1) + noise
        for key, rows in faults:
            if key == k:
                values[rows, 0] += 9.0
        out.append(Series(f"host-{k}", START_US + STEP_US * np.arange(ROWS), values))
    return out


def window(key: int | None, rows: slice) -> Incident:
    name = None if key is None else f"host-{key}".encode()
    return Incident(name, START_US + STEP_US * rows.start, START_US + STEP_US * (rows.stop - 1))


def fit(series: list[Series], evidence: str, **options: Any) -> FleetModel:
    config = PipelineConfig(channels=("a", "b"), evidence=evidence, hidden=8, rbm_hidden=16)
    return fit_pipeline(series, config, epochs=1, **options)


@cache
def plain_fit(evidence: str) -> FleetModel:
    """The model of the history as it is."""
    return fit(history(), evidence)


def bits(model: FleetModel) -> dict[str, bytes]:
    """All numbers of a model."""
    parts = {"pipeline": model.pipeline.state_dict(), "first": model.key_state}
    parts["new"] = model.new_state
    arrays = {
        f"{part}.{n}": np.asarray(v).tobytes() for part, x in parts.items() for n, v in x.items()
    }
    return arrays | {"motor": repr(model.pipeline.motor.get_config()).encode()}


def test_rows_around_an_incident_are_marked_with_it() -> None:
    marks = Marks(history(2), [window(1, slice(100, 110)), window(None, slice(0, 1))])
    assert np.flatnonzero(marks.rows[0]).tolist() == list(range(1 + MARGIN_ROWS))
    first, last = 100 - MARGIN_ROWS, 109 + MARGIN_ROWS
    expected = [*range(1 + MARGIN_ROWS), *range(first, last + 1)]
    assert np.flatnonzero(marks.rows[1]).tolist() == expected
    assert marks.outside == []


def test_an_incident_without_a_row_marks_nothing() -> None:
    """One before the history, one of another key, and one between two rows."""
    between = Incident(b"host-0", START_US + 1, START_US + 2)
    windows = [Incident(None, 0, 1), Incident(b"other", START_US, START_US), between]
    marks = Marks(history(2), windows)
    assert (marks.count, marks.outside) == (0, windows)


def test_an_incident_ends_after_it_starts() -> None:
    with pytest.raises(ValueError, match="end_us >= start_us"):
        Incident(None, 2, 1)


@pytest.mark.parametrize("seed", range(8))
def test_the_parts_between_marks_are_all_other_rows_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marked = rng.random(40) < seed / 7
    parts = kept_parts(np.arange(40), marked)
    assert all(len(part) for part in parts)
    joined = np.concatenate([*parts, np.empty(0, int)])
    assert joined.tolist() == np.flatnonzero(~marked).tolist()
    assert all((np.diff(part) == 1).all() for part in parts)
    whole = kept_rows(np.arange(40), marked)
    assert whole.tolist() == (joined.tolist() or list(range(40)))


def test_a_mark_goes_on_until_evidence_is_at_rest() -> None:
    """Evidence that is raised before it, or later by itself, counts."""
    marked, raised = np.zeros((2, 30), dtype=bool)
    marked[10:13] = marked[27:] = True
    raised[[8, 9, 10, 12, 13, 14, 15, 20, 28, 29]] = True
    assert np.flatnonzero(until_calm(marked, raised)).tolist() == [*range(10, 16), 27, 28, 29]
    marked[20:22], raised[20:] = True, True
    assert np.flatnonzero(until_calm(marked, raised)).tolist() == [*range(10, 16), *range(20, 30)]
    assert not until_calm(np.zeros(30, dtype=bool), raised).any()


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_a_history_without_a_marked_row_gives_the_same_bits(evidence: str) -> None:
    plain = plain_fit(evidence)
    outside = fit(history(), evidence, incidents=[Incident(None, 0, 1)])
    assert bits(outside) == bits(plain)
    assert "incidents" not in plain.report
    assert outside.report["incidents"]["outside"] == 1


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_an_incident_changes_what_is_counted_and_nothing_else(evidence: str) -> None:
    """Weights, scales and profiles are those of the whole history."""
    plain = bits(plain_fit(evidence))
    marked = bits(fit(history(), evidence, incidents=[window(0, FAULT)]))
    changed = {name for name in plain if plain[name] != marked[name]}
    assert changed
    # The scale of a channel stands still where an average is above its quantile.
    counted = ("tail_", "joint_", "usual_extremes", "usual_run", "scale_growth", "shared")
    counted += ("tables", "motor", "confidence", "widening")
    assert {name for name in changed if not any(part in name for part in counted)} == set()


def test_less_than_a_marked_incident_pages() -> None:
    """Otherwise the history says that the like is usual."""
    many = tuple((k, slice(100 + 30 * k, 104 + 30 * k)) for k in range(KEYS))
    windows = [window(k, rows) for k, rows in many]
    plain, marked = (
        fit(history(faults=many), "channels+joint", incidents=incidents)
        for incidents in ([], windows)
    )
    heights = np.linspace(0.0, 12.0, 13)

    def paged(model: FleetModel) -> int:
        count = 0
        for height in heights:
            (fresh,) = history(1, ())
            fresh.values[FAULT, 0] += height
            state = {name: value[:1].copy() for name, value in model.key_state.items()}
            triggers = model.pipeline(fresh.values, fresh.time_us, state)["trigger"]
            count += (triggers[FAULT] == 1).any()
        return count

    assert paged(marked) > paged(plain) + 2


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_incidents_on_all_rows_are_refused(evidence: str) -> None:
    everything = window(None, slice(0, ROWS))
    with pytest.raises(ValueError, match="incidents on every row"):
        fit(history(3), evidence, incidents=[everything])


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_a_key_that_is_marked_as_a_whole_leans_on_the_others(evidence: str) -> None:
    model = fit(history(3), evidence, incidents=[window(0, slice(0, ROWS))])
    assert all(np.isfinite(np.asarray(value)).all() for value in model.key_state.values())


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_episodes_of_the_history_are_listed_with_their_channel(evidence: str) -> None:
    episodes = fit(history(), evidence, budget_per_week=1.4).report["episodes"]
    assert episodes["days"] == pytest.approx(KEYS * DAYS, rel=0.3)
    worst = episodes["worst"][0]
    assert (worst["key"], worst["pages"]) == ("host-0", True)
    assert evidence != "joint" or worst["channel"] == "a"
    assert worst["start"] <= LAST_TIME
    assert worst["end"] >= FIRST_TIME
    assert len(episodes["worst"]) <= 10
    paging = [e["pages"] for e in episodes["worst"]]
    assert paging == sorted(paging, reverse=True)
    assert sum(paging) == min(episodes["count"], 10)


def test_marked_episodes_are_not_listed_again() -> None:
    found = fit(history(), "channels+joint", incidents=[window(0, FAULT)], budget_per_week=0.7)
    worst = found.report["episodes"]["worst"]
    assert not any(
        e["key"] == "host-0" and e["start"] <= LAST_TIME and e["end"] >= FIRST_TIME for e in worst
    )
    assert found.report["incidents"]["rows"] == 4 + 2 * MARGIN_ROWS


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_the_worst_episodes_can_be_left_out_by_themselves(
    evidence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ember_core.pipeline.fit.trainer.MOST_DROPPED", 0.1)
    model = fit(history(), evidence, drop_incidents=True)
    dropped = model.report["dropped"]
    assert dropped["left_out"]
    assert dropped["count"] >= 1
    assert 0 < dropped["share"] <= 0.1
    assert any(
        e["key"] == "host-0" and e["start"] <= LAST_TIME and e["end"] >= FIRST_TIME
        for e in dropped["worst"]
    )
    assert bits(model) != bits(plain_fit(evidence))


def test_what_is_frequent_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is no exception, and the model is that of the whole history."""
    monkeypatch.setattr("ember_core.pipeline.fit.trainer.MOST_DROPPED", 1e-4)
    model = fit(history(), "channels+joint", drop_incidents=True)
    assert not model.report["dropped"]["left_out"]
    assert "incidents" not in model.report
    assert bits(model) == bits(plain_fit("channels+joint"))
