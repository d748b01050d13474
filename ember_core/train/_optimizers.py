"""Optimisers: arrays in, arrays out, the state handed along.

    state = optimizer.init(parameters)
    parameters, state = optimizer.update(parameters, gradients, state)

with parameters and gradients as dicts by name; gradients point uphill of what is to become small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ember_core import ops
from ember_core.ops import Array

from ._schedules import Schedule, as_schedule

Arrays = dict[str, Array]
State = dict[str, Any]


class Optimizer(Protocol):
    """What every optimiser offers."""

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; the given ones are left as they are."""


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum: `m <- momentum m + g`, `p <- p - rate (m + decay p)`.

    Attributes:
        learning_rate: A number or a schedule.
        momentum: Share of the last step kept, in [0, 1).
        weight_decay: Pull towards 0 of matrices; vectors (biases) are left alone.
    """

    learning_rate: float | Schedule
    momentum: float = 0.0
    weight_decay: float = 0.0

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        return {"step": 0, "momentum": {n: ops.zeros_like(p) for n, p in parameters.items()}}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; the given ones are left as they are."""
        rate = as_schedule(self.learning_rate)(state["step"])
        moved: Arrays = {}
        momenta: Arrays = {}
        for name, p in parameters.items():
            m = self.momentum * state["momentum"][name] + gradients[name]
            step = m + self.weight_decay * p if _decays(p) and self.weight_decay else m
            momenta[name] = m
            moved[name] = p - rate * step
        return moved, {"step": state["step"] + 1, "momentum": momenta}


@dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay (AdamW where `weight_decay` is not 0).

    Attributes:
        learning_rate: A number or a schedule.
        betas: Shares of the first and second moment kept.
        epsilon: Added to the root of the second moment.
        weight_decay: Pull towards 0 of matrices; vectors (biases) are left alone.
    """

    learning_rate: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        zeros = {name: ops.zeros_like(p) for name, p in parameters.items()}
        return {"step": 0, "first": zeros, "second": dict(zeros)}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; the given ones are left as they are."""
        rate = as_schedule(self.learning_rate)(state["step"])
        count = state["step"] + 1
        b1, b2 = self.betas
        first: Arrays = {}
        second: Arrays = {}
        moved: Arrays = {}
        for name, p in parameters.items():
            g = gradients[name]
            first[name] = b1 * state["first"][name] + (1.0 - b1) * g
            second[name] = b2 * state["second"][name] + (1.0 - b2) * ops.square(g)
            root = ops.sqrt(second[name] / (1.0 - b2**count)) + self.epsilon
            step = first[name] / (1.0 - b1**count) / root
            if self.weight_decay and _decays(p):
                step = step + self.weight_decay * p
            moved[name] = p - rate * step
        return moved, {"step": count, "first": first, "second": second}


def clip_by_norm(gradients: Mapping[str, Array], limit: float) -> Arrays:
    """Gradients shortened together to a Euclidean length of at most `limit`."""
    squares = [float(ops.sum(ops.square(g))) for g in gradients.values()]
    norm = sum(squares) ** 0.5
    factor = min(1.0, limit / norm) if norm > 0.0 else 1.0
    return {name: g * factor if factor < 1.0 else g for name, g in gradients.items()}


def _decays(parameter: Array) -> bool:
    return len(ops.shape(parameter)) > 1
