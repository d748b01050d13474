"""Bundles: what is saved comes back, and what cannot be used says why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ember_core.serialize import BundleError, bundle_digest, load_bundle, save_bundle

ARRAYS = {
    "weights": np.arange(6, dtype="float32").reshape(2, 3).T,
    "scale": np.array(3.5),
    "count": np.arange(5),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 7), "float32"),
}
CARD = {"name": "pumps", "channels": ["flow", "Δp"], "threshold": 1.5}


@pytest.fixture
def bundle(tmp_path):
    save_bundle(tmp_path / "model", ARRAYS, CARD)
    return tmp_path / "model"


def edit(bundle, **changes):
    path = bundle / "model.json"
    card = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(card), "utf-8")


def test_arrays_and_card_come_back(bundle):
    arrays, card = load_bundle(bundle)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert np.array_equal(arrays[name], array)
    assert card.items() >= CARD.items()
    assert card["format_version"] == 1
    assert len(card["sha256"]) == 64
    assert card["library_version"]


def test_directory_holds_two_files_and_no_pickle(bundle):
    assert sorted(p.name for p in bundle.iterdir()) == ["model.json", "model.safetensors"]


def test_saving_again_replaces(bundle):
    save_bundle(bundle, {"weights": np.ones(3)}, {"name": "fans", "sha256": "stale"})
    arrays, card = load_bundle(bundle)
    assert (list(arrays), card["name"]) == (["weights"], "fans")


def test_digest_follows_card_and_arrays_but_not_the_writer(bundle, tmp_path):
    digest = bundle_digest(bundle)
    save_bundle(tmp_path / "same", ARRAYS, CARD)
    assert digest == bundle_digest(tmp_path / "same")
    edit(bundle, library_version="99")
    assert digest == bundle_digest(bundle)
    edit(bundle, threshold=2.5)
    assert digest != bundle_digest(bundle)
    save_bundle(tmp_path / "same", ARRAYS | {"scale": np.array(3.25)}, CARD)
    assert digest != bundle_digest(tmp_path / "same")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"no readable {name}"):
        load_bundle(bundle)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b""])
def test_card_that_is_not_json_is_refused(bundle, text):
    (bundle / "model.json").write_bytes(text)
    with pytest.raises(BundleError, match="not JSON"):
        load_bundle(bundle)


@pytest.mark.parametrize("text", [b"[]", b'"model"', b'{"format": "onnx"}', b"{}"])
def test_foreign_card_is_refused(bundle, text):
    (bundle / "model.json").write_bytes(text)
    with pytest.raises(BundleError, match="no Ember model card"):
        load_bundle(bundle)


def test_newer_format_is_refused_with_its_writer(bundle):
    edit(bundle, format_version=2, library_version="7.0")
    with pytest.raises(BundleError, match=r"format_version=2, written by version 7\.0"):
        load_bundle(bundle)


@pytest.mark.parametrize("version", [None, "1", True, 0])
def test_format_version_that_is_none_is_refused(bundle, version):
    edit(bundle, format_version=version)
    with pytest.raises(BundleError, match="no format version"):
        load_bundle(bundle)


def test_arrays_of_another_bundle_are_refused(bundle, tmp_path):
    save_bundle(tmp_path / "other", {"weights": np.ones(3)}, {})
    (tmp_path / "other" / "model.safetensors").replace(bundle / "model.safetensors")
    with pytest.raises(BundleError, match="not those its card was written with"):
        load_bundle(bundle)


def test_card_without_digest_is_refused(bundle):
    edit(bundle, sha256=None)
    with pytest.raises(BundleError, match="no digest"):
        load_bundle(bundle)


def test_damaged_arrays_with_a_matching_digest_are_refused(bundle):
    import hashlib

    (bundle / "model.safetensors").write_bytes(b"junk")
    edit(bundle, sha256=hashlib.sha256(b"junk").hexdigest())
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("arrays", "card"),
    [
        ({}, {"when": object()}),
        ({}, {"threshold": float("nan")}),
        ({"names": np.array(["a"], object)}, {}),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_bundle(bundle, arrays, card):
    with pytest.raises(BundleError, match="cannot be saved"):
        save_bundle(bundle, arrays, card)
    assert load_bundle(bundle)[1]["name"] == "pumps"
    assert len(list(bundle.iterdir())) == 2
