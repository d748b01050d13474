"""Training on recorded telemetry: rows that count, and rows that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.data.sources import Dataset, KeyTable
from stream.engine import Engine, SliceOffsets
from stream.errors import UserError
from stream.records import Decoded
from stream.training import history, train
from tests.stream.engine.conftest import SMALL, signal

SECOND = 1_000_000


def dataset(
    values: np.ndarray,
    times: np.ndarray | None = None,
    is_train: np.ndarray | None = None,
    label: np.ndarray | None = None,
) -> Dataset:
    """One key."""
    n = len(values)
    times = np.arange(n) * 10 * SECOND if times is None else times
    table = KeyTable(
        b"a",
        np.asarray(times, dtype=np.int64),
        np.array([str(t) for t in times], dtype=object),
        values,
        np.zeros(n, dtype=bool) if is_train is None else is_train,
        label,
    )
    names = tuple(f"c{i}" for i in range(values.shape[1]))
    return Dataset(names, (table,), divided=is_train is not None)


def test_history_is_in_order_of_time() -> None:
    """Refused values, empty rows and second rows of one time are left out; others are sorted."""
    values = np.arange(24.0).reshape(8, 3)
    times = np.array([0, 10, 10, 30, 20, 40, 50, 60]) * SECOND
    values[3, 1] = np.inf
    values[5] = [np.nan, 2e150, -np.inf]
    values[6, 0] = 1e150
    (series,) = history(dataset(values, times))
    assert series.time_us.tolist() == [t * SECOND for t in (0, 10, 20, 30, 50, 60)]
    assert np.isnan(series.values[3]).tolist() == [False, True, False]
    assert series.values[4, 0] == 1e150
    assert not np.isinf(series.values).any()


def test_a_history_with_the_newest_row_first_is_all_used() -> None:
    values = signal(400, 2, 0)
    times = np.arange(400)[::-1] * 10 * SECOND
    forwards, backwards = history(dataset(values[::-1])), history(dataset(values, times))
    assert backwards[0].time_us.tolist() == forwards[0].time_us.tolist()
    assert backwards[0].values.tobytes() == forwards[0].values.tobytes()


def test_a_refused_row_makes_no_later_row_late() -> None:
    """The time of a refused row does not count: the engine never sees it."""
    values = signal(5, 2, 0)
    values[1] = np.inf
    times = np.array([0, 900, 20, 30, 40]) * SECOND
    (series,) = history(dataset(values, times))
    assert series.time_us.tolist() == [t * SECOND for t in (0, 20, 30, 40)]


def test_only_training_rows_are_learnt_from() -> None:
    """Only training rows count; without a split, all rows do."""
    values = signal(300, 3, 0)
    head = np.arange(300) < 200
    model = train(dataset(values, is_train=head), epochs=1, **SMALL)
    changed = values.copy()
    changed[200:] = 1e9
    changed_model = train(dataset(changed, is_train=head), epochs=1, **SMALL)
    assert model.report == changed_model.report
    assert model.report["rows"] == 200
    assert train(dataset(values), epochs=1, **SMALL).report["rows"] == 300


def test_labels_are_never_read() -> None:
    values = signal(200, 3, 0)
    unlabelled = train(dataset(values, label=np.zeros(200, dtype=np.int8)), epochs=1, **SMALL)
    labelled = train(dataset(values, label=np.ones(200, dtype=np.int8)), epochs=1, **SMALL)
    assert unlabelled.report == labelled.report
    for name, value in unlabelled.pipeline.state_dict().items():
        assert np.array_equal(value, labelled.pipeline.state_dict()[name])


def test_the_model_has_the_datas_channels_and_the_given_name() -> None:
    model = train(dataset(signal(150, 2, 0)), epochs=1, name="boilers", **SMALL)
    assert model.channels == ("c0", "c1")
    assert model.name == "boilers"
    engine = Engine(model)
    engine.attach(("t", 0))
    row = Decoded([b"a"], np.array([10**15]), np.ones((1, 2)), np.zeros(1, np.int32), [])
    step = engine.step(("t", 0), row, SliceOffsets(np.array([0]), np.array([2**43])))
    assert step.counts == {"scored": 1}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((300, 0)), "no numeric channel"),
        (np.zeros((0, 2)), "Too little history.*at least 128 rows"),
        (signal(100, 2, 0), "Too little history.*100 rows of a key at most"),
        (np.full((300, 2), np.inf), "Too little history"),
        (np.column_stack([np.arange(300.0), np.full(300, np.nan)]), "finite value.*none in c1"),
    ],
)
def test_data_that_teach_nothing_are_refused_with_one_sentence(
    values: np.ndarray, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        train(dataset(values), **SMALL)
    assert "\n" not in error.value.message


@pytest.mark.parametrize("config", [{"windows": "sliding"}, {"hidden": 2}])
def test_a_shape_that_cannot_be_is_refused_with_one_sentence(config: dict) -> None:
    with pytest.raises(UserError, match="Received"):
        train(dataset(signal(150, 2, 0)), **(SMALL | config))
