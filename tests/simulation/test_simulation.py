"""The protocol holds in simulated clusters, and the simulation would find it if it did not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.prove.simulation import ROOT, found_after, simulate

BUGS = sorted((Path(__file__).parent / "bugs").glob("*.patch"))
# Found after hundreds of schedules: in the first, for one, two workers must write the same key,
# and the wrong one last.
LONG = {
    "load_without_merge",
    "model_change_not_written",
    "no_fencing",
    "row_offsets_not_written",
}
MOST = 10_000


@pytest.mark.parametrize("mode", ["plain", "transactions", "exactly_once"])
def test_nothing_is_violated(mode: str) -> None:
    result = simulate(ROOT, 40, 1, "--mode", mode)
    assert result["found"] == []
    assert result["schedules"] == 40
    assert result["deaths"] > 10  # it was not all calm


def test_nothing_is_violated_where_rows_are_rates_of_intervals() -> None:
    """Open intervals and counters belong to the state: they survive what a worker does not."""
    result = simulate(ROOT, 20, 7_001, "--rated")
    assert result["found"] == []
    assert result["schedules"] == 20


@pytest.mark.parametrize("mode", ["plain", "transactions", "exactly_once"])
def test_nothing_is_violated_where_models_are_published(mode: str) -> None:
    """Publishers die and race, and each partition changes at the offset that its state names."""
    result = simulate(ROOT, 20, 9_001, "--models", "--mode", mode)
    assert result["found"] == []
    assert result["schedules"] == 20


@pytest.mark.parametrize("mode", ["plain", "transactions", "exactly_once"])
def test_nothing_is_violated_while_documents_of_operators_change(mode: str) -> None:
    """A replay, also on another worker, scores each record by the set that was noted for it."""
    result = simulate(ROOT, 30, 9_001, "--control", "--mode", mode)
    assert result["found"] == []
    assert result["deaths"] > 10


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(13, id="rows migrated by a change were never written, and memory was full"),
        pytest.param(180, id="a model without a record of its own was forgotten"),
        pytest.param(635, id="rows on disk did not see a change and its undoing"),
        pytest.param(777, id="a change began while the partitions were given back"),
    ],
)
def test_what_was_violated_by_a_change_of_the_model_is_not_again(seed: int) -> None:
    assert simulate(ROOT, 1, seed, "--models")["found"] == []


@pytest.mark.parametrize(
    "seed",
    [pytest.param(3_006_094, id="a late row of a forgotten key, where nothing fences it off")],
)
def test_what_was_violated_once_is_not_again(seed: int) -> None:
    """Schedules that were violated among some hundred thousand, and what they showed."""
    assert simulate(ROOT, 1, seed)["found"] == []


def test_a_seed_gives_the_same_schedule_again() -> None:
    runs = [simulate(ROOT, 8, 501) for _ in range(2)]
    assert runs[0]["digest"] == runs[1]["digest"]
    assert runs[0]["callbacks"] == runs[1]["callbacks"]
    other = simulate(ROOT, 8, 502)
    assert other["digest"] != runs[0]["digest"]


@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, id=bug.stem, marks=[pytest.mark.slow] if bug.stem in LONG else [])
        for bug in BUGS
    ],
)
def test_a_known_bug_is_found(bug: Path) -> None:
    """Each patch takes one precaution out of the production code."""
    if shutil.which("git") is None:
        pytest.skip("git applies the patches, and there is none")
    assert found_after(bug, MOST, seed=1) is not None, f"not found in {MOST} schedules"


def test_there_are_patches() -> None:
    assert len(BUGS) >= 10
