"""Optimisers: arrays in, arrays out, the state handed along.

    state = optimizer.init(parameters)
    parameters, state = optimizer.update(parameters, gradients, state)

with parameters and gradients as dicts by name; gradients point uphill of the value to minimise.
A state is the number of steps and dicts of arrays, so that a checkpoint can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ember_core import ops
from ember_core.ops import Array

from ._schedules import Schedule, as_schedule, check_rate

Arrays = dict[str, Array]
State = dict[str, Any]


class Optimizer(Protocol):
    """Interface of every optimiser."""

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; the given ones are left as they are.

        Args:
            parameters: Parameters by name.
            gradients: Gradient of each parameter, under its name and of its shape.
            state: State from `init`, or from the step before.
        """


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum: `m <- momentum m + g`, `p <- p - rate (m + decay p)`.

    Attributes:
        learning_rate: A number or a schedule.
        momentum: Share of the last step kept, in [0, 1); a number or a schedule.
        weight_decay: Pull towards 0 of matrices; vectors (biases) are left alone.
        nesterov: Whether to look ahead: `p <- p - rate (g + momentum m + decay p)` with the new
            `m` (Sutskever et al., "On the importance of initialization and momentum", 2013).

    Raises:
        ValueError: If a setting is out of range.
    """

    learning_rate: float | Schedule
    momentum: float | Schedule = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that would not descend."""
        fixed = 0.0 if callable(self.momentum) else self.momentum
        _check(self.learning_rate, self.weight_decay, momentum=fixed)

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        has_momentum = callable(self.momentum) or self.momentum != 0.0
        return {"step": 0, "momentum": _zeros(parameters) if has_momentum else {}}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; arguments as `Optimizer`."""
        rate = float(as_schedule(self.learning_rate)(state["step"]))
        keep = float(self.momentum(state["step"]) if callable(self.momentum) else self.momentum)
        updated: Arrays = {}
        momenta: Arrays = {}
        for name, p in parameters.items():
            step = gradients[name]
            if state["momentum"]:
                m = keep * state["momentum"][name] + step
                momenta[name] = m
                step = step + keep * m if self.nesterov else m
            if self.weight_decay and _decays(p):
                step = step + self.weight_decay * p
            updated[name] = p - rate * step
        return updated, {"step": state["step"] + 1, "momentum": momenta}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015); weight decay is part of the gradient, as in the paper's L2.

    Attributes:
        learning_rate: A number or a schedule.
        betas: Shares of the first and second moment kept.
        epsilon: Added to the root of the second moment.
        weight_decay: Pull towards 0 of matrices; vectors (biases) are left alone.

    Raises:
        ValueError: If a setting is out of range.
    """

    learning_rate: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that would not descend."""
        first, second = self.betas
        _check(self.learning_rate, self.weight_decay, self.epsilon, first=first, second=second)

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        return {"step": 0, "first": _zeros(parameters), "second": _zeros(parameters)}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; arguments as `Optimizer`."""
        pulled = {
            name: gradients[name] + self.weight_decay * p
            if self.weight_decay and _decays(p)
            else gradients[name]
            for name, p in parameters.items()
        }
        return _adam(self, parameters, pulled, state, decay=0.0)


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Attributes:
        learning_rate: A number or a schedule.
        betas: Shares of the first and second moment kept.
        epsilon: Added to the root of the second moment.
        weight_decay: Pull towards 0 of matrices, times the rate; vectors are left alone.

    Raises:
        ValueError: If a setting is out of range.
    """

    learning_rate: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        """Refuse settings that would not descend."""
        first, second = self.betas
        _check(self.learning_rate, self.weight_decay, self.epsilon, first=first, second=second)

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        return {"step": 0, "first": _zeros(parameters), "second": _zeros(parameters)}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; arguments as `Optimizer`."""
        return _adam(self, parameters, gradients, state, decay=self.weight_decay)


@dataclass(frozen=True)
class RMSprop:
    """Gradients over the root of their mean square (Tieleman and Hinton, 2012).

    Attributes:
        learning_rate: A number or a schedule.
        decay: Share of the mean square kept.
        epsilon: Added to the root of the mean square.
        momentum: Share of the last step kept, in [0, 1).
        weight_decay: Pull towards 0 of matrices, part of the gradient.

    Raises:
        ValueError: If a setting is out of range.
    """

    learning_rate: float | Schedule = 1e-2
    decay: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that would not descend."""
        fixed = {"decay": self.decay, "momentum": self.momentum}
        _check(self.learning_rate, self.weight_decay, self.epsilon, **fixed)

    def init(self, parameters: Mapping[str, Array]) -> State:
        """State before the first step."""
        momenta = _zeros(parameters) if self.momentum else {}
        return {"step": 0, "square": _zeros(parameters), "momentum": momenta}

    def update(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: State
    ) -> tuple[Arrays, State]:
        """Parameters and state after one step; arguments as `Optimizer`."""
        rate = float(as_schedule(self.learning_rate)(state["step"]))
        updated: Arrays = {}
        squares: Arrays = {}
        momenta: Arrays = {}
        for name, p in parameters.items():
            g = gradients[name]
            if self.weight_decay and _decays(p):
                g = g + self.weight_decay * p
            squares[name] = self.decay * state["square"][name] + (1.0 - self.decay) * ops.square(g)
            step = g / (ops.sqrt(squares[name]) + self.epsilon)
            if self.momentum:
                step = momenta[name] = self.momentum * state["momentum"][name] + step
            updated[name] = p - rate * step
        return updated, {"step": state["step"] + 1, "square": squares, "momentum": momenta}


def global_norm(gradients: Mapping[str, Array]) -> float:
    """Euclidean length of all gradients together; not finite where any of them is not."""
    with np.errstate(over="ignore"):
        norm = _norm(gradients)
    if math.isfinite(norm):
        return norm
    largest = max(float(ops.max(ops.abs(g))) for g in gradients.values())
    if not math.isfinite(largest):
        return norm
    return largest * _norm({name: g / largest for name, g in gradients.items()})  # squares overflow


def clip_by_norm(
    gradients: Mapping[str, Array], limit: float, *, norm: float | None = None
) -> Arrays:
    """Gradients shortened together to a Euclidean length of at most `limit`.

    Args:
        gradients: Gradients by name.
        limit: Longest that is left as it is.
        norm: Their `global_norm`, where it is known.
    """
    norm = global_norm(gradients) if norm is None else norm
    factor = min(1.0, limit / norm) if norm > 0.0 else 1.0
    return {name: g * factor if factor < 1.0 else g for name, g in gradients.items()}


def clip_by_value(gradients: Mapping[str, Array], limit: float) -> Arrays:
    """Every element of the gradients held within `-limit` and `limit`."""
    return {name: ops.clip(g, -limit, limit) for name, g in gradients.items()}


def _adam(
    how: Adam | AdamW,
    parameters: Mapping[str, Array],
    gradients: Mapping[str, Array],
    state: State,
    decay: float,
) -> tuple[Arrays, State]:
    """The step that both have; `decay` acts on the parameters directly."""
    rate = float(as_schedule(how.learning_rate)(state["step"]))
    count = state["step"] + 1
    b1, b2 = how.betas
    first: Arrays = {}
    second: Arrays = {}
    updated: Arrays = {}
    for name, p in parameters.items():
        g = gradients[name]
        first[name] = b1 * state["first"][name] + (1.0 - b1) * g
        second[name] = b2 * state["second"][name] + (1.0 - b2) * ops.square(g)
        root = ops.sqrt(second[name] / (1.0 - b2**count)) + how.epsilon
        step = first[name] / (1.0 - b1**count) / root
        if decay and _decays(p):
            step = step + decay * p
        updated[name] = p - rate * step
    return updated, {"step": count, "first": first, "second": second}


def _check(
    rate: float | Schedule, weight_decay: float, epsilon: float = 1.0, **shares: float
) -> None:
    if not callable(rate):
        check_rate(rate)
    in_range = all(0.0 <= share < 1.0 for share in shares.values())
    if not (in_range and 0.0 <= weight_decay < math.inf and 0.0 < epsilon < math.inf):
        values = {**shares, "epsilon": epsilon, "weight_decay": weight_decay}
        raise ValueError(
            "The optimiser cannot be set so. Expected shares kept in [0, 1), epsilon > 0 and "
            f"weight_decay >= 0. Received: {', '.join(f'{k}={v}' for k, v in values.items())}."
        )


def _norm(gradients: Mapping[str, Array]) -> float:
    return math.sqrt(sum(float(ops.sum(ops.square(g))) for g in gradients.values()))


def _zeros(parameters: Mapping[str, Array]) -> Arrays:
    return {name: ops.zeros_like(p) for name, p in parameters.items()}


def _decays(parameter: Array) -> bool:
    return len(ops.shape(parameter)) > 1
