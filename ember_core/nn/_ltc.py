"""Liquid time-constant cells: neurons as leaky membranes, synapses as conductances.

After Hasani et al., "Liquid time-constant networks" (2021). Neuron i obeys

    cm dv/dt = gleak (vleak - v) + sum over synapses of w s(v_source) (erev - v)

with `s(v) = sigmoid(sigma (v - mu))`, and a step is solved in `ode_unfolds` fused implicit ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.ops import Array

from ._cell import WiredCell, check_step
from ._module import Parameter
from ._wiring import Wiring

# Ranges of the first values; conductances and capacities are positive.
_RANGES = {
    "gleak": (0.001, 1.0),
    "vleak": (-0.2, 0.2),
    "cm": (0.4, 0.6),
    "w": (0.001, 1.0),
    "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
}


class LTCCell(WiredCell):
    """An LTC cell over a wiring.

    Args:
        input_size: Columns of the input, F.
        wiring: The wiring; it is built for the input where it was not.
        ode_unfolds: Solver steps in a step.
        epsilon: Added to the denominator of the solver.
        implicit_constraints: Whether positive parameters are a softplus of the stored values; else
            whoever trains keeps them positive.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Attributes:
        gleak: `(U,)`, leak conductance; `vleak`: `(U,)`, its potential; `cm`: `(U,)`, capacity.
        w, sigma, mu, erev: `(U, U)`, of the synapses among neurons, row = source.
        sensory_w, sensory_sigma, sensory_mu, sensory_erev: `(F, U)`, of those from inputs.
        mask, sensory_mask: Buffers of 0 and 1, which synapses are there.
        input_w, input_b: `(F,)`, an affine map of the inputs.
        output_w, output_b: `(output_dim,)`, one of the motor neurons.
    """

    ode_unfolds: int
    epsilon: float
    implicit_constraints: bool
    gleak: Parameter
    vleak: Parameter
    cm: Parameter
    w: Parameter
    sigma: Parameter
    mu: Parameter
    erev: Parameter
    sensory_w: Parameter
    sensory_sigma: Parameter
    sensory_mu: Parameter
    sensory_erev: Parameter
    mask: Array
    sensory_mask: Array
    input_w: Parameter
    input_b: Parameter
    output_w: Parameter
    output_b: Parameter

    def __init__(
        self,
        input_size: int,
        wiring: Wiring,
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        implicit_constraints: bool = False,
        *,
        generator: Any = None,
    ) -> None:
        if ode_unfolds < 1:
            raise ValueError(
                "An LTC cell needs solver steps. Expected ode_unfolds >= 1. "
                f"Received: ode_unfolds={ode_unfolds}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.wiring = wiring.build(input_size)
        self.ode_unfolds = ode_unfolds
        self.epsilon = epsilon
        self.implicit_constraints = implicit_constraints
        units, inputs = wiring.units, input_size
        for name in ("gleak", "vleak", "cm"):
            setattr(self, name, _uniform(generator, name, (units,)))
        for prefix, sources, synapses in (
            ("", units, wiring.adjacency_matrix),
            ("sensory_", inputs, wiring.sensory()),
        ):
            for name in ("w", "sigma", "mu"):
                setattr(self, prefix + name, _uniform(generator, name, (sources, units)))
            signs = synapses.astype(np.float32)
            setattr(self, f"{prefix}erev", Parameter(ops.from_numpy(signs)))
            self.register_buffer(f"{prefix}mask", ops.from_numpy(np.abs(signs)))
        self.input_w = Parameter(ops.ones((inputs,)))
        self.input_b = Parameter(ops.zeros((inputs,)))
        self.output_w = Parameter(ops.ones((wiring.output_dim,)))
        self.output_b = Parameter(ops.zeros((wiring.output_dim,)))

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step.

        Args:
            x: Input, `(B, F)`.
            state: Potentials before the step, `(B, U)`, by neuron id: motor neurons first.
            elapsed: Time since the step before, `(B, 1)`, 0 or more, in units of `cm / gleak`.

        Returns:
            The mapped motor neurons, `(B, output_dim)`, and the potentials after it, `(B, U)`.

        Raises:
            ValueError: If a shape does not fit, which would broadcast to something else.
        """
        check_step(self, x, state, elapsed)
        inputs = x * self.input_w.data + self.input_b.data
        sensory = self._positive(self.sensory_w.data) * self.sensory_mask
        pull_in, hold_in = _currents(
            inputs, sensory, self.sensory_sigma.data, self.sensory_mu.data, self.sensory_erev.data
        )
        w = self._positive(self.w.data) * self.mask
        gleak = self._positive(self.gleak.data)
        # Both sides of the solver's step times the time: a step of no time leaves the state.
        inertia = self._positive(self.cm.data) * self.ode_unfolds
        pull_in = pull_in + gleak * self.vleak.data
        hold_in = hold_in + gleak + self.epsilon
        for _ in range(self.ode_unfolds):
            pull, hold = _currents(state, w, self.sigma.data, self.mu.data, self.erev.data)
            gain = inertia * state + elapsed * (pull_in + pull)
            state = gain / (inertia + elapsed * (hold_in + hold))
        motor = state[:, : self.wiring.output_dim]
        return motor * self.output_w.data + self.output_b.data, state

    def _positive(self, value: Array) -> Array:
        return ops.softplus(value) if self.implicit_constraints else value


def _currents(v: Array, w: Array, sigma: Array, mu: Array, erev: Array) -> tuple[Array, Array]:
    """Over the sources, the sum of conductance times reversal potential, and of conductance."""
    open_share = ops.sigmoid(sigma * (ops.expand_dims(v, -1) - mu))
    conductance = w * open_share
    return ops.sum(conductance * erev, axis=1), ops.sum(conductance, axis=1)


def _uniform(generator: Any, name: str, shape: tuple[int, ...]) -> Parameter:
    low, high = _RANGES[name]
    return Parameter(low + (high - low) * ops.random.uniform(generator, shape))
