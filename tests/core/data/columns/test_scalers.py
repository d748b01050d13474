"""Gaps and scales: equal to scikit-learn's, the same for chunks, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import impute, preprocessing

from ember_core import ops
from ember_core.data.columns import Imputer, MinMaxScaler, RobustScaler, StandardScaler

SCALERS = {
    StandardScaler: preprocessing.StandardScaler,
    RobustScaler: preprocessing.RobustScaler,
    MinMaxScaler: preprocessing.MinMaxScaler,
}
STRATEGIES = ["median", "mean", "most_frequent", "constant"]


def table(rows=211, columns=5, gaps=0.2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(1e3, 3.0, (rows, columns)).round(1)
    x[rng.random(x.shape) < gaps] = np.nan
    return x


@pytest.mark.parametrize("kind", SCALERS)
def test_scaled_as_by_scikit_learn(kind):
    x, y = table(), table(seed=1)
    np.testing.assert_allclose(kind().fit(x)(y), SCALERS[kind]().fit(x).transform(y), rtol=1e-9)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_filled_as_by_scikit_learn(strategy):
    x, y = table(), table(seed=1)
    wanted = impute.SimpleImputer(strategy=strategy, fill_value=7.0).fit(x).transform(y)
    np.testing.assert_allclose(Imputer(strategy, fill_value=7.0).fit(x)(y), wanted, rtol=1e-12)


@given(borders=st.lists(st.integers(0, 211), max_size=6))
@pytest.mark.parametrize("kind", [*SCALERS, *STRATEGIES])
def test_chunks_teach_what_the_whole_teaches(kind, borders):
    def make():
        return Imputer(kind) if isinstance(kind, str) else kind()

    x = table()
    whole, parts = make().fit(x), make().fit(lambda: np.split(x, sorted(borders)))
    for (name, value), (_, other) in zip(whole.named_buffers(), parts.named_buffers(), strict=True):
        np.testing.assert_allclose(other, value, rtol=1e-12, err_msg=name)


@given(x=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=7))
@pytest.mark.parametrize("kind", SCALERS)
def test_the_inverse_gives_the_rows_back(kind, x):
    x = np.array(x)
    scaler = kind().fit(table(columns=3))
    np.testing.assert_allclose(scaler.inverse(scaler(x)), x, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("kind", SCALERS)
def test_a_constant_column_becomes_zero(kind):
    x = np.full((13, 2), [0.1, 7e8])
    np.testing.assert_array_equal(kind().fit(x)(x), np.zeros((13, 2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(dtype):
    x = table(columns=3).astype(dtype)
    assert StandardScaler().fit(x)(x).dtype == dtype
    assert Imputer().fit(x)(x).dtype == dtype


def test_gaps_stay_gaps_when_scaled():
    x = table()
    np.testing.assert_array_equal(np.isnan(StandardScaler().fit(x)(x)), np.isnan(x))


@given(borders=st.lists(st.integers(0, 53), max_size=6))
def test_the_last_value_is_carried_over_every_cut(borders):
    x = table(rows=53, columns=3, gaps=0.6)
    imputer = Imputer("forward").fit(table(columns=3))
    whole, last, parts = imputer(x), None, []
    for part in np.split(x, sorted(borders)):
        last, filled = imputer.carry(last, part)
        parts.append(filled)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for column in range(3):
        held = imputer.fill[column]
        for row in range(53):
            held = held if np.isnan(x[row, column]) else x[row, column]
            assert whole[row, column] == held


@pytest.mark.parametrize(
    "made", [*(kind() for kind in SCALERS), *(Imputer(strategy) for strategy in STRATEGIES)]
)
def test_a_file_brings_it_back(made, tmp_path):
    x = table()
    made.fit(x).save(tmp_path / "m")
    np.testing.assert_array_equal(type(made).load(tmp_path / "m")(x), made(x))


@pytest.mark.parametrize("made", [StandardScaler(), Imputer()])
def test_an_unfitted_one_says_so(made):
    with pytest.raises(ValueError, match=r"not fitted.*Expected fit"):
        made(table())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.full((3, 2), np.inf), "infinity in column 0"),
        (np.zeros(3), r"Expected shape \(n, C\)"),
        ([np.zeros((3, 2)), np.zeros((3, 5))], "differ in width"),
        (np.zeros((0, 3)), "at least one"),
        (iter(()), "at least one"),
    ],
)
def test_wrong_training_rows_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        StandardScaler().fit(data)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"Expected shape \(n, 5\)"):
        StandardScaler().fit(table())(table(columns=3))


def test_a_column_of_gaps_is_an_error_unless_a_constant_fills_it():
    x = table(columns=3)
    x[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"only gaps in column 1.*strategy='constant'"):
        Imputer().fit(x)
    assert (Imputer("constant", fill_value=-1.0).fit(x)(x)[:, 1] == -1.0).all()


def test_an_unknown_way_to_fill_is_refused():
    with pytest.raises(ValueError, match="Expected one of median, mean"):
        Imputer("mode")


@pytest.mark.parametrize("kind", [*SCALERS, *STRATEGIES, "forward"])
def test_every_backend_scales_and_fills_alike(backend, kind):
    made = Imputer(kind) if isinstance(kind, str) else kind()
    x, y = (table(seed=seed).astype(np.float32) for seed in (0, 1))
    wanted = made.fit(x)(y)
    found = made.fit(ops.from_numpy(x))(ops.from_numpy(y))
    assert ops.backend_name(found) == backend
    np.testing.assert_allclose(ops.to_numpy(found), wanted, rtol=1e-5, atol=1e-5)
