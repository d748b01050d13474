"""Liquid network: a recurrent cell with explicit time constants, and a linear read-out.

The cell runs when a row arrives, with the time that has passed since the key's last one:

    z  = tanh([x, h] B + b)
    h' = a h + (1 - a) tanh(z A),   a = exp(-dt exp(clip(z G, -2, 2)) / tau)

after Hasani et al., "Liquid Time-constant Networks" (2021) and "Closed-form continuous-time
neural networks" (2022), with one decay per neuron. `tau` is spread logarithmically from one row
to `tau_max`, so that one state of `H` numbers holds both the last minute and the last day. `B`,
`A` and `G` follow the synapses of a neural circuit policy. A linear read-out of all neurons and
inputs forecasts every channel at several horizons.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import AutoNCP, Parameter
from ember_core.pipeline.kernels.table import KERNELS

from .forecasts import renew_forecasts, renew_packed_forecasts
from .observation import Observation
from .packing import PackedRows
from .stage import Stage, State, StateField

MOTOR_SHARE = 4  # one neuron in four is a motor neuron
HELD = 0.5  # usual deviations
GAPS = 8  # elapsed times whose growth of residuals is known: 1, 2, 4 ... 128 usual intervals


class LiquidNetwork(Stage):
    """Frozen or trained liquid cell with a linear read-out of forecasts.

    Inputs are each channel's departure from its own slow average and the clock; forecasts are
    departures from that same average, so a drifting level does not unsettle it.

    Products, tanh and exponentials are exact (`ops.exact_matmul`, `ops.exact_tanh`), so that a
    row's bits depend neither on its batch nor on the backend, and have no gradient; after
    `train()` they are the backend's own, which can be differentiated.
    Other than in modules at large, `training` is false until then.

    Args:
        n_channels: Channels forecast, `C`.
        n_clock: Clock columns appended to the input.
        hidden: Neurons, `H`.
        horizons: Forecast horizons in rows.
        residuals: Horizons whose residuals follow the features in the output.
        tau_max: Longest time constant, in usual intervals.
        anchor_half_life: Half-life of the slow average, in usual intervals.
        sparsity: Share of synapses left out of the wiring.
        seed: Seed of wiring and of the untrained weights.
    """

    tau: Any
    growth: Any
    training: bool = False

    def __init__(
        self,
        n_channels: int,
        n_clock: int = 0,
        hidden: int = 32,
        horizons: tuple[int, ...] = (1,),
        *,
        residuals: tuple[int, ...] = (),
        tau_max: float = 2880.0,
        anchor_half_life: float = 20.0,
        sparsity: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if hidden < 8:
            raise ValueError(
                f"A liquid network needs 8 neurons or more. Received: hidden={hidden}."
            )
        if not horizons or min(horizons) < 1:
            raise ValueError(
                "Horizons are counted in rows ahead. Expected one or more, each >= 1. "
                f"Received: horizons={horizons}."
            )
        if not set(residuals) <= set(horizons):
            raise ValueError(
                "Residuals need a forecast. Expected residuals that are some of the horizons. "
                f"Received: horizons={horizons}, residuals={residuals}."
            )
        self.n_channels, self.n_clock, self.hidden = n_channels, n_clock, hidden
        self.horizons = tuple(int(h) for h in horizons)
        self.residuals = tuple(int(h) for h in residuals)
        self.tau_max, self.anchor_half_life = float(tau_max), float(anchor_half_life)
        self.sparsity, self.seed = float(sparsity), int(seed)
        n_in = n_channels + n_clock
        self.wiring = AutoNCP(
            hidden, max(2, hidden // MOTOR_SHARE), sparsity_level=sparsity, seed=seed
        )
        self.wiring.build(n_in)
        sensory = np.abs(np.asarray(self.wiring.sensory_adjacency_matrix)).astype(np.float32)
        inner = np.abs(np.asarray(self.wiring.adjacency_matrix)).astype(np.float32)
        gate_mask = np.maximum(inner, np.eye(hidden, dtype=np.float32))
        rng = np.random.default_rng(seed)
        synapses = np.concatenate([_fan_in(rng, sensory, 0.5), _spectral(rng, inner, 0.9)], axis=0)
        self.synapses = Parameter(ops.from_numpy(synapses))
        bias = (0.1 * rng.standard_normal(hidden)).astype(np.float32)
        self.bias = Parameter(ops.from_numpy(bias))
        gates = np.concatenate([_fan_in(rng, gate_mask, 1.5), _fan_in(rng, gate_mask, 0.5)], axis=1)
        self.content_gate = Parameter(ops.from_numpy(gates))
        tau = np.exp(np.linspace(0.0, np.log(max(self.tau_max, 2.0)), hidden))
        self.register_buffer("tau", ops.from_numpy(rng.permutation(tau).astype(np.float32)))
        n_out = n_channels * len(self.horizons)
        self.readout = Parameter(ops.zeros((hidden + n_in + 1, n_out)))
        self.register_buffer("growth", ops.ones((len(self.horizons), GAPS, n_channels)))
        self._exact: dict[str, Any] = {}
        self._kernel: Any = None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal network (weights apart)."""
        return {
            "n_channels": self.n_channels,
            "n_clock": self.n_clock,
            "hidden": self.hidden,
            "horizons": list(self.horizons),
            "residuals": list(self.residuals),
            "tau_max": self.tau_max,
            "anchor_half_life": self.anchor_half_life,
            "sparsity": self.sparsity,
            "seed": self.seed,
        }

    def state_fields(self) -> tuple[StateField, ...]:
        """Slow average, neurons, and the forecasts whose time has not come."""
        return (
            StateField("anchor", "<f4", (self.n_channels,), "slow average of each channel"),
            StateField("liquid", "<f4", (self.hidden,), "liquid state"),
            StateField(
                "pending",
                "<f4",
                (sum(self.horizons), self.n_channels),
                "forecasts not yet due, a ring per horizon, in usual deviations",
            ),
        )

    def arrays_changed(self) -> None:
        """Drop the exact weights; they are prepared again at the next use."""
        self._exact = {}
        self._kernel = None

    def freeze(self) -> None:
        """Prepare the weights for exact products; call again after changing a parameter."""
        self._exact = {
            name: ops.exact_weight(getattr(self, name).data)
            for name in ("synapses", "content_gate", "readout")
        }
        self._kernel = None

    @property
    def fading(self) -> float:
        """Logarithm of the share that the slow average keeps of itself in one usual interval."""
        return float(-np.log(2.0) / self.anchor_half_life)

    def exact_weight(self, name: str) -> ops.ExactWeight:
        """Return a weight of this name as `ops.exact_matmul` takes it."""
        if not self._exact:
            self.freeze()
        weight: ops.ExactWeight = self._exact[name]
        return weight

    def _product(self, x: Any, name: str) -> Any:
        """Multiply `x` by a weight: exactly, or differentiably while training."""
        if self.training:
            self._exact = {}  # weights move without `assign` now
            return ops.matmul(x, getattr(self, name).data)
        return ops.exact_matmul(x, self.exact_weight(name))

    def advance(self, x: Any, h: Any, elapsed: Any) -> Any:
        """Advance the cell by one row per key.

        Args:
            x: Departures from the slow average, and the clock, `(B, C + n_clock)`.
            h: Liquid state before, shape `(B, H)`.
            elapsed: Time since the row before, in usual intervals, shape `(B,)`.

        Returns:
            Liquid state after the row, shape `(B, H)`.
        """
        tanh, exp = (ops.tanh, ops.exp) if self.training else (ops.exact_tanh, ops.exact_exp)
        inner = tanh(self._product(ops.concatenate([x, h], axis=1), "synapses") + self.bias.data)
        gates = self._product(inner, "content_gate")
        rate = exp(ops.clip(gates[:, self.hidden :], -2.0, 2.0)) / self.tau
        decay = exp(-elapsed[:, None] * rate)
        return decay * h + (1.0 - decay) * tanh(gates[:, : self.hidden])

    def ahead(self, basis: Any) -> Any:
        """Forecast departures from the slow average, the horizons one after the other.

        Args:
            basis: Liquid state and input, as in `Observation.basis`, `(..., H + C + n_clock)`.

        Returns:
            Shape `(..., P * C)`, in usual deviations.
        """
        constant = ops.ones_like(basis[..., :1])
        return self._product(ops.concatenate([basis, constant], axis=-1), "readout")

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Compare each row with its forecast, advance the cell, and forecast rows to come.

        Reads `z`, `clock`, `elapsed`, `first` and `rows` of the rows; adds `due`, the forecasts
        for them, and `basis`, the read-out's input.

        Args:
            state: Fields of this stage, `(K, ...)`.
            x: Features, shape `(R, D)`, to which the residuals are appended.
            observation: Columns of the rows.

        Returns:
            The state after the rows, and the features with the residuals.
        """
        packed, z, elapsed = observation.packed, observation.z, observation.elapsed
        # The first row of each key comes first; a new key's average begins at it.
        is_new = observation.first[: packed.key_count, None]
        start = ops.where(is_new, z[: packed.key_count], state["anchor"])
        gain = ops.repeat(1.0 - self._kept(elapsed), self.n_channels, 1)
        anchor, _ = packed.ewma(start, z, gain)
        observation.slow, departure = anchor, z - anchor
        if observation.counted is not None:
            low, high = observation.counted["low"], observation.counted["high"]
            departure = ops.minimum(ops.maximum(departure, low), high)
        inputs = ops.concatenate([departure, observation.clock], axis=1)
        h = ops.where(is_new, 0.0 * state["liquid"], state["liquid"])
        kernel = self.kernel(h, packed)
        if kernel is None:
            h = self.states(inputs, h, elapsed, packed)
        else:
            h = kernel.states(inputs, h, elapsed, packed)
        observation.basis = ops.concatenate([h, inputs], axis=1)
        forecasts = self.ahead(observation.basis)
        renew = renew_forecasts if packed.once else renew_packed_forecasts
        observation.due, pending = renew(
            self.horizons, state["pending"], start, anchor, forecasts, observation
        )
        if self.residuals:
            residual = self.residual(z, observation.due, elapsed)
            blocks = [residual[:, self.horizons.index(horizon)] for horizon in self.residuals]
            x = ops.concatenate([x, *blocks], axis=1)
        return {"anchor": packed.last(anchor), "liquid": packed.last(h), "pending": pending}, x

    def held(self, state: State, z: Any, observation: Observation) -> Any:
        """Return normalised rows `(R, C)` that averages follow where a side does not count.

        On that side a row lies within `HELD` of the slow average. Otherwise the return from a long
        departure that does not count would look like a departure to the side that does.

        Args:
            state: Fields of this stage before the rows, `(K, ...)`.
            z: Normalised rows, `(R, C)`.
            observation: Columns of the rows.
        """
        packed, counted = observation.packed, observation.counted
        assert counted is not None
        gain = 1.0 - self._kept(observation.elapsed)
        is_new = observation.first[: packed.key_count, None]
        start = {"anchor": ops.where(is_new, z[: packed.key_count], state["anchor"])}

        if not bool(ops.any((counted["held_low"] == 0) | (counted["held_high"] == 0))):
            return z

        def advance(state: State, z: Any, low: Any, high: Any, gain: Any) -> State:
            anchor = state["anchor"]
            bounded = ops.minimum(ops.maximum(z, anchor + (low - HELD)), anchor + (high + HELD))
            return {"anchor": anchor + gain * (bounded - anchor), "held": bounded}

        columns = (z, counted["held_low"], counted["held_high"], gain)
        return packed.scan(advance, start, *columns)["held"]

    def states(self, x: Any, h: Any, elapsed: Any, packed: PackedRows) -> Any:
        """Return the liquid state after each row, step after step: the form kernels are held to.

        Args:
            x: Input of the cell, `(R, C + n_clock)`.
            h: Liquid state before each key's first row, `(K, H)`.
            elapsed: Time since the row before, in usual intervals, `(R,)`.
            packed: Key of each row.

        Returns:
            Shape `(R, H)`.
        """

        def advance(state: State, x: Any, elapsed: Any) -> State:
            return {"h": self.advance(x, state["h"], elapsed)}

        return packed.scan(advance, {"h": h}, x, elapsed)["h"]

    def kernel(self, h: Any, packed: PackedRows) -> Any:
        """Return the fast form of `states`, or None where it does not apply.

        Args:
            h: Liquid state before each key's first row, `(K, H)`.
            packed: Key of each row.
        """
        if packed.once or self.training:
            return None
        if self._kernel is None:
            synapses, gates = self.exact_weight("synapses"), self.exact_weight("content_gate")
            self._kernel = KERNELS["liquid"](synapses, gates, self.bias.data, self.tau)
        return self._kernel if self._kernel.applies(h) else None

    def _kept(self, elapsed: Any) -> Any:
        """Return the share that the slow average keeps of itself, shape `(B, 1)`."""
        exponent = elapsed * self.fading
        return (ops.exp(exponent) if self.training else ops.exact_exp(exponent))[:, None]

    def residual(self, z: Any, due: Any, elapsed: Any) -> Any:
        """Return the difference between rows and forecasts, over its usual growth with time.

        A forecast for the next row says less the longer that row keeps one waiting: without this
        the first row after every outage is a surprise.

        Args:
            z: Normalised rows, shape `(B, C)`, float32.
            due: Forecasts made for them, shape `(B, P, C)`.
            elapsed: Time since the key's previous row, in usual intervals, shape `(B,)`.

        Returns:
            Shape `(B, P, C)`, in usual deviations; unchanged at one usual interval or less.
        """
        # `growth` is known at waits of 1, 2, 4, ... intervals: interpolate between two of them.
        log = ops.log if self.training else ops.exact_log
        octave = ops.clip(log(ops.maximum(elapsed, 1.0)) / float(np.log(2.0)), 0.0, GAPS - 1.0)
        lower = ops.minimum(ops.floor(octave), GAPS - 2.0)
        share = (octave - lower)[:, None]
        index = ops.astype(lower, "int64")
        departures = []
        for i in range(len(self.horizons)):
            sizes = self.growth[i]
            size = sizes[index] + share * (sizes[index + 1] - sizes[index])
            departures.append((z - due[:, i]) / size)
        return ops.stack(departures, axis=1)


def _fan_in(rng: np.random.Generator, mask: Any, gain: float) -> Any:
    """Return random weights on the synapses of `mask`, each neuron's input of size `gain`."""
    weight = rng.standard_normal(mask.shape) * mask
    return (weight * gain / np.sqrt(np.maximum(mask.sum(axis=0), 1.0))).astype(np.float32)


def _spectral(rng: np.random.Generator, mask: Any, radius: float) -> Any:
    """Return random recurrent weights on `mask`, scaled to a spectral radius (echo states fade)."""
    weight = rng.standard_normal(mask.shape) * mask
    largest = float(np.max(np.abs(np.linalg.eigvals(weight)), initial=0.0))
    norm = largest if largest > 1e-3 else float(np.linalg.norm(weight, 2)) or 1.0
    return (weight * (radius / norm)).astype(np.float32)
