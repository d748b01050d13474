"""The other arrangement of the modules, that of the older pipeline: a cascade.

    features -> RBM hidden probabilities -> liquid network -> motor neuron -> threshold -> trigger

In `Pipeline` the RBM scores the residuals of the liquid network; here the liquid network runs over
the hidden units of the RBM, and its motor neuron fires over a threshold. Without labels
the network forecasts the next row, and the motor neuron's drive is how surprised it is; with
labels the motor neuron has been trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.data.columns import ColumnFeatures
from ember_core.models import RBM, LiquidForecaster
from ember_core.nn import (
    AdaptiveThreshold,
    CellKind,
    FixedThreshold,
    LearnedThreshold,
    Module,
    MotorCell,
    MotorHead,
    MotorOutput,
    Recurrent,
    liquid_cell,
)
from ember_core.ops import Array

from .arrangements import cascade_stages
from .observation import Observation
from .packing import PackedRows
from .stage import Stage, State, StateField, zero_state
from .standardiser import Standardiser


class CascadeOutput(NamedTuple):
    """Decisions of a cascade on each row, arrays `(B, T, ...)`.

    Attributes:
        hidden: Probability that each hidden unit of the RBM is on, `(B, T, N)`.
        score: Drive of the motor neuron before its sigmoid, `(B, T)`: high is anomalous.
        output: Output of the motor neuron, `(B, T)`, in (0, 1).
        threshold: Output from which it fires, `(B, T)`; `None` where triggers were not asked for.
        trigger: 1 where it fires, else 0, `(B, T)`; `None` where triggers were not asked for.
    """

    hidden: Array
    score: Array
    output: Array
    threshold: Array | None
    trigger: Array | None


class CascadePipeline(Module):
    """Features, RBM, liquid network and motor neuron as one object, for `fit.fit_cascade`.

    It is meant for series of one kind: scales are its own, not each series'. All of it is one
    file: `save` and `load`.

    Args:
        n_channels: Numbers in a row, C.
        extractor: Maker of rows of C numbers from a table; without one rows are given as numbers.
        half_lives: Half-life of each exponential window, in usual intervals; none for the rows as
            they are.
        rbm_hidden: Hidden units N of the RBM.
        network_type: Kind of liquid network, see `nn.liquid_cell`.
        units: Its neurons.
        lstm_units: Units of the LSTM beside an `"lstm_gated"` one.
        strides: Strides of stride-aware ones.
        sparsity_level: Share of synapses a wiring leaves out.
        target: `"forecast"` (the next row; no labels) or `"labels"`.
        threshold_type: `"fixed"`, `"adaptive"`, or with labels `"learned"`.
        threshold: Output over which the motor neuron fires (at first).
        adaptation_rate: Rate of an adaptive threshold.
        history_length: Rows an adaptive threshold remembers.
        seed: Seed of all weights.

    Attributes:
        channels: Scale of the channels, a stage.
        features: Scale of the features, a stage.

    Examples:
        >>> from ember_core import ops
        >>> from ember_core.pipeline.cascade import CascadePipeline
        >>> pipeline = CascadePipeline(5, units=13, network_type="cfc")
        >>> said, state = pipeline(ops.ones((2, 7, 5)))
        >>> said.score.shape, said.trigger.shape, said.hidden.shape
        ((2, 7), (2, 7), (2, 7, 64))
    """

    extractor: ColumnFeatures | None
    channels: Standardiser
    features: Standardiser
    rbm: RBM
    network: LiquidForecaster | Recurrent
    motor: MotorHead | None

    def __init__(
        self,
        n_channels: int,
        extractor: ColumnFeatures | None = None,
        half_lives: Sequence[float] = (3.5, 10.0, 17.0),
        rbm_hidden: int = 64,
        network_type: CellKind = "ncp",
        units: int = 64,
        lstm_units: int = 32,
        strides: Sequence[int] = (1, 3, 5),
        sparsity_level: float = 0.5,
        target: Literal["forecast", "labels"] = "forecast",
        threshold_type: Literal["fixed", "adaptive", "learned"] = "fixed",
        threshold: float = 0.5,
        adaptation_rate: float = 0.01,
        history_length: int = 100,
        seed: int = 0,
    ) -> None:
        kinds = ("fixed", "adaptive") + (("learned",) if target == "labels" else ())
        if target not in ("forecast", "labels") or threshold_type not in kinds:
            raise ValueError(
                "The cascade cannot be made so. Expected target 'forecast' or 'labels' and "
                f"threshold_type one of {', '.join(kinds)} (a threshold is learned from labels). "
                f"Received: target={target!r}, threshold_type={threshold_type!r}."
            )
        self.n_channels = n_channels
        self.extractor = extractor
        self.half_lives = tuple(float(h) for h in half_lives)
        self.rbm_hidden = rbm_hidden
        self.network_type: CellKind = network_type
        self.units = units
        self.lstm_units = lstm_units
        self.strides = tuple(int(s) for s in strides)
        self.sparsity_level = sparsity_level
        self.target = target
        self.threshold_type = threshold_type
        self.threshold = threshold
        self.adaptation_rate = adaptation_rate
        self.history_length = history_length
        self.seed = seed
        stages = cascade_stages(n_channels, self.half_lives)
        self._names = tuple(stages)
        for stage_name, stage in stages.items():
            setattr(self, stage_name, stage)
        visible = self.features.n_columns
        self.rbm = RBM(visible, rbm_hidden, generator=ops.generator(seed))
        cell = liquid_cell(
            network_type,
            rbm_hidden,
            units,
            lstm_units=lstm_units,
            strides=self.strides,
            sparsity_level=sparsity_level,
            seed=seed,
        )
        g = ops.generator(seed + 1)
        limit: Any = FixedThreshold(threshold)
        if threshold_type == "adaptive":
            limit = AdaptiveThreshold(threshold, adaptation_rate, history_length)
        elif threshold_type == "learned":
            limit = LearnedThreshold(cell.output_size, threshold, generator=ops.generator(seed + 2))
        if target == "forecast":
            self.network = LiquidForecaster(cell, n_channels, generator=g)
            self.motor = MotorHead(1, limit, generator=g)  # it sees the surprise
            self.motor.synapses.assign({"weight": ops.ones((1, 1))})
        else:
            self.network = Recurrent(MotorCell(cell, 1, limit, generator=g))
            self.motor = None  # it is the cell's

    @property
    def stages(self) -> dict[str, Stage]:
        """Stages up to the RBM by name, in the order a row meets them."""
        return {name: getattr(self, name) for name in self._names}

    def state_fields(self) -> tuple[StateField, ...]:
        """Every field one series remembers."""
        network: Any = self.network
        liquid = network.state_size if self.motor is not None else network.cell.state_size
        motor = 0 if self.motor is None else self.motor.state_size
        return (
            *(field for stage in self.stages.values() for field in stage.state_fields()),
            StateField("liquid", "<f4", (liquid,), "state of the liquid network"),
            StateField("motor", "<f4", (motor,), "state of the motor neuron's threshold"),
        )

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of series never seen, on the backend and device of the weights."""
        return zero_state(self.state_fields(), batch, like=self.channels.mean)

    def rows(self, table: Any) -> Array:
        """Return rows as numbers `(T, C)`, float32, from an array or by the extractor from a table.

        Raises:
            ValueError: If the rows have another width.
        """
        numbers = table if self.extractor is None else self.extractor.transform(table)
        tabular = hasattr(numbers, "columns") or isinstance(numbers, (list, tuple))
        values = np.asarray(numbers if tabular else ops.to_numpy(numbers)).astype(np.float32)
        if values.ndim != 2 or values.shape[1] != self.n_channels:
            raise ValueError(
                f"The rows do not fit the cascade. Expected shape (T, {self.n_channels}). "
                f"Received: shape={values.shape}."
            )
        return ops.from_numpy(values, like=self.channels.mean)

    def recognise(
        self, x: Array, state: State | None = None, elapsed: Array | float = 1.0
    ) -> tuple[Array, Array, State]:
        """Run the first half of the cascade: scaled rows, and features for the RBM.

        Args:
            x: Rows, `(B, T, C)`; a NaN is taken as the channel's last value.
            state: State before them; that of series never seen where not given.
            elapsed: Time since the row before, in usual intervals, a number or `(B, T)`.

        Returns:
            Scaled rows `(B, T, C)`, scaled features `(B, T, V)`, and the state after them, its
            fields of this half.
        """
        shape = ops.shape(x)
        if len(shape) != 3 or shape[2] != self.n_channels or not shape[1]:
            raise ValueError(
                f"The rows do not fit the cascade. Expected shape (B, T, {self.n_channels}) with "
                f"T >= 1. Received: x.shape={shape}. A single series (T, C) needs x[None]."
            )
        state = self.initial_state(shape[0]) if state is None else state
        times = ops.zeros_like(x[:, :, 0]) + elapsed
        packed, stages = PackedRows([shape[0]]), list(self.stages.values())
        rows, features = [], []
        for t in range(shape[1]):
            observation, row = Observation(packed, elapsed=times[:, t]), x[:, t]
            for stage in stages:
                fields, row = stage.forward(state, row, observation)
                state = state | fields
            rows.append(observation.z)
            features.append(row)
        return ops.stack(rows, axis=1), ops.stack(features, axis=1), state

    def hidden(self, features: Array) -> Array:
        """Return the RBM's hidden probabilities `(B, T, N)` of features `(B, T, V)`."""
        b, t, v = ops.shape(features)
        return ops.reshape(self.rbm(ops.reshape(features, (b * t, v))), (b, t, self.rbm_hidden))

    def forward(
        self,
        x: Array,
        state: State | None = None,
        elapsed: Array | float = 1.0,
        return_triggers: bool = True,
    ) -> tuple[CascadeOutput, State]:
        """Decide on rows; no decision depends on a later row.

        Args:
            x: Rows, `(B, T, C)`; a NaN is taken as the channel's last value.
            state: State before them; that of series never seen where not given.
            elapsed: Time since the row before, in usual intervals, a number or `(B, T)`.
            return_triggers: Whether thresholds and triggers are wanted.

        Returns:
            The decision on each row, and the state after them.

        Raises:
            ValueError: If a shape does not fit.
        """
        z, features, new_state = self.recognise(x, state, elapsed)
        hidden = self.hidden(features)
        times = ops.zeros_like(z[:, :, 0]) + elapsed
        initial = self.initial_state(ops.shape(x)[0]) if state is None else state
        if isinstance(self.network, LiquidForecaster):
            reading, liquid = self.network(hidden, initial["liquid"], times, target=z)
            decision, motor = self._drive(reading.score, initial["motor"])
        else:
            output, liquid = self.network(hidden, initial["liquid"], times)
            cell: Any = self.network.cell
            decision, motor = cell.split(output)[1], initial["motor"]
        thresholds = (decision.threshold, decision.trigger) if return_triggers else (None, None)
        result = CascadeOutput(hidden, decision.logit, decision.output, *thresholds)
        return result, {**new_state, "liquid": liquid, "motor": motor}

    def _drive(self, surprise: Array, state: Array) -> tuple[MotorOutput, Array]:
        """Run the motor neuron over surprises `(B, T)`, row after row."""
        assert self.motor is not None
        rows = []
        for t in range(ops.shape(surprise)[1]):
            decision, state = self.motor(surprise[:, t : t + 1], state)
            rows.append(decision)
        return MotorOutput(
            *(ops.concatenate(list(p), axis=1) for p in zip(*rows, strict=True))
        ), state

    def step(
        self, state: State, row: Array, elapsed: Array | float = 1.0
    ) -> tuple[State, CascadeOutput]:
        """Decide on one row per series, as it arrives.

        Args:
            state: State from `initial_state` or the step before.
            row: Rows, `(B, C)`.
            elapsed: Time since each series' row before, in usual intervals, a number or `(B,)`.

        Returns:
            The state after the row, and the decision on it, arrays `(B, 1, ...)`.
        """
        times = elapsed if ops.shape(elapsed) == () else ops.expand_dims(elapsed, 1)
        decision, state = self.forward(ops.expand_dims(row, 1), state, times)
        return state, decision

    def score(self, table: Any, elapsed: Any = 1.0) -> NDArray[np.float32]:
        """Score every row of one series, each from the rows before it and itself.

        Args:
            table: Rows `(T, C)`, or a table where there is an extractor.
            elapsed: Time since the row before, in usual intervals, a number or `(T,)`.

        Returns:
            `(T,)`, high is anomalous.
        """
        x = self.rows(table)
        times = ops.from_numpy(np.broadcast_to(np.float32(elapsed), (len(x),)).copy(), like=x)
        decision, _ = self.forward(x[None], elapsed=times[None], return_triggers=False)
        return np.asarray(ops.to_numpy(decision.score[0]), np.float32)

    def summary(self) -> str:
        """Return the parts, their sizes and their numbers of weights, as a table of text."""
        cell = f"{self.network_type}, {self.units} neurons, {self.target}"
        parts: list[tuple[str, str, Module | None]] = [
            ("extractor", "table to numbers" if self.extractor else "none", None),
            ("features", f"{self.n_channels} channels, {len(self.half_lives)} windows", None),
            ("rbm", f"{self.rbm.n_visible} visible, {self.rbm_hidden} hidden", self.rbm),
            ("liquid network", cell, self.network),
            ("motor neuron", f"{self.threshold_type} threshold {self.threshold:g}", self.motor),
        ]
        total = sum(int(np.prod(ops.shape(p.data))) for p in self.parameters())
        lines = [f"{'part':<16}{'what':<44}{'weights':>9}"]
        for name, description, module in parts:
            parameters = [] if module is None else module.parameters()
            count = sum(int(np.prod(ops.shape(p.data))) for p in parameters)
            lines.append(f"{name:<16}{description:<44}{count:>9,}")
        return "\n".join([*lines, f"{'all':<60}{total:>9,}"])
