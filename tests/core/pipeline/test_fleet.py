"""The bundle of a fleet: saved, loaded, configured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from ember_core.pipeline.fit import Series
from ember_core.serialize import BundleError
from tests.core.conftest import fit, signal, times


def test_a_loaded_bundle_is_the_saved_model(fitted, tmp_path):
    """Keys, first states, thresholds, report, and scores to the bit."""
    fitted.save(tmp_path / "deep" / "er")
    loaded = FleetModel.load(tmp_path / "deep" / "er")
    assert loaded.keys == fitted.keys == [b"key-0", b"key-1"]
    assert loaded.channels == fitted.channels
    assert loaded.report == json.loads(json.dumps(fitted.report))
    assert loaded.sha256 == fitted.sha256 != ""
    assert loaded.pipeline.config == fitted.pipeline.config
    assert loaded.pipeline.motor.get_config() == fitted.pipeline.motor.get_config()
    assert loaded.pipeline.tail.get_config() == fitted.pipeline.tail.get_config()
    for mine, theirs in (
        (loaded.key_state, fitted.key_state),
        (loaded.new_state, fitted.new_state),
    ):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert value.tobytes() == theirs[name].tobytes(), name
    for state in ("key_state", "new_state"):
        runs = [
            m.pipeline(
                signal(100), times(100), {n: v[:1].copy() for n, v in getattr(m, state).items()}
            )
            for m in (loaded, fitted)
        ]
        assert runs[0]["score"].tobytes() == runs[1]["score"].tobytes()


def test_equal_training_gives_an_equal_digest_and_other_data_another(fitted, tmp_path):
    a, b = fit(), fit(seed=1)
    for name, model in (("a", a), ("b", b), ("c", fitted)):
        model.save(tmp_path / name)
    assert a.sha256 == fitted.sha256
    assert b.sha256 != fitted.sha256


def test_keys_of_any_bytes_survive(tmp_path):
    keys = [b"\xff\x00\xfe", "käse".encode(), b"\x00ff", b""]
    model = fit([Series(k, times(140), signal(140, n)) for n, k in enumerate(keys)])
    model.save(tmp_path)
    assert FleetModel.load(tmp_path).keys == keys


def test_settings_that_need_no_training_are_applied(fitted, tmp_path):
    fitted.save(tmp_path)
    model = FleetModel.load(tmp_path)
    same = model.configure(
        refractory_rows=3,
        evidence_rows=7.0,
        warmup_score=5,
        warmup_alarm=6,
        max_gap=2.0,
        anomaly_severity=4.5,
    )
    assert same is model
    config, motor = model.pipeline.config, model.pipeline.motor
    assert (config.warmup_score, config.warmup_alarm) == (5, 6)
    assert (config.max_gap, config.anomaly_severity) == (2.0, 4.5)
    assert (motor.refractory_rows, motor.time_constant_rows) == (3, 7.0)
    assert motor.on == fitted.pipeline.motor.on  # nothing said of the budget
    on = [model.configure(budget_per_week=b).pipeline.motor.on for b in (1e7, 1e3, 1e-2)]
    assert on == sorted(on)
    assert on[0] < on[-1]


def test_what_shapes_weights_cannot_be_configured(fitted):
    with pytest.raises(ValueError, match=r"fixed by training.*hidden"):
        fitted.configure(hidden=64)


@pytest.mark.parametrize(
    "damage", ["config", "tail", "weight", "array", "kinds", "size", "number", "key", "infinite"]
)
def test_a_bundle_that_holds_no_pipeline_is_refused_with_one_sentence(fitted, tmp_path, damage):
    """Which folder, what is missing, what to do; never a traceback of its insides."""
    from ember_core.serialize import load_bundle, save_bundle

    fitted.save(tmp_path)
    arrays, card = load_bundle(tmp_path)
    if damage == "config":
        card["config"]["colour"] = "red"
    elif damage == "tail":
        del card["tail"]
    elif damage == "weight":
        del arrays[next(n for n in arrays if n.startswith("weights."))]
    elif damage == "kinds":
        card["config"] = 7
    elif damage == "size":
        card["config"]["hidden"] = 1_700_000_000
    elif damage == "number":  # in place of a true: once 16 GiB
        card["config"]["levels"] = 2
    elif damage == "key":
        card["keys"][0] = 7
    elif damage == "infinite":
        arrays["weights.rbm.weights"] = np.full_like(arrays["weights.rbm.weights"], np.inf)
    else:
        arrays["key.tail_mid"] = np.zeros(7, dtype=np.float32)
    save_bundle(tmp_path, arrays, card)
    with pytest.raises(BundleError, match="ember train") as error:
        FleetModel.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
