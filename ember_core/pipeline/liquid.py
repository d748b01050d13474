"""Liquid network: a recurrent cell with explicit time constants, and its motor neurons.

The cell runs when a row arrives, with the time that has passed since the key's last one:

    z  = tanh([x, h] B + b)
    h' = a h + (1 - a) tanh(z A),   a = exp(-dt exp(clip(z G, -2, 2)) / tau)

after Hasani et al., "Liquid Time-constant Networks" (2021) and "Closed-form continuous-time
neural networks" (2022), with one decay per neuron. `tau` is spread logarithmically from one row
to `tau_max`, so that one state of `H` numbers holds both the last minute and the last day. `B`,
`A` and `G` follow the synapses of a neural circuit policy. Motor neurons read out forecasts of
every channel at several horizons.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import AutoNCP, Module, Parameter
from ember_core.pipeline.kernels.liquid import PackedLiquid

from .packing import PackedRows
from .stage import State, StateField

MOTOR_SHARE = 4  # one neuron in four is a motor neuron
GAPS = 8  # elapsed times whose growth of residuals is known: 1, 2, 4 ... 128 usual intervals


class LiquidNetwork(Module):
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
        self.n_channels, self.n_clock, self.hidden = n_channels, n_clock, hidden
        self.horizons = tuple(int(h) for h in horizons)
        self.tau_max, self.anchor_half_life = float(tau_max), float(anchor_half_life)
        self.sparsity, self.seed = float(sparsity), int(seed)
        n_in = n_channels + n_clock
        self.wiring = AutoNCP(
            hidden, max(2, hidden // MOTOR_SHARE), sparsity_level=sparsity, seed=seed
        )
        self.wiring.build(n_in)
        sensory = np.abs(np.asarray(self.wiring.sensory_adjacency_matrix)).astype(np.float32)
        inner = np.abs(np.asarray(self.wiring.adjacency_matrix)).astype(np.float32)
        own = np.maximum(inner, np.eye(hidden, dtype=np.float32))
        rng = np.random.default_rng(seed)
        synapses = np.concatenate([_fan_in(rng, sensory, 0.5), _spectral(rng, inner, 0.9)], axis=0)
        self.synapses = Parameter(ops.from_numpy(synapses))
        bias = (0.1 * rng.standard_normal(hidden)).astype(np.float32)
        self.bias = Parameter(ops.from_numpy(bias))
        gates = np.concatenate([_fan_in(rng, own, 1.5), _fan_in(rng, own, 0.5)], axis=1)
        self.content_gate = Parameter(ops.from_numpy(gates))
        tau = np.exp(np.linspace(0.0, np.log(max(self.tau_max, 2.0)), hidden))
        self.register_buffer("tau", ops.from_numpy(rng.permutation(tau).astype(np.float32)))
        n_out = n_channels * len(self.horizons)
        self.readout = Parameter(ops.zeros((hidden + n_in + 1, n_out)))
        self.register_buffer("growth", ops.ones((len(self.horizons), GAPS, n_channels)))
        self._exact: dict[str, Any] = {}
        self._of_turns: PackedLiquid | None = None

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal network (weights apart)."""
        return {
            "n_channels": self.n_channels,
            "n_clock": self.n_clock,
            "hidden": self.hidden,
            "horizons": list(self.horizons),
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
        """Exact weights are prepared anew at the next use."""
        self._exact = {}
        self._of_turns = None

    def frozen(self) -> None:
        """Prepare the weights for exact products; call again after changing a parameter."""
        self._exact = {
            name: ops.exact_weight(getattr(self, name).data)
            for name in ("synapses", "content_gate", "readout")
        }
        self._of_turns = None

    def _product(self, x: Any, name: str) -> Any:
        """`x` times a weight: exact, or differentiable while training."""
        if self.training:
            self._exact = {}  # weights move without `assign` now
            return ops.matmul(x, getattr(self, name).data)
        if not self._exact:
            self.frozen()
        return ops.exact_matmul(x, self._exact[name])

    def advance(self, x: Any, h: Any, elapsed: Any) -> Any:
        """The cell alone.

        Args:
            x: Its input, departures from the slow average and the clock, `(B, C + n_clock)`.
            h: Liquid state before, shape `(B, H)`.
            elapsed: Time since the row before, in usual intervals, shape `(B,)`.

        Returns:
            Liquid state after the row, shape `(B, H)`.
        """
        tanh, exp = (ops.tanh, ops.exp) if self.training else (ops.exact_tanh, ops.exact_exp)
        inner = tanh(self._product(ops.concatenate([x, h], axis=1), "synapses") + self.bias.data)
        both = self._product(inner, "content_gate")
        rate = exp(ops.clip(both[:, self.hidden :], -2.0, 2.0)) / self.tau
        decay = exp(-elapsed[:, None] * rate)
        return decay * h + (1.0 - decay) * tanh(both[:, : self.hidden])

    def ahead(self, basis: Any) -> Any:
        """Departures forecast from the slow average, the horizons one after the other.

        Args:
            basis: Liquid state and input, as `forward` gives them, `(..., H + C + n_clock)`.

        Returns:
            Shape `(..., P * C)`, in usual deviations.
        """
        ones = ops.ones_like(basis[..., :1])
        return self._product(ops.concatenate([basis, ones], axis=-1), "readout")

    def forward(
        self,
        state: State,
        z: Any,
        clock: Any,
        elapsed: Any,
        first: Any,
        rows: Any,
        packed: PackedRows | None = None,
    ) -> tuple[State, Any, Any]:
        """What was forecast for each row, then the step, then new forecasts.

        Args:
            state: This component's fields.
            z: Normalised rows, shape `(B, C)`, float32.
            clock: Clock features, shape `(B, n_clock)`, float32.
            elapsed: Time since the key's previous row, in usual intervals, shape `(B,)`.
            first: True where the key has no previous row, shape `(B,)`.
            rows: Rows the key's liquid state had absorbed before, shape `(B,)`, int64.
            packed: Which key each row is of, on NumPy's arrays; without them, rows and fields of
                the state are one to one.

        Returns:
            The state after the rows; the forecasts made for each row, one block of `C` per
            horizon, shape `(B, P, C)`, in usual deviations; the network input with the liquid
            state, shape `(B, H + C + n_clock)`, which a read-out is fitted on.
        """
        if packed is not None and not packed.once:
            return self._turns(state, z, clock, elapsed, first, rows, packed)
        fresh = first[:, None]
        anchor_before = ops.where(fresh, z, state["anchor"])
        due, slots = [], []
        which = ops.arange(z.shape[0], like=z)
        offset = 0
        for horizon in self.horizons:
            slot = offset + rows % horizon
            made = state["pending"][which, slot]
            ready = (rows >= horizon)[:, None]
            due.append(ops.where(ready, made, anchor_before))
            slots.append(slot)
            offset += horizon
        anchor = anchor_before + (1.0 - self._kept(elapsed)) * (z - anchor_before)
        x = ops.concatenate([z - anchor, clock], axis=1)
        h = ops.where(fresh, 0.0 * state["liquid"], state["liquid"])
        h = self.advance(x, h, elapsed)
        basis = ops.concatenate([h, x], axis=1)
        ahead = self.ahead(basis)
        pending = state["pending"]
        ring = ops.arange(sum(self.horizons), like=z)
        for i, slot in enumerate(slots):
            block = ahead[:, i * self.n_channels : (i + 1) * self.n_channels]
            here = (ring[None, :] == slot[:, None])[:, :, None]
            pending = ops.where(here, (anchor + block)[:, None, :], pending)
        return (
            {"anchor": anchor, "liquid": h, "pending": pending},
            ops.stack(due, axis=1),
            basis,
        )

    def _kept(self, elapsed: Any) -> Any:
        """What the slow average keeps of itself, shape `(B, 1)`."""
        fading = elapsed * float(-np.log(2.0) / self.anchor_half_life)
        return (ops.exp(fading) if self.training else ops.exact_exp(fading))[:, None]

    def _turns(
        self,
        state: State,
        z: Any,
        clock: Any,
        elapsed: Any,
        first: Any,
        rows: Any,
        packed: PackedRows,
    ) -> tuple[State, Any, Any]:
        """`forward` of several rows a key: only averages and neurons run in packed."""
        c, fresh = self.n_channels, first[: packed.keys, None]
        start = np.where(fresh, z[: packed.keys], state["anchor"])
        gain = np.repeat(1.0 - self._kept(elapsed), c, axis=1)
        anchor, _ = packed.ewma(start, z, gain)
        x = np.concatenate([z - anchor, clock], axis=1)
        h = np.where(fresh, 0.0 * state["liquid"], state["liquid"])
        h = self._neurons(x, h, elapsed, packed)
        basis = np.concatenate([h, x], axis=1)
        ahead = self.ahead(basis)
        anchor_before = packed.previous(start, anchor)
        pending = state["pending"].copy()
        still = (
            packed.step[packed.last_rows][packed.key] - packed.step
        )  # rows of the key that follow
        due, offset = [], 0
        for i, horizon in enumerate(self.horizons):
            made = anchor + ahead[:, i * c : (i + 1) * c]
            slot = offset + rows % horizon
            earlier = packed.earlier(horizon)
            here = len(rows) - len(earlier)
            old = state["pending"][packed.key[:here], slot[:here]]
            ready = (rows >= horizon)[:, None]
            due.append(np.where(ready, np.concatenate([old, made[earlier]]), anchor_before))
            kept = still < horizon
            pending[packed.key[kept], slot[kept]] = made[kept]
            offset += horizon
        after = {"anchor": packed.last(anchor), "liquid": packed.last(h), "pending": pending}
        return after, np.stack(due, axis=1), basis

    def _neurons(self, x: Any, h: Any, elapsed: Any, packed: PackedRows) -> Any:
        """Liquid state after each row, `(R, H)`."""
        if not self.training and not self._exact:
            self.frozen()
        if self._of_turns is None and not self.training:
            exact = self._exact
            self._of_turns = PackedLiquid(
                exact["synapses"], exact["content_gate"], self.bias.data, self.tau
            )
        if not self.training and self._of_turns is not None and self._of_turns.can(h):
            return self._of_turns(x, h, elapsed, packed)

        def step(before: State, x: Any, elapsed: Any) -> State:
            return {"h": self.advance(x, before["h"], elapsed)}

        return packed.scan(step, {"h": h}, x, elapsed)["h"]

    def residual(self, z: Any, due: Any, elapsed: Any) -> Any:
        """What came against what was forecast, over how it usually grows with the time passed.

        A forecast for the next row says less the longer that row keeps one waiting: without this
        the first row after every outage is a surprise.

        Args:
            z: Normalised rows, shape `(B, C)`, float32.
            due: What `forward` says was forecast for them, shape `(B, P, C)`.
            elapsed: Time since the key's previous row, in usual intervals, shape `(B,)`.

        Returns:
            Shape `(B, P, C)`, in usual deviations; unchanged at one usual interval or less.
        """
        place = ops.clip(ops.log(ops.maximum(elapsed, 1.0)) / float(np.log(2.0)), 0.0, GAPS - 1.0)
        low = ops.minimum(ops.floor(place), GAPS - 2.0)
        share = (place - low)[:, None]
        at = ops.astype(low, "int64")
        departures = []
        for i in range(len(self.horizons)):
            sizes = self.growth[i]
            size = sizes[at] + share * (sizes[at + 1] - sizes[at])
            departures.append((z - due[:, i]) / size)
        return ops.stack(departures, axis=1)


def _fan_in(rng: np.random.Generator, mask: Any, gain: float) -> Any:
    """Random weights on the synapses of `mask`, each neuron's input of size `gain`."""
    weight = rng.standard_normal(mask.shape) * mask
    return (weight * gain / np.sqrt(np.maximum(mask.sum(axis=0), 1.0))).astype(np.float32)


def _spectral(rng: np.random.Generator, mask: Any, radius: float) -> Any:
    """Random recurrent weights on `mask`, scaled to a spectral radius (echo states fade)."""
    weight = rng.standard_normal(mask.shape) * mask
    largest = float(np.max(np.abs(np.linalg.eigvals(weight)), initial=0.0))
    norm = largest if largest > 1e-3 else float(np.linalg.norm(weight, 2)) or 1.0
    return (weight * (radius / norm)).astype(np.float32)
