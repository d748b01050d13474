"""Options of DATA."""

from __future__ import annotations

import pytest

from ember_core.data.sources import DataError, DataOptions


def test_lists_are_split_at_commas_in_order_without_repeats() -> None:
    assert DataOptions(channels=("b, a", "c,b")).channels == ("b", "a", "c")
    assert DataOptions(drop="x,y").drop == ("x", "y")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "head"),
    [("", None), ("500", (500.0, False)), ("40%", (40.0, True)), ("2.5 %", (2.5, True))],
)
def test_a_training_head_is_rows_or_a_share(given: str, head: tuple[float, bool] | None) -> None:
    assert DataOptions(train_head=given).head() == head


@pytest.mark.parametrize("given", ["half", "0.4", "-3", "101%", "5 rows"])
def test_another_training_head_is_refused(given: str) -> None:
    with pytest.raises(DataError, match="--train-head"):
        DataOptions(train_head=given)


def test_contradictions_are_refused() -> None:
    with pytest.raises(DataError, match="--split s --train-head 5"):
        DataOptions(split="s", train_head="5")
    with pytest.raises(DataError, match="--channels and --drop b"):
        DataOptions(channels=("a", "b"), drop=("b",))


def test_an_unknown_time_unit_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(DataError, match=r"s, ms, us, ns, iso8601, index, excel.*minutes"):
        DataOptions(time_unit="minutes")  # type: ignore[arg-type]


def test_rows_are_divided_only_where_asked() -> None:
    assert not DataOptions().divided
    assert DataOptions(split="s").divided
    assert DataOptions(train_head="5").divided
