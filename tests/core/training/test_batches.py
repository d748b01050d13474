"""Where batches come from, epoch after epoch."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.training import fit_rbm
from ember_core.training._batches import Batches

V = 11


def rows(count=500):
    return np.random.default_rng(3).standard_normal((count, V)).astype("float32")


def batches(data, *, epochs=1, batch_size=128, width=V, seed=1):
    return Batches(
        data,
        width=width,
        batch_size=batch_size,
        epochs=epochs,
        generator=None if seed is None else ops.generator(seed),
    )


def fit(data, **options):
    rbm = RBM(V, 7)
    return rbm, fit_rbm(rbm, data, **({"epochs": 3, "generator": ops.generator(5)} | options))


def test_an_array_is_gone_through_once_an_epoch_in_another_order():
    data = rows()
    source = batches(data, epochs=2)
    one, two = (np.concatenate(list(source.epoch())) for _ in range(2))
    assert not np.array_equal(one, two)
    for epoch in (one, two):
        assert np.array_equal(np.sort(epoch[:, 0]), np.sort(data[:, 0]))


def test_without_a_generator_the_order_stays():
    data = rows(300)
    parts = list(batches(data, seed=None).epoch())
    assert [len(p) for p in parts] == [128, 128, 44]
    assert np.array_equal(np.concatenate(parts), data)


def test_batches_of_an_iterable_come_as_they_are_and_chunks_are_cut():
    data = rows()
    listed = list(batches([data[:100], data[100:]]).epoch())
    assert [len(b) for b in listed] == [100, 128, 128, 128, 16]
    assert np.array_equal(listed[0], data[:100])
    assert np.array_equal(np.sort(np.concatenate(listed[1:])[:, 0]), np.sort(data[100:, 0]))


def test_array_list_and_function_are_read_every_epoch():
    data = rows()
    parts = [data[:120], data[120:240]]
    _, listed = fit(parts)
    _, called = fit(lambda: iter(parts))
    _, once = fit(iter(parts), epochs=1)
    assert listed == called
    assert (listed.epochs, listed.steps, once.steps) == (3, 6, 2)
    assert listed["reconstruction_error"][0] == once["reconstruction_error"][0]


def test_frames_are_rows_too():
    """Of pandas, polars and pyarrow, as a whole and as chunks."""
    data = rows(200)
    frame = pd.DataFrame(data)
    expected, _ = fit(data)
    found = [frame]
    polars = pytest.importorskip("polars")
    arrow = pytest.importorskip("pyarrow")
    found += [polars.from_pandas(frame.rename(columns=str)), arrow.Table.from_pandas(frame)]
    for source in found:
        rbm, _ = fit(source)
        assert np.array_equal(rbm.weights.data, expected.weights.data)
    assert [len(b) for b in batches([frame[:90], frame[90:]]).epoch()] == [90, 110]


def test_a_file_is_read_by_chunks_every_epoch(tmp_path):
    """`pandas.read_csv` behind a function; never more than a chunk is held."""
    pd.DataFrame(rows(700)).to_csv(tmp_path / "rows.csv", index=False)
    _, history = fit(lambda: pd.read_csv(tmp_path / "rows.csv", chunksize=300))
    assert (history.epochs, history.steps) == (3, 3 * (3 + 3 + 1))


def test_no_more_than_a_chunk_is_held():
    """Of 26 MB in chunks of 0.9, in two epochs: NumPy never holds more than 5."""

    def chunks():
        for seed in range(30):
            yield np.random.default_rng(seed).standard_normal((20_000, V), "float32")

    tracemalloc.start()
    try:
        fit(chunks, epochs=2, batch_size=1_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


def test_a_mapped_file_is_read_row_by_row(tmp_path):
    np.save(tmp_path / "rows.npy", rows(200))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected, _ = fit(rows(200))
    assert np.array_equal(fit(mapped)[0].weights.data, expected.weights.data)


def test_arrays_with_the_same_rows_stay_together():
    x, y = rows(300), np.arange(300)
    for part, numbers in batches((x, y), width=None).epoch():
        assert np.array_equal(part, x[numbers])
    with pytest.raises(ValueError, match=r"Expected the same number of rows.*\(299,\)"):
        list(batches((x, y[1:]), width=None).epoch())


def test_a_one_shot_iterator_is_refused_for_more_epochs():
    with pytest.raises(ValueError, match=r"only once.*each of 3 epochs. Received: list_iterator"):
        fit(iter([rows()]))


def test_a_generator_used_twice_is_refused_for_more_epochs():
    with pytest.raises(ValueError, match=r"Received: generator. Pass the function itself"):
        fit(rows() for _ in range(2))


def test_a_function_that_gives_an_exhausted_iterator_is_found_out():
    spent = iter([rows()])
    with pytest.raises(ValueError, match="Epoch 2 of the training has no rows"):
        fit(lambda: spent)


@pytest.mark.parametrize("data", [np.zeros((0, V), "float32"), []])
def test_no_data_is_refused(data):
    with pytest.raises(ValueError, match="Epoch 1 of the training has no rows"):
        fit(data)


@pytest.mark.parametrize("data", [np.zeros((5, V + 2)), [np.zeros(V)], np.zeros(V)])
def test_data_of_another_shape_are_refused(data):
    with pytest.raises(ValueError, match=f", {V}\\).*Received: shape="):
        fit(data)
