"""All keys in one order of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.sources import Dataset, KeyTable, interleaved

TIMES = st.lists(st.lists(st.integers(0, 11), max_size=13), min_size=1, max_size=5)


def dataset(times: list[list[int]], *, divided: bool = False) -> Dataset:
    tables = []
    for key, column in enumerate(times):
        rows = np.arange(len(column))
        tables.append(
            KeyTable(
                key=f"k{key}".encode(),
                time_us=np.array(column, np.int64),
                time_text=np.array([str(time) for time in column], dtype=object),
                values=np.stack([rows + 100.0 * key, -rows], axis=1).astype(float),
                is_train=rows < 2 if divided else np.zeros(len(column), bool),
                label=None,
            )
        )
    return Dataset(channels=("row", "minus"), tables=tuple(tables), divided=divided)


@given(TIMES, st.integers(1, 17))
def test_every_record_once_keys_in_their_order_time_in_its(
    times: list[list[int]], batch_rows: int
) -> None:
    data = dataset(times)
    batches = list(interleaved(data, "all", batch_rows))
    assert all(len(batch.key_index) == batch_rows for batch in batches[:-1])
    seen = [(k, r) for b in batches for k, r in zip(b.key_index, b.row_index, strict=True)]
    assert sorted(seen) == [(k, r) for k, column in enumerate(times) for r in range(len(column))]
    for key, column in enumerate(times):
        assert [row for k, row in seen if k == key] == list(range(len(column)))
    newest = [max(times[k][: r + 1]) for k, r in seen]
    assert newest == sorted(newest)
    for batch in batches:
        np.testing.assert_array_equal(batch.values[:, 0], batch.row_index + 100.0 * batch.key_index)
        expected = [times[k][r] for k, r in zip(batch.key_index, batch.row_index, strict=True)]
        assert batch.time_us.tolist() == expected


@given(TIMES, st.integers(1, 17))
def test_the_size_of_batches_changes_no_order(times: list[list[int]], batch_rows: int) -> None:
    data = dataset(times)
    small = [row for batch in interleaved(data, "all", batch_rows) for row in batch.row_index]
    large = [row for batch in interleaved(data, "all", 997) for row in batch.row_index]
    assert small == large


def test_ties_go_by_key_and_a_late_record_follows_its_predecessor() -> None:
    (batch,) = interleaved(dataset([[1, 5, 2, 6], [1, 5, 5]]), "all")
    order = list(zip(batch.key_index.tolist(), batch.time_us.tolist(), strict=True))
    assert order == [(0, 1), (1, 1), (0, 5), (0, 2), (1, 5), (1, 5), (0, 6)]


def test_training_and_scored_rows_are_apart() -> None:
    data = dataset([[1, 2, 3], [1, 2, 3, 4, 5]], divided=True)
    (train,) = interleaved(data, "train")
    (scored,) = interleaved(data)
    assert train.row_index.tolist() == [0, 0, 1, 1]
    assert scored.row_index.tolist() == [2, 2, 3, 4]


def test_no_rows_give_no_batches() -> None:
    assert list(interleaved(dataset([[], []]))) == []


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_rows=0"):
        next(interleaved(dataset([[1]]), "all", 0))


def test_selected_channels_are_reordered_and_unknown_ones_missing() -> None:
    chosen = dataset([[1, 2]]).select(["minus", "other", "row"])
    assert chosen.channels == ("minus", "other", "row")
    np.testing.assert_array_equal(
        chosen.tables[0].values, [[0.0, np.nan, 0.0], [-1.0, np.nan, 1.0]]
    )


def test_the_digest_changes_with_data_not_with_labels() -> None:
    one, two = dataset([[1, 2], [3]]), dataset([[1, 2], [3]])
    assert one.digest() == two.digest()
    assert one.digest() != dataset([[1, 2], [4]]).digest()
    assert one.digest() != one.select(("minus", "row")).digest()
