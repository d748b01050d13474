"""Bands keep the share that they state, whatever the departures are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import COVERAGE, FleetModel, PackedRows, bands_of_noise, follow_bands
from ember_core.pipeline.bands import LEAST, Bands, band_of, bands_of
from ember_core.serialize import load_bundle, save_bundle
from tests.core.pipeline.evidence import fleet

ROWS = 20_011
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda rng: rng.standard_normal(ROWS),
    "wide": lambda rng: 5.0 * rng.standard_normal(ROWS),
    "skewed": lambda rng: rng.exponential(2.0, ROWS) - 0.5,
    "heavy": lambda rng: rng.standard_t(2, ROWS),
    "grows": lambda rng: np.linspace(1.0, 3.0, ROWS) * rng.standard_normal(ROWS),
    "two levels": lambda rng: np.where(rng.random(ROWS) < 0.3, 4.0, -1.0) + 0.3 * rng.random(ROWS),
}


def followed(x: np.ndarray, learns: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Bands of the rows of one key, from that of noise on."""
    departures = x.reshape(len(x), -1).astype(np.float32)
    begin = bands_of_noise(1, departures.shape[1]).known
    learns = np.ones(len(x), dtype=bool) if learns is None else learns
    return follow_bands(PackedRows([1] * len(x)), begin, departures, learns)


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_the_share_inside_is_the_stated_one(kind: str) -> None:
    """Within two points, from a beginning that knows nothing of the channel."""
    x = DISTRIBUTIONS[kind](np.random.default_rng(3))
    band, _ = followed(x)
    inside = (x >= band[:, 0, 0]) & (x <= band[:, 1, 0])
    assert inside[1000:].mean() == pytest.approx(COVERAGE, abs=0.02)
    below, above = (x < band[:, 0, 0])[1000:].mean(), (x > band[:, 1, 0])[1000:].mean()
    assert below == pytest.approx((1 - COVERAGE) / 2, abs=0.02)
    assert above == pytest.approx((1 - COVERAGE) / 2, abs=0.02)


def test_a_channel_at_rest_stays_inside() -> None:
    """The usual value is always within the band."""
    band, _ = followed(np.zeros(5003))
    assert (band[:, 0] <= -LEAST).all()
    assert (band[:, 1] >= LEAST).all()


def test_rows_that_do_not_count_and_missing_values_move_nothing() -> None:
    x = np.random.default_rng(5).standard_normal((211, 3))
    x[50:90] = 40.0
    x[:, 2] = np.nan
    learns = np.ones(211, dtype=bool)
    learns[50:90] = False
    band, after = followed(x, learns)
    assert (band[50:91, :, :2] == band[50, :, :2]).all()
    assert (after[0, :, 2] == bands_of_noise(1, 3).new[:, 2]).all()
    one_by_one, _ = followed(np.concatenate([x[:50], x[90:]]))
    assert (band[[*range(50), *range(90, 211)]] == one_by_one).all()


def test_a_row_moves_a_bound_by_a_small_part_however_far_it_is() -> None:
    near, far = (followed(np.array([x, 0.0]))[0] for x in (3.0, 3e6))
    assert (near == far).all()
    width = near[0, 1] - near[0, 0]
    assert 0 < (near[1, 1] - near[0, 1]) / width < 0.006


def test_several_rows_of_a_key_are_as_one_after_the_other() -> None:
    rng = np.random.default_rng(7)
    counts, channels = (13, 7, 2), 5
    packed, _, order = PackedRows.of(np.repeat(np.arange(3), counts))
    rows = rng.standard_normal((sum(counts), channels)).astype(np.float32)
    learns = rng.random(len(rows)) < 0.8
    begin = bands_of_noise(3, channels).known
    band, after = follow_bands(packed, begin, rows[order], learns[order])
    for key in range(3):
        own = np.flatnonzero(packed.key == key)
        mine = order[own]
        alone = follow_bands(
            PackedRows([1] * len(own)), begin[key : key + 1], rows[mine], learns[mine]
        )
        assert (band[own] == alone[0]).all()
        assert (after[key] == alone[1][0]).all()


def test_keys_with_few_rows_have_the_band_of_the_fleet() -> None:
    rng = np.random.default_rng(11)
    known = [band_of(k * rng.standard_normal((1009, 2))) for k in (1.0, 2.0, 3.0)]
    few = band_of(rng.standard_normal((31, 2)))
    assert np.isnan(few).all()
    bands = bands_of([*known, few], 2)
    assert (bands.known[:3] == np.stack(known)).all()
    assert (bands.known[3] == np.median(np.stack(known), axis=0)).all()
    assert (bands.new == bands.known[3]).all()
    assert (bands_of([few], 2).new == bands_of_noise(1, 2).new).all()


def test_a_bundle_has_the_bands_of_its_keys_and_one_of_earlier_versions_has_none(
    tmp_path: Path,
) -> None:
    model = fleet.model()
    assert model.bands is not None
    assert model.bands.known.shape == (len(model.keys), 2, len(model.channels))
    model.save(tmp_path / "new")
    loaded = FleetModel.load(tmp_path / "new", backend="numpy")
    assert loaded.bands is not None
    assert (loaded.bands.known == model.bands.known).all()
    assert (loaded.bands.new == model.bands.new).all()
    arrays, card = load_bundle(tmp_path / "new")
    earlier = {k: v for k, v in arrays.items() if not k.endswith(".bands")}
    assert len(earlier) == len(arrays) - 2
    save_bundle(tmp_path / "old", earlier, card)
    assert FleetModel.load(tmp_path / "old", backend="numpy").bands is None


def test_bands_of_other_keys_are_refused() -> None:
    model = fleet.model()
    with pytest.raises(ValueError, match="Every key has one band"):
        FleetModel(
            model.pipeline,
            model.keys,
            model.key_state,
            model.new_state,
            bands=Bands(np.zeros((1, 2, 4), np.float32), np.zeros((2, 4), np.float32)),
        )
