"""Motor neurons and their thresholds against the older pipeline, executed."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn

FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
FLOAT64 = {"rtol": 1e-9, "atol": 1e-12}


def weigh(there, head, kernel, bias):
    there.put(head.synapses, {"weight": kernel, "bias_vector": bias})
    return head


def test_output_and_trigger_of_the_fixed_threshold_are_the_first_versions(there, golden_data):
    golden = np.load(golden_data / "ember_motor_TF_original.npz")
    head = nn.MotorHead(6, nn.FixedThreshold(float(golden["motor/threshold"])))
    weigh(there, head, golden["motor/kernel"], golden["motor/bias"])
    motor, _ = head(there.array(golden["motor/x"]), there.array(np.zeros((40, 0), "float32")))
    _, output, threshold, trigger = there.run(lambda: tuple(motor))
    np.testing.assert_allclose(output, golden["motor/output"], **FLOAT32)
    assert np.array_equal(trigger, golden["motor/trigger"])
    assert (threshold == 0.5).all()


def test_adaptive_threshold_follows_the_first_versions_for_300_rows(there, golden_data):
    """From a history of zeros, as the first version begins; here a fresh one holds no rows."""
    golden = np.load(golden_data / "ember_motor_TF_original.npz")
    first, rate, length = golden["adaptive/params"]
    adaptive = nn.AdaptiveThreshold(float(first), float(rate), int(length))
    state = np.zeros((2, adaptive.state_size), "float32")
    state[:, int(length) + 1] = length
    for t, y in enumerate(golden["adaptive/y"]):
        # The second row sees other values: statistics are each row's own.
        output = np.asarray([[y], [1.0 - y]], "float32")
        threshold, state = there.run(adaptive, output, output, state)
        assert (y > threshold[0, 0]) == bool(golden["adaptive/trigger"][t])
        after = first + state[0, -1]
        assert after == pytest.approx(golden["adaptive/threshold_after"][t], rel=1e-5, abs=2e-6)


@pytest.mark.parametrize("kind", ["learned", "fixed"])
def test_output_threshold_and_trigger_are_the_later_versions(there, golden_data, kind):
    golden = np.load(golden_data / "ember_motor_gate_multistride_HEAD_shim.npz")
    prefix = "motor" if kind == "learned" else "motor_fixed"
    learned = nn.LearnedThreshold(8)
    there.put(
        learned.projection, {"weight": golden["motor/thr_W"], "bias_vector": golden["motor/thr_b"]}
    )
    head = nn.MotorHead(8, learned if kind == "learned" else nn.FixedThreshold(0.6))
    weigh(there, head, golden["motor/out_W"], golden["motor/out_b"])
    motor, _ = head(there.array(golden["motor/x"]), there.array(np.zeros((50, 0))))
    _, output, threshold, trigger = there.run(lambda: tuple(motor))
    np.testing.assert_allclose(output, golden[f"{prefix}/output"], **FLOAT64)
    np.testing.assert_allclose(threshold, golden[f"{prefix}/threshold"], **FLOAT64)
    assert np.array_equal(trigger, golden[f"{prefix}/trigger"])
    assert 0 < trigger.sum() < 50
