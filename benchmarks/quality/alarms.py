"""The product's own tail and motor neuron over the scores of any detector.

Every detector that is named beside the product is thresholded with the same effort: a tail per key
from its training scores, thresholds from the training evidence of all keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import (
    FleetModel,
    MotorNeuron,
    Observation,
    PackedRows,
    Tail,
    calibrate,
    fit_tail,
    leaky,
    zero_state,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Alarms:
    """Thresholds of one detector.

    Args:
        train: Scores of the training records, per key.
        like: A trained product: its tail follows as slowly, its motor neuron leaks as fast.
    """

    def __init__(self, train: Sequence[Floats], like: FleetModel) -> None:
        all_scores = np.concatenate(list(train))
        low, mid, high = np.quantile(all_scores, [0.001, 0.5, 0.999])
        # The tail takes a logarithm with a smallest argument: scores come to a scale of their own.
        self._low, self._unit = float(low), max(float(mid - low), 1e-9 * float(high - low), 1e-12)
        tail = like.pipeline.tail.get_config() | {"floor": -0.25}
        self._tail = Tail(**tail)
        self._motor = like.pipeline.motor.get_config()
        logs = [self._tail.log_score(self._scaled(s)) for s in train]
        fits = [fit_tail(key_logs) for key_logs in logs]
        self._first = {
            name: np.array([fit[name] for fit in fits], dtype=np.float32) for name in fits[0]
        }
        traces = []
        for k, key_logs in enumerate(logs):
            tail_state = {name: value[k : k + 1] for name, value in self._first.items()}
            severity = self._tail.severity(tail_state, key_logs)
            traces.append(leaky(severity, self._motor["time_constant_rows"]))
        interval = float(np.median(like.key_state["interval"]))
        self.calibration = calibrate(traces, interval)

    def __call__(self, test: Sequence[Floats]) -> list[Flags]:
        """Mark the episodes of each key, from the record that fires to the one that resolves.

        Args:
            test: Scores of the records, per key in the order of training.
        """
        threshold = self.calibration.level
        motor = MotorNeuron(
            **self._motor | {"on": threshold, "off": min(self.calibration.off, threshold - 1e-6)}
        )
        order = sorted(range(len(test)), key=lambda k: -len(test[k]))
        state = zero_state((*self._tail.state_fields(), *motor.state_fields()), len(test))
        for name, value in self._first.items():
            state[name] = value[order]
        scores = [self._scaled(test[k]) for k in order]
        lengths = np.array([len(s) for s in scores])
        out = [np.zeros(len(s), dtype=bool) for s in scores]
        for t in range(int(lengths.max(initial=0))):
            n = int(np.count_nonzero(lengths > t))
            part = {name: value[:n] for name, value in state.items()}
            score = np.array([s[t] for s in scores[:n]], dtype=np.float32)
            zeros = np.zeros(n, dtype=np.float32)
            observation = Observation(
                PackedRows([n]),
                alarming=part["firing"] > 0,
                learning=zeros,
                may_fire=np.ones(n, dtype=bool),
            )
            tail, severity = self._tail.forward(part, score, observation)
            motor_state, firing = motor.forward(part, severity, observation)
            in_episode = (motor_state["firing"] > 0) | firing.resolves
            for k in np.flatnonzero(in_episode).tolist():
                out[k][t] = True
            for name, value in (tail | motor_state).items():
                state[name][:n] = value
        return [out[order.index(k)] for k in range(len(test))]

    def _scaled(self, score: Floats) -> NDArray[np.float32]:
        return ((score - self._low) / self._unit).astype(np.float32)
