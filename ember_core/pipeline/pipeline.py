"""Features, liquid network, RBM and decision as one object.

    window -> stride-aware features -> liquid network -> RBM free energy -> tail -> motor neuron

A pipeline holds what a fleet shares. What one key remembers is *state*: handed in, handed back.
`observe` and `decide` are recurrent and take one row per key; `score` in between depends on
nothing but the row, so that a batch is scored in one go. `step` is the three of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.models import RBM
from ember_core.nn import Module
from ember_core.pipeline.kernels.decide import decide_packed

from .clock import Clock
from .config import Decision as Decision
from .config import Observation as Observation
from .config import PipelineConfig as PipelineConfig
from .explain import Explainer
from .liquid import LiquidNetwork
from .motor import MotorNeuron
from .normaliser import Normaliser
from .packing import PackedRows
from .scaler import FeatureScaler
from .stage import State, StateField, zero_state
from .tail import Tail
from .windows import ExponentialWindows, RowWindows

SETTLING_ROWS = 64  # of an unknown key: the normaliser alone learns
_SERIES_ROWS = 4096  # of a series that `forward` takes in one go
CLOCK_SCALE = 3.0  # of the clock among many visible units: at 1 the RBM hardly learns it


class Pipeline(Module):
    """The whole chain for one fleet.

    Args:
        config: Its shape.
    """

    whitener: Any

    def __init__(self, config: PipelineConfig) -> None:
        super().__init__()
        if not set(config.residuals) <= set(config.horizons):
            raise ValueError(
                "A pipeline cannot be made so. Expected residuals that are some of the horizons. "
                f"Received: horizons={config.horizons}, residuals={config.residuals}."
            )
        self.config = config
        c = len(config.channels)
        self.normaliser = Normaliser(c)
        self.windows: ExponentialWindows | RowWindows
        if config.windows == "exponential":
            self.windows = ExponentialWindows(c, config.half_lives, levels=config.levels)
        else:
            self.windows = RowWindows(
                c, config.window_size, config.strides, mode=config.windows, levels=config.levels
            )
        self.clock = Clock(config.periods_seconds, config.harmonics)
        self.liquid = LiquidNetwork(
            c,
            self.clock.n_features,
            config.hidden,
            config.horizons,
            tau_max=config.tau_max,
            seed=config.seed,
        )
        self._residual_at = [config.horizons.index(h) for h in config.residuals]
        self.n_features = self.windows.n_features + c * len(config.residuals)
        self.scaler = FeatureScaler(self.n_features)
        owners = self.windows.channel_of_feature() + list(range(c)) * len(config.residuals)
        owners += [-1] * (self.clock.n_features if config.clock_visible else 0)
        self.rbm = RBM(
            len(owners), config.rbm_hidden, visible="gaussian", generator=ops.generator(config.seed)
        )
        self.tail = Tail()
        self.motor = MotorNeuron()
        self.explainer = Explainer(owners, c)
        self._frozen_rbm: Any = None
        self._exact_whitener: Any = None
        if config.whiten:
            self.register_buffer("whitener", ops.eye(len(owners)))

    def get_config(self) -> dict[str, Any]:
        """Shape and thresholds as JSON values (weights apart)."""
        return {
            "config": self.config.as_json(),
            "tail": self.tail.get_config(),
            "motor": self.motor.get_config(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Pipeline:
        """A pipeline made anew from `get_config`, with fresh weights."""
        pipeline = cls(PipelineConfig.from_json(config["config"]))
        pipeline.tail = Tail(**config["tail"])
        pipeline.motor = MotorNeuron(**config["motor"])
        return pipeline

    @property
    def n_visible(self) -> int:
        """Visible units of the RBM, `V`."""
        return len(self.explainer.channel_of_visible)

    def state_fields(self) -> tuple[StateField, ...]:
        """Every field one key remembers, in a fixed order."""
        c = (len(self.config.channels),)
        own = (
            StateField("rows", "<i8", (), "rows absorbed since this state began"),
            StateField("known", "<u1", (), "1 when the bundle brought the key's scales"),
            StateField("last_time", "<i8", (), "event time of the last row, microseconds"),
            StateField("interval", "<f8", (), "usual interval between rows, seconds"),
            StateField("carried", "<f4", c, "last value seen of each channel, usual deviations"),
            StateField("age", "<f4", c, "how long a channel has been missing, usual intervals"),
        )
        return (
            *own,
            *self.normaliser.state_fields(),
            *self.windows.state_fields(),
            *self.scaler.state_fields(),
            *self.liquid.state_fields(),
            *self.tail.state_fields(),
            *self.motor.state_fields(),
        )

    def initial_state(self, batch: int = 1) -> State:
        """State of keys never seen."""
        return zero_state(self.state_fields(), batch, like=self.rbm.weights.data)

    def arrays_changed(self) -> None:
        """What was prepared from the arrays is prepared anew at the next use."""
        self._frozen_rbm = None
        self._exact_whitener = None

    def frozen(self) -> None:
        """Prepare exact weights for inference; needed again after any change of a parameter."""
        self.liquid.frozen()
        self._frozen_rbm = self.rbm.frozen()
        self._exact_whitener = None
        self.explainer.prepare(self.rbm)

    def observe(
        self, state: State, values: Any, time_us: Any, packed: PackedRows | None = None
    ) -> Observation:
        """Normalise, window, and run the liquid network over one row per key, or several.

        Args:
            state: Fields of `state_fields`, each `(B, ...)`, or `(K, ...)` with packed.
            values: Shape `(B, C)`, float64; NaN where a channel is missing.
            time_us: Event times, shape `(B,)`, int64; later than each key's last row.
            packed: Which key each row is of, on NumPy's arrays; without them, rows and fields of
                the state are one to one. The numbers are those of one row at a time.

        Returns:
            The observation, with the state after the rows.

        Raises:
            ValueError: If values, times and state are not those of as many rows.
        """
        self._check(
            values, time_us, len(time_us) if packed is not None else ops.shape(state["rows"])[0]
        )
        config = self.config
        packed = packed or PackedRows([len(time_us)])
        rows = packed.expand(state["rows"]) + packed.step if not packed.once else state["rows"]
        known = packed.expand(state["known"])
        first, unknown = rows == 0, known == 0
        warming = unknown & (rows < config.warmup_alarm)
        learning = bool(ops.any(warming))
        n = ops.astype(rows, "float64")
        seconds = (
            ops.astype(time_us - packed.previous(state["last_time"], time_us), "float64") * 1e-6
        )
        seconds = ops.where(first, packed.expand(state["interval"]), seconds)

        # usual interval: running mean of the gaps, a gap counting at most five times the usual
        share = ops.where(warming & ~first, 1.0 / ops.maximum(n, 1.0), 0.0)
        usual = packed.expand(state["interval"])
        if learning:
            usual = packed.scan(_pace, {"interval": state["interval"]}, seconds, share)["interval"]
        elapsed = ops.where(usual > 0, seconds / ops.maximum(usual, 1e-6), 1.0)
        elapsed = ops.astype(ops.clip(ops.where(first, 0.0, elapsed), 0.0, 1e4), "float32")
        new: State = {
            "rows": packed.last(rows + 1),
            "known": state["known"],
            "last_time": packed.last(time_us),
            "interval": packed.last(usual),
        }

        own = {f.name: state[f.name] for f in self.normaliser.state_fields()}
        if learning:
            own = packed.scan(self.normaliser.learn, own, values, warming)
            new |= {name: packed.last(value) for name, value in own.items()}
        else:
            new |= own
            own = {name: packed.expand(value) for name, value in own.items()}
        z, moved = self._filled(state, self.normaliser(own, values), elapsed, packed)
        new |= moved

        moved, features = self.windows(state, z, elapsed, first, packed)
        new |= moved
        clock = self.clock(time_us)
        moved, due, basis = self.liquid(state, z, clock, elapsed, first, rows, packed)
        new |= moved
        raw = features
        if self._residual_at:
            surprise = self.liquid.residual(z, due, elapsed)
            blocks = [surprise[:, i] for i in self._residual_at]
            raw = ops.concatenate([features, *blocks], axis=1)

        learns = warming & (rows >= SETTLING_ROWS)
        scales = {f.name: state[f.name] for f in self.scaler.state_fields()}
        if bool(ops.any(learns)):
            share = ops.where(learns, 1.0 / ops.maximum(n - (SETTLING_ROWS - 1.0), 1.0), 0.0)
            scales = packed.scan(self.scaler.learn, scales, raw, ops.astype(share, "float32"))
            new |= {name: packed.last(value) for name, value in scales.items()}
        else:
            new |= scales
            scales = {name: packed.expand(value) for name, value in scales.items()}
        visible = self.visible_units(scales, raw, clock)

        settled = rows >= config.quiet_rows  # slow windows begun at one row call the next unusual
        scored = ~unknown | (rows >= config.warmup_score)
        gained = ops.maximum(n - config.warmup_score, 0.0)
        gains = ops.where(warming & scored, 1.0 / (gained + 25.0), 0.0)
        return Observation(
            state=new,
            visible=visible,
            z=z,
            expected=due[:, 0],
            scored=scored,
            may_fire=settled & (~unknown | (rows >= config.warmup_alarm)),
            learning=ops.astype(gains, "float32"),
            raw=raw,
            basis=basis,
            elapsed=elapsed,
            interval=usual,
        )

    def _filled(self, state: State, z: Any, elapsed: Any, packed: PackedRows) -> tuple[Any, State]:
        """Rows with missing channels carried forward for a while, then at their mean."""
        missing = ~ops.isfinite(z)
        start = {"age": state["age"], "carried": state["carried"]}
        if not packed.once and not bool(ops.any(missing)):
            return z, {"age": 0.0 * start["age"], "carried": packed.last(z)}

        def step(before: State, z: Any, missing: Any, elapsed: Any) -> State:
            age = ops.where(missing, before["age"] + elapsed[:, None], 0.0 * before["age"])
            return {"age": age, "carried": ops.where(missing, before["carried"], z)}

        after = packed.scan(step, start, z, missing, elapsed)
        carried = packed.previous(start["carried"], after["carried"])
        carry = ops.where(after["age"] <= self.config.max_gap, carried, 0.0 * carried)
        ends = {name: packed.last(value) for name, value in after.items()}
        return ops.where(missing, carry, z), ends

    def visible_units(self, state: State, raw: Any, clock: Any) -> Any:
        """The RBM's visible units: scaled features, and the clock where it is one of them.

        Args:
            state: Fields of the feature scaler.
            raw: Unscaled features, shape `(B, D)`.
            clock: Clock features, shape `(B, n_clock)`.

        Returns:
            Shape `(B, V)`, float32.
        """
        visible = self.scaler(state, raw)
        if self.config.clock_visible and self.clock.n_features:
            visible = ops.concatenate([visible, CLOCK_SCALE * clock], axis=1)
        return self.whiten(visible)

    def whiten(self, visible: Any) -> Any:
        """Take the fleet's usual correlations out of visible units, where the pipeline whitens.

        Args:
            visible: Shape `(B, V)`.

        Returns:
            `clip(visible W, -10, 10)` with the symmetric (ZCA) whitening matrix `W` of training,
            so that each unit stays nearest to the feature it came from.
        """
        if not self.config.whiten:
            return visible
        if self._exact_whitener is None:
            self._exact_whitener = ops.exact_weight(self.whitener)
        return ops.clip(ops.exact_matmul(visible, self._exact_whitener), -10.0, 10.0)

    def whiten_by(self, visible: Any) -> None:
        """Fit the whitening matrix on training rows, shape `(R, V)`."""
        covariance = np.cov(ops.to_numpy(visible).astype(np.float64), rowvar=False)
        values, vectors = np.linalg.eigh(covariance)
        whitener = (vectors / np.sqrt(values + self.config.whiten)) @ vectors.T
        self.whitener = ops.from_numpy(whitener.astype(np.float32), like=self.whitener)
        self._exact_whitener = None

    def score(self, visible: Any) -> Any:
        """RBM free energy of each row: higher is more improbable.

        Args:
            visible: Shape `(B, V)`, float32.

        Returns:
            Shape `(B,)`, float32; a row's bits do not depend on the batch.
        """
        if self._frozen_rbm is None:
            self.frozen()
        return ops.astype(self._frozen_rbm.free_energy(visible), "float32")

    def decide(
        self,
        state: State,
        score: Any,
        may_fire: Any,
        learning: Any,
        packed: PackedRows | None = None,
    ) -> Decision:
        """Tail probability and motor neuron of one scored row per key, or several.

        Args:
            state: Fields of tail and motor neuron.
            score: Free energy, shape `(B,)`.
            may_fire: True where the key may alarm, shape `(B,)`.
            learning: Share with which the tail learns the row, shape `(B,)`.
            packed: Which key each row is of, as in `observe`.
        """
        if packed is not None and not packed.once:
            return Decision(
                *decide_packed(self.tail, self.motor, state, score, may_fire, learning, packed)
            )
        alarming = state["firing"] > 0
        tail, severity = self.tail(state, score, alarming, learning)
        motor, fires, resolves = self.motor(state, severity, may_fire)
        return Decision(
            state=tail | motor,
            severity=severity,
            evidence=motor["evidence"],
            firing=motor["firing"] > 0,
            fires=fires,
            resolves=resolves,
        )

    def step(
        self, state: State, values: Any, time_us: Any
    ) -> tuple[State, Observation, Any, Decision]:
        """`observe`, `score` and `decide` for one row per key.

        Rows of keys that still warm up get a score too; use `Observation.scored` to leave them
        out. Their decision leaves the state as it was.

        Args:
            state: State of the keys, fields of shape `(B, ...)`.
            values: `(B, C)`, NaN where a channel is missing.
            time_us: Event times `(B,)`, int64 microseconds.
        """
        seen = self.observe(state, values, time_us)
        score = self.score(seen.visible)
        decision = self.decide(state, score, seen.may_fire & seen.scored, seen.learning)
        after = dict(seen.state)
        for name, value in decision.state.items():
            after[name] = ops.where(seen.scored, value, state[name])
        return after, seen, score, decision

    def forward(self, values: Any, time_us: Any, state: State | None = None) -> dict[str, Any]:
        """Run a whole series of one key.

        Args:
            values: Shape `(T, C)`, of any backend.
            time_us: Shape `(T,)`, int64, increasing, of any backend.
            state: State to begin with, batch 1; default: a key never seen.

        Returns:
            `score`, `severity`, `firing` (trigger: 1 fires, -1 resolves, 0), each `(T,)`, and
            the final `state`.

        Raises:
            ValueError: If a shape does not fit, or times do not increase.
        """
        self._check(values, time_us, len(values))
        if not bool(ops.all(time_us[1:] > time_us[:-1])):
            raise ValueError(
                "The times of a series must increase. Expected each later than the one before. "
                "Received: times that stand still or go back. Sort the rows; keep one of each time."
            )
        state = self.initial_state(1) if state is None else state
        own = self.rbm.weights.data
        place = {"backend": ops.backend_name(own), "device": ops.device(own)}
        values, time_us = ops.to(values, **place), ops.to(time_us, **place)
        size = _SERIES_ROWS if place["backend"] == "numpy" else 1
        columns: list[tuple[Any, ...]] = []
        for begin in range(0, values.shape[0], size):
            part = slice(begin, begin + size)
            state, *said = self._series(state, values[part], time_us[part])
            columns.append(tuple(map(ops.to_numpy, said)))
        whole = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
        scores, severities, triggers = whole or [np.zeros(0)] * 3
        return {
            "score": ops.from_numpy(scores.astype(np.float32), like=values),
            "severity": ops.from_numpy(severities.astype(np.float32), like=values),
            "trigger": ops.from_numpy(triggers.astype(np.int8), like=values),
            "state": state,
        }

    def _series(self, state: State, values: Any, time_us: Any) -> tuple[State, Any, Any, Any]:
        """Rows of one key: its state after them; score, severity and trigger of each."""
        n = values.shape[0]
        seen = self.observe(state, values, time_us, PackedRows([1] * n))
        score = self.score(seen.visible)
        cold = int(n - ops.sum(ops.astype(seen.scored, "int64")))  # once scored, always scored
        blank = ops.astype(0.0 * score[:cold], "float32")
        if cold == n:
            return state | seen.state, blank + float("nan"), blank, blank
        fields = (*self.tail.state_fields(), *self.motor.state_fields())
        before = {f.name: state[f.name] for f in fields}
        decision = self.decide(
            before,
            score[cold:],
            seen.may_fire[cold:],
            seen.learning[cold:],
            PackedRows([1] * (n - cold)),
        )
        trigger = ops.astype(decision.fires, "float32") - ops.astype(decision.resolves, "float32")
        return (
            seen.state | decision.state,
            ops.concatenate([blank + float("nan"), score[cold:]]),
            ops.concatenate([blank, decision.severity]),
            ops.concatenate([blank, trigger]),
        )

    def _check(self, values: Any, time_us: Any, rows: int) -> None:
        """Refuse rows of other channels or times of other rows."""
        wanted = (rows, len(self.config.channels))
        if ops.shape(values) != wanted or ops.shape(time_us) != (rows,):
            raise ValueError(
                f"The rows do not fit the pipeline. Expected values of shape {wanted} and times "
                f"of shape ({rows},). Received: values.shape={ops.shape(values)}, "
                f"time_us.shape={ops.shape(time_us)}."
            )
        if ops.dtype(time_us) != "int64":
            raise ValueError(
                "Times are whole microseconds since the epoch. Expected int64. "
                f"Received: dtype={ops.dtype(time_us)}."
            )

    def explain(self, visible: Any) -> Any:
        """Share of each channel in the free energy of rows.

        Args:
            visible: Shape `(B, V)`.

        Returns:
            Shape `(B, C)`, float64, every row summing to 1.
        """
        if self._frozen_rbm is None:
            self.frozen()
        return self.explainer(visible)


def _pace(before: State, seconds: Any, share: Any) -> State:
    """The usual interval after one row per key; fields and arrays of shape `(B,)`, float64."""
    usual = before["interval"]
    bounded = ops.where(usual > 0, ops.minimum(seconds, 5.0 * usual), seconds)
    return {"interval": usual + share * (bounded - usual)}
