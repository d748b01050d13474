"""Files of the older pipeline: read whole, and never run."""

from __future__ import annotations

import io
import json
import os
import pickle

import numpy as np
import pytest

from ember_core.models import load_detector, read_original, save_detector
from ember_core.serialize import BundleError, save_bundle
from ember_core.training import set_thresholds

V, N = 5, 3


def contents(**other):
    """The keys that OptimizedRBM.save wrote."""
    rng = np.random.default_rng(1)
    return {
        "weights": rng.standard_normal((V, N)),
        "visible_bias": rng.standard_normal(V),
        "hidden_bias": np.asfortranarray(rng.standard_normal(N)),
        "n_visible": V,
        "n_hidden": N,
        "learning_rate": 0.01,
        "momentum": 0.5,
        "weight_decay": 0.0001,
        "batch_size": 100,
        "use_binary_states": False,
        "training_errors": [np.float64(0.7), 0.5],
        "reconstruction_error_threshold": np.float64(1.25),
        "free_energy_threshold": np.float32(-9.5),
        "training_time": 3.5,
        "n_epochs_trained": 2,
        "timestamp": "2025-03-08T12:00:00",
    } | other


def npy(path, value, protocol=None):
    """An .npy file of an object, as `np.save` writes it."""
    if protocol is None:
        np.save(path, value, allow_pickle=True)
        return path
    array = np.empty((), object)
    array[()] = value
    return raw(path, pickle.dumps(array, protocol))


def raw(path, payload):
    """An .npy file with this pickle in it."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(head.getvalue() + payload)
    return path


def assert_read(detector, training):
    found = contents()
    for name in ("weights", "visible_bias", "hidden_bias"):
        value = getattr(detector.rbm, name).data
        np.testing.assert_allclose(value, found[name], rtol=1e-6)
        assert value.dtype == np.float32
    assert detector.rbm.visible == "binary"
    assert float(detector.thresholds[1]) == 1.25
    assert training["errors"] == [0.7, 0.5]
    assert training["n_epochs_trained"] == 2


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
def test_a_pickled_file_is_read(tmp_path, protocol):
    assert_read(*read_original(npy(tmp_path / "old.npy", contents(), protocol)))


def test_names_of_older_and_newer_numpy_are_the_same(tmp_path):
    """Files were written before NumPy renamed its inner package, too."""
    path = npy(tmp_path / "old.npy", contents(), 3)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert_read(*read_original(path))


def test_the_json_file_is_read(tmp_path):
    plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in contents().items()}
    plain["training_errors"] = [0.7, 0.5]
    (tmp_path / "old.json").write_text(json.dumps(plain))
    assert_read(*read_original(tmp_path / "old.json"))


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function, *args):
        self._what = (function, args)

    def __reduce__(self):
        return self._what


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "make",
    [
        lambda path: Call(os.system, f"touch {path}"),
        lambda path: Call(eval, f"open({str(path)!r}, 'w')"),
        lambda path: Call(open, str(path), "w"),
        lambda path: Call(np.save, str(path), 1),
        lambda path: Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {path}"))),
        lambda path: Call(getattr, Call(__import__, "os"), "system"),
        lambda path: Call(np.ndarray.tofile, np.ones(3), str(path)),
        lambda path: Call(np.lib.format.open_memmap, str(path), "w+", "f4", None, (3,)),
    ],
)
def test_a_malicious_file_is_refused_and_not_run(tmp_path, protocol, make):
    """Beside valid weights, and in place of the dictionary; the file it would make is not made."""
    victim = tmp_path / "victim"
    for value in (contents(extra=make(victim)), make(victim)):
        path = npy(tmp_path / "old.npy", value, protocol)
        with pytest.raises(BundleError, match=r"it asks for .*Nothing of it was run"):
            read_original(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x04pass\x85R.",
        b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.",
        b"\x80\x02cnumpy\ndtype\nX\x07\x00\x00\x00i4,os.x\x85R.",
        b"\x80\x02Pabc\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x95\xff\xff\xff",
        b"",
        b"I5\n.",
    ],
)
def test_hand_made_pickles_are_refused(tmp_path, payload):
    with pytest.raises(BundleError, match=r"no RBM of the older pipeline.*Nothing of it was run"):
        read_original(raw(tmp_path / "old.npy", payload))


@pytest.mark.parametrize("text", [b"", b"[1, 2]", b"PK\x03\x04", b"\x93NUMPYxxxx"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "old").write_bytes(text)
    with pytest.raises(BundleError, match="no RBM of the older pipeline"):
        read_original(tmp_path / "old")
    with pytest.raises(BundleError, match="cannot be read"):
        read_original(tmp_path / "nothing")


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": None},
        {"weights": np.ones((V, N + 1))},
        {"hidden_bias": np.full(N, np.nan)},
    ],
)
def test_arrays_that_are_no_rbm_are_refused(tmp_path, wrong):
    with pytest.raises(BundleError, match=r"does not hold an RBM.*visible_bias"):
        read_original(npy(tmp_path / "old.npy", contents(**wrong)))


def test_a_plain_array_is_refused(tmp_path):
    np.save(tmp_path / "old.npy", np.ones((2, 3)))
    with pytest.raises(BundleError, match="no dictionary"):
        read_original(tmp_path / "old.npy")


def test_a_bundle_brings_the_detector_back_and_the_right_tail_is_found_anew(tmp_path):
    detector, training = read_original(npy(tmp_path / "old.npy", contents()))
    save_detector(detector, tmp_path / "bundle", name="old", report=training)
    again = load_detector(tmp_path / "bundle")
    rows = np.random.default_rng(2).random((200, V)).astype("float32")
    assert np.array_equal(again.predict(rows), detector.predict(rows))
    assert np.array_equal(
        again.predict(rows), np.asarray(detector.rbm.reconstruction_error(rows)) > 1.25
    )
    with pytest.raises(ValueError, match="threshold=inf"):
        again.predict(rows, "free_energy")
    set_thresholds(again, rows, percentile=90)
    assert again.predict(rows, "free_energy").mean() == pytest.approx(0.1)


def test_a_bundle_of_another_kind_is_refused(tmp_path):
    save_bundle(tmp_path / "bundle", {"w": np.ones(3)}, {"name": "fleet"})
    with pytest.raises(BundleError, match=r"Expected kind='rbm-detector'\. Received: kind=None"):
        load_detector(tmp_path / "bundle")
    save_bundle(tmp_path / "bundle", {"w": np.ones(3)}, {"kind": "rbm-detector", "config": {}})
    with pytest.raises(BundleError, match="does not hold a detector"):
        load_detector(tmp_path / "bundle")
