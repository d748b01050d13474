"""The service's chain of stages as one object.

    window -> stride-aware features -> liquid network -> RBM free energy -> tail -> motor neuron

A pipeline holds the weights that a fleet shares. The memory of one key is *state*: handed in,
handed back. `observe` and `decide` are recurrent and take one row per key, or several; `score` in
between depends on nothing but the row, so that a batch is scored in one go. `step` is the three of
them. With several rows a key, some stages run as kernels (`kernels.table`), which have the same
bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.models import RBM
from ember_core.nn import Module

from .arguments import (
    as_given,
    as_moments,
    as_times,
    as_values,
    in_channel_order,
    is_foreign,
    on_host,
)
from .arrangements import ROW_ORDER, service_stages
from .arrival import Arrival
from .clock import Clock
from .config import PipelineConfig as PipelineConfig
from .drift import Drift
from .evidence import ChannelEvidence, JointEvidence
from .explain import Explainer
from .group_decision import ChannelRows as ChannelRows
from .group_decision import decide_groups
from .group_motor import GroupMotor
from .kernels.table import KERNELS
from .liquid import LiquidNetwork
from .motor import MotorNeuron
from .normaliser import Normaliser
from .observation import Decision as Decision
from .observation import Observation as Observation
from .packing import PackedRows
from .rbm_score import RBMScore
from .scaler import FeatureScaler
from .stage import Role, Stage, State, StateField, names_with, zero_state
from .tail import Tail
from .usual_band import UsualRows
from .visible_units import VisibleUnits
from .windows import ExponentialWindows, RowWindows

_SERIES_ROWS = 4096  # of a series that `forward` takes in one go


class Pipeline(Module):
    """Stages of one fleet, in the order a row meets them, and the RBM they share.

    Args:
        config: Shape and thresholds of the pipeline.

    Attributes:
        channels: Evidence of the single channels; None with joint evidence alone.
        drift: Drift of the channels, likewise.
        joint: Evidence of all channels together in the same currency, likewise.
        rbm: Source of the score and of explanations, which hold its frozen weights.
        n_features: Number of scaled features, without the clock.
    """

    arrival: Arrival
    normaliser: Normaliser
    windows: ExponentialWindows | RowWindows
    clock: Clock
    liquid: LiquidNetwork
    scaler: FeatureScaler
    visible: VisibleUnits
    rbm_score: RBMScore
    tail: Tail
    motor: MotorNeuron | GroupMotor
    channels: ChannelEvidence | None
    drift: Drift | None
    joint: JointEvidence | None

    def __init__(self, config: PipelineConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = self.drift = self.joint = None
        self._compiled: Mapping[str, Any] = {}
        self._compiled_decision: Any = None
        stages = service_stages(config)
        self._names = tuple(stages)
        for name, stage in stages.items():
            setattr(self, name, stage)
        c = len(config.channels)
        channel_of_visible = self.windows.channel_of_feature()
        channel_of_visible += list(range(c)) * len(config.residuals)
        self.n_features = len(channel_of_visible)
        channel_of_visible += [-1] * self.visible.n_clock
        self.rbm = RBM(
            len(channel_of_visible),
            config.rbm_hidden,
            visible="gaussian",
            generator=ops.generator(config.seed),
        )
        self.explainer = Explainer(channel_of_visible, c)

    def get_config(self) -> dict[str, Any]:
        """Return shape and thresholds as JSON values (weights apart)."""
        parts = ["tail", "motor"]
        if self.channels is not None:
            parts += ["channels", "drift", "joint"]
        configs = {name: getattr(self, name).get_config() for name in parts}
        return {"config": self.config.as_json(), **configs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Pipeline:
        """Make a pipeline from `get_config`, with fresh weights."""
        pipeline = cls(PipelineConfig.from_json(config["config"]))
        pipeline.tail = Tail(**config["tail"])
        if pipeline.channels is None:
            pipeline.motor = MotorNeuron(**config["motor"])
            return pipeline
        pipeline.motor = GroupMotor(**config["motor"])
        pipeline.channels = ChannelEvidence.from_config(config["channels"])
        pipeline.drift, pipeline.joint = Drift(**config["drift"]), JointEvidence(**config["joint"])
        return pipeline

    @property
    def stages(self) -> dict[str, Stage]:
        """Stages by name, in the order a row meets them."""
        return {name: getattr(self, name) for name in self._names}

    @property
    def n_visible(self) -> int:
        """Visible units of the RBM, `V`."""
        return len(self.explainer.channel_of_visible)

    @property
    def fires_from(self) -> int:
        """Rows before a key that the bundle does not know may fire."""
        if self.arrival.is_rehearsed:
            return self.config.warmup_alarm
        return max(self.config.warmup_alarm, self.config.quiet_rows)

    def state_fields(self) -> tuple[StateField, ...]:
        """Every field one key remembers, in the order of a row."""
        stages = self.stages
        order = [name for name in ROW_ORDER if name in stages]
        return tuple(f for name in order for f in stages[name].state_fields())

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of keys never seen."""
        return zero_state(self.state_fields(), batch, like=self.rbm.weights.data)

    def arrays_changed(self) -> None:
        """Drop the frozen weights; they are prepared again at the next use."""
        self.rbm_score.prepare(None)

    def freeze(self) -> None:
        """Prepare exact weights for inference; needed again after any change of a parameter."""
        self.liquid.freeze()
        self.rbm_score.prepare(self.rbm)
        self.visible.arrays_changed()
        self.explainer.prepare(self.rbm)

    def use_compiled(self, *, on: bool = True) -> None:
        """Run stages in their compiled form where they have one: the same bits, in less time.

        Args:
            on: False: run them plain again.

        Raises:
            ImportError: If Numba is not installed.
        """
        # Imports Numba, which a bundle's reader may not have.
        from .compiled.table import DECISIONS, EXPLANATIONS, HOLDS, STAGES

        forms = {name: STAGES.get(type(stage)) for name, stage in self.stages.items() if on}
        forms["held"] = HOLDS.get(type(self.liquid)) if on else None
        forms["explain"] = EXPLANATIONS.get(type(self.explainer)) if on else None
        self._compiled = {name: form for name, form in forms.items() if form is not None}
        self._compiled_decision = DECISIONS.get(type(self.motor)) if on else None

    @property
    def is_compiled(self) -> bool:
        """True where stages run in their compiled form."""
        return bool(self._compiled)

    def observe(
        self,
        state: State,
        values: Any,
        time_us: Any,
        packed: PackedRows | None = None,
        expected: Any = None,
        counted: dict[str, Any] | None = None,
    ) -> Observation:
        """Run the recurrent stages, up to the visible units, over one row per key, or several.

        Args:
            state: Fields of `state_fields`, each `(B, ...)`, or `(K, ...)` with packed rows.
            values: Shape `(B, C)`, float64; NaN where a channel is missing.
            time_us: Event times, shape `(B,)`, int64; later than each key's last row.
            packed: Key of each row, on NumPy's arrays; without it, rows and fields of the state
                are one to one. The numbers are those of one row at a time.
            expected: Expectation of the channels from other rows than these, `(B, C)`, for
                training; see `Observation.expected_level`.
            counted: Departures that count for other channels; see `Observation.counted`.

        Returns:
            The observation, with the state after the rows.

        Raises:
            ValueError: If values, times and state are not those of as many rows.
        """
        self._check(
            values, time_us, len(time_us) if packed is not None else ops.shape(state["rows"])[0]
        )
        observation = Observation(packed or PackedRows([len(time_us)]), self.config, time_us)
        observation.expected_level, observation.counted = expected, counted
        x = values
        for name, stage in self.stages.items():
            if stage is self.rbm_score:
                break
            if stage is self.windows and counted is not None:
                held = self._compiled.get("held", LiquidNetwork.held)
                x = observation.z = held(self.liquid, state, x, observation)
            form = self._compiled.get(name)
            if form is None:
                fields, x = stage.forward(state, x, observation)
            else:
                fields, x = form(stage, state, x, observation)
            observation.state |= fields
        return observation

    def score(self, visible: Any) -> Any:
        """Return the free energy of each row: higher is more improbable.

        Args:
            visible: Shape `(B, V)`, float32.

        Returns:
            Shape `(B,)`, float32; a row's bits do not depend on the batch.
        """
        if not self.rbm_score.prepared:
            self.freeze()
        observation = Observation(PackedRows([len(visible)]))
        form = self._compiled.get("rbm_score")
        if form is None:
            _, score = self.rbm_score.forward({}, visible, observation)
        else:
            _, score = form(self.rbm_score, {}, visible, observation)
        return score

    def decide(
        self,
        state: State,
        score: Any,
        may_fire: Any,
        learning: Any,
        packed: PackedRows | None = None,
        channels: ChannelRows | None = None,
        confidence: Any = None,
        shift: Any = None,
    ) -> Decision:
        """Run tail and motor neuron over one scored row per key, or several.

        Args:
            state: Fields of tail and motor neuron.
            score: Free energy, shape `(B,)`.
            may_fire: True where the key may alarm, shape `(B,)`.
            learning: Weight with which the tail learns the row, shape `(B,)`.
            packed: Key of each row, as in `observe`.
            channels: What `channel_rows` says of the rows; only with channel evidence.
            confidence: Share of the severity of each group that counts, `(B, G)`; None: all of it.
            shift: Severity by which thresholds are lower, `(B, G)`; None: nowhere.
        """
        observation = Observation(
            packed or PackedRows([len(score)]),
            learning=learning,
            may_fire=may_fire,
            confidence=confidence,
            shift=shift,
        )
        if self._compiled_decision is not None:
            compiled: Decision = self._compiled_decision(
                self.tail, self.joint, self.motor, state, score, channels, observation
            )
            return compiled
        if isinstance(self.motor, GroupMotor):
            assert channels is not None
            assert self.joint is not None
            return decide_groups(
                self.tail, self.joint, self.motor, state, score, channels, observation
            )
        if not observation.packed.once:
            decision: Decision = KERNELS["decide"](self.tail, self.motor, state, score, observation)
            decision.confidence = None if confidence is None else confidence[:, 0]
            return decision
        observation.alarming = state["firing"] > 0
        tail, severity = self.tail.forward(state, score, observation)
        share = None if confidence is None else confidence[:, 0]
        if share is not None:
            severity = severity * share
        motor, firing = self.motor.forward(state, severity, observation)
        opened = motor["firing"] > 0
        return Decision(
            tail | motor, severity, motor["evidence"], opened, *firing, confidence=share
        )

    def channel_rows(self, observation: Observation, index: Any = None) -> ChannelRows | None:
        """Return what the decision needs of rows beside their score; None without channels.

        Args:
            observation: Rows observed.
            index: Those that are decided; all of them without it.
        """
        if self.channels is None:
            return None
        part = slice(None) if index is None else index
        return ChannelRows(
            observation.channel_severity[part],
            observation.channel_hold[part],
            observation.elapsed[part],
            self.feature_size(observation.visible[part]),
        )

    def feature_size(self, visible: Any) -> Any:
        """Return the sum of the sizes of rows' features, `(B,)`, float32, without the clock.

        Args:
            visible: Visible units, shape `(B, V)`.
        """
        return ops.astype(ops.wide_sum(ops.abs(visible[:, : self.n_features])), "float32")

    def step(
        self, state: State, values: Any, time_us: Any
    ) -> tuple[State, Observation, Any, Decision]:
        """Run `observe`, `score` and `decide` for one row per key.

        Rows of keys that still warm up get a score too; use `Observation.scored` to leave them
        out. Their decision leaves the state as it was.

        Args:
            state: State of the keys, fields of shape `(B, ...)`.
            values: `(B, C)`, NaN where a channel is missing; a list or frame too.
            time_us: Event times `(B,)`, int64 microseconds, later than each key's last; dates too.

        Raises:
            ValueError: If values, times and state are not those of as many rows, values are no
                numbers, or times are of another unit or not later than a key's last.
        """
        if not is_foreign(time_us):
            time_us = as_moments(time_us)
            self._refuse_older(state, time_us)
        if not is_foreign(values):
            values = in_channel_order(values, self.config.channels)
            values = as_values(values, len(time_us))
        observation = self.observe(state, values, time_us)
        score = self.score(observation.visible)
        decision = self.decide(
            state,
            score,
            observation.may_fire & observation.scored,
            observation.learning,
            channels=self.channel_rows(observation),
            confidence=observation.confidence,
        )
        new = dict(observation.state)
        for name, value in decision.state.items():
            trailing = (1,) * (len(ops.shape(value)) - 1)
            scored = ops.reshape(observation.scored, (-1, *trailing))
            new[name] = ops.where(scored, value, state[name])
        return new, observation, score, decision

    def forward(self, values: Any, time_us: Any, state: State | None = None) -> dict[str, Any]:
        """Run a whole series of one key.

        Args:
            values: Shape `(T, C)`, of any backend; a list or frame, and `(T,)` for one channel too.
            time_us: Shape `(T,)`, int64 microseconds, increasing, of any backend; dates too.
            state: State to begin with, batch 1; default: a key never seen.

        Returns:
            `score`, `severity`, `trigger` (1 fires, -1 resolves, else 0), each `(T,)`, and the
            final `state`.

        Raises:
            ValueError: If a shape does not fit, values are no numbers, or times are of another
                unit, do not increase, or are not later than those of the state.
        """
        values = in_channel_order(values, self.config.channels)
        time_us = as_given(as_times(on_host(time_us)), time_us)
        values = as_given(as_values(on_host(values), len(time_us)), values)
        self._check(values, time_us, len(values))
        state = self.initial_state(1) if state is None else state
        self._refuse_older(state, on_host(time_us[:1]))
        weights = self.rbm.weights.data
        target = {"backend": ops.backend_name(weights), "device": ops.device(weights)}
        values, time_us = ops.to(values, **target), ops.to(time_us, **target)
        size = _SERIES_ROWS if target["backend"] == "numpy" else 1  # only NumPy packs rows
        parts: list[tuple[Any, ...]] = []
        for start in range(0, values.shape[0], size):
            part = slice(start, start + size)
            state, *columns = self._series(state, values[part], time_us[part])
            parts.append(tuple(map(ops.to_numpy, columns)))
        series = [np.concatenate(column) for column in zip(*parts, strict=True)]
        scores, severities, triggers = series or [np.zeros(0)] * 3
        return {
            "score": ops.from_numpy(scores.astype(np.float32), like=values),
            "severity": ops.from_numpy(severities.astype(np.float32), like=values),
            "trigger": ops.from_numpy(triggers.astype(np.int8), like=values),
            "state": state,
        }

    def _series(self, state: State, values: Any, time_us: Any) -> tuple[State, Any, Any, Any]:
        """Return the state after rows of one key, and score, severity and trigger of each."""
        n = values.shape[0]
        observation = self.observe(state, values, time_us, PackedRows([1] * n))
        score = self.score(observation.visible)
        # Once scored, always scored: the rows without a score are the first ones.
        unscored = int(n - ops.sum(ops.astype(observation.scored, "int64")))
        blank = ops.astype(0.0 * score[:unscored], "float32")
        if unscored == n:
            return state | observation.state, blank + float("nan"), blank, blank
        decided = names_with(Role.DECIDED, self.state_fields())
        decision = self.decide(
            {name: state[name] for name in decided},
            score[unscored:],
            observation.may_fire[unscored:],
            observation.learning[unscored:],
            PackedRows([1] * (n - unscored)),
            self.channel_rows(observation, slice(unscored, None)),
            None if observation.confidence is None else observation.confidence[unscored:],
        )
        trigger = ops.astype(decision.fires, "float32") - ops.astype(decision.resolves, "float32")
        return (
            observation.state | decision.state,
            ops.concatenate([blank + float("nan"), score[unscored:]]),
            ops.concatenate([blank, decision.severity]),
            ops.concatenate([blank, trigger]),
        )

    def _refuse_older(self, state: State, time_us: Any) -> None:
        """Refuse rows that are not later than the last one of their key's state."""
        rows, last = ops.to_numpy(state["rows"]), ops.to_numpy(state["last_time"])
        if rows.shape != time_us.shape:
            return  # an empty series, or a mistake that other checks name
        older = (rows > 0) & (time_us <= last)
        if older.any():
            row = int(older.argmax())
            raise ValueError(
                "A series goes on after its state. Expected a time later than "
                f"{int(last[row])}. Received: time_us[{row}]={int(time_us[row])}. "
                "Leave out the rows that the state has seen."
            )

    def _check(self, values: Any, time_us: Any, rows: int) -> None:
        """Refuse rows of other channels or times of other rows."""
        shape = (rows, len(self.config.channels))
        if ops.shape(values) != shape or ops.shape(time_us) != (rows,):
            raise ValueError(
                f"The rows do not fit the pipeline. Expected values of shape {shape} and times "
                f"of shape ({rows},). Received: values.shape={ops.shape(values)}, "
                f"time_us.shape={ops.shape(time_us)}."
            )
        if ops.dtype(time_us) != "int64":
            raise ValueError(
                "Times are whole microseconds since the epoch. Expected int64. "
                f"Received: dtype={ops.dtype(time_us)}."
            )

    def usual_rows(self, observation: Observation, rows: Any, values: Any) -> UsualRows:
        """Return the usual values of rows, and how far the rows are from them.

        Args:
            observation: Rows observed.
            rows: Indices among them, `(N,)`.
            values: Values of these, `(N, C)`, NaN where missing.
        """
        return UsualRows(self.normaliser, observation, rows, values)

    def explain(self, visible: Any) -> Any:
        """Return the share of each channel in the free energy of rows.

        Args:
            visible: Visible units, shape `(B, V)`.

        Returns:
            Shape `(B, C)`, float64, every row summing to 1.
        """
        if not self.rbm_score.prepared:
            self.freeze()
        form = self._compiled.get("explain")
        return self.explainer.attribute(visible) if form is None else form(self.explainer, visible)
