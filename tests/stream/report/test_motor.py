"""Other thresholds, replayed from the evidence alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import stream.report
from ember_core.pipeline import MotorNeuron, Observation, PackedRows, zero_state
from stream.report._facts import gather
from stream.report._motor import trace
from stream.report._sweep import _payload, sweep
from stream.report._timeline import Axes
from tests.stream.report import small


def _neuron(severity: np.ndarray, motor: MotorNeuron, free: int) -> list:
    """Episodes of the motor neuron itself, row by row."""
    state = zero_state(motor.state_fields(), 1)
    out, first_row = [], None
    for i, s in enumerate(severity):
        observation = Observation(PackedRows([1]), may_fire=np.array([i >= free]))
        state, firing = motor(state, np.array([s], np.float32), observation)
        if firing.fires[0]:
            first_row = i
        if firing.resolves[0]:
            out.append((first_row, i))
    if state["firing"][0]:
        out.append((first_row, len(severity) - 1))
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("on", [1.3, 2.0, 3.1])
def test_episodes_are_those_of_the_motor_neuron(seed: int, on: float) -> None:
    rng = np.random.default_rng(seed)
    severity = (0.4 + rng.exponential(0.6, 997) * (1 + 3 * (rng.random(997) > 0.9))).astype("f4")
    severity[300:340] = 5.0
    motor = MotorNeuron(on=on, off=1.1, time_constant_rows=3.0, refractory_rows=7)
    free = 31
    evidence_trace = trace(severity, motor, free)
    assert _neuron(severity, motor, free) == evidence_trace.episodes(on)
    assert evidence_trace.episodes(on)


def test_nothing_was_scored() -> None:
    empty_trace = trace(np.zeros(0, dtype=np.float32), MotorNeuron())
    assert empty_trace.episodes(2.0) == []
    assert empty_trace.spans.shape == (0, 2)


def test_at_the_run_s_own_threshold_it_gives_the_run_s_own_episodes() -> None:
    threshold = small.model().pipeline.motor.on
    facts = gather(small.result(), small.model())
    assert any(f.episodes for f in facts)
    for f in facts:
        assert [(e.first, e.last) for e in f.episodes] == f.trace.episodes(threshold)


def test_the_page_s_script_counts_as_python_does() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not there to run the page's script")
    facts = gather(small.result(), small.model())
    axes = Axes.of(facts, small.model())
    drawn = [f for f in facts if len(f.scores.score)]
    _, data = _payload(facts, drawn, axes, small.model())
    thresholds = np.round(np.arange(axes.off + 0.1, axes.high, 0.07), 2).tolist()
    script = Path(stream.report.__file__).with_name("report.js")
    program = f"""
    const page = require({json.dumps(str(script))});
    const data = {data};
    for (const key of data.keys) key.e = page.unpack(key.e);
    console.log(JSON.stringify({json.dumps(thresholds)}.map((on) => {{
      const total = [0, 0, 0];
      for (const key of data.keys) {{
        page.evaluate(key, page.episodes(key, on * data.steps)).forEach((n, i) => total[i] += n);
      }}
      return total;
    }})));
    """
    result = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    points = [sweep(facts, threshold) for threshold in thresholds]
    assert [[p.episodes, p.caught, p.false] for p in points] == json.loads(result.stdout)
    assert points[0].episodes > points[-1].episodes
