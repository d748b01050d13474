"""A training under way, and the callbacks it calls: two sides of one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ember_core.ops import Array

from ._history import History
from ._optimizers import Arrays, Optimizer, State
from ._strategy import BatchSlice, Strategy


class Callback:
    """Hooks at four moments of a training; a subclass overrides those it needs.

    In a training over several processes every process calls its own callbacks with the same
    figures, so that they decide alike; one that writes or prints looks at `run.strategy.rank`.

    Examples:
        >>> from ember_core import ops
        >>> from ember_core.models import RBM
        >>> from ember_core.training import Callback, fit_rbm
        >>> class Three(Callback):
        ...     def on_epoch(self, run):
        ...         if run.history.epochs == 3:
        ...             run.stop()
        >>> rows = ops.random.normal(ops.generator(1), (29, 5))
        >>> fit_rbm(RBM(5, 3), rows, generator=ops.generator(2), callbacks=[Three()]).epochs
        3
    """

    last: bool = False
    """Whether it is called after the others, whatever their order, as a checkpoint of them is."""

    def on_start(self, run: Run) -> None:
        """Before the first batch."""

    def on_batch(self, run: Run) -> None:
        """After each step; `run.figures` are the batch's."""

    def on_epoch(self, run: Run) -> None:
        """After each epoch; `run.history` has its figures."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, or after an error."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps: numbers, and arrays by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""


@dataclass
class Run:
    """A training under way, as steps and callbacks see it.

    Attributes:
        module: Module that learns.
        optimizer: Optimiser of its parameters.
        epochs: Epochs that were asked for.
        generator: Generator of order and draws.
        strategy: Strategy over processes.
        history: Figures of the epochs that are done.
        parameters: Array of each parameter.
        state: State of the optimiser.
        memory: Arrays a step keeps from batch to batch.
        batch: Number of the batch in its epoch, from 0.
        share: Rows of the joined batch that this process computes.
        figures: Figures of the newest batch.
    """

    module: Any
    optimizer: Optimizer
    epochs: int
    generator: Any
    strategy: Strategy
    history: History
    parameters: Arrays
    state: State
    callbacks: Sequence[Callback] = ()
    memory: dict[str, Array] = field(default_factory=dict)
    batch: int = 0
    share: BatchSlice = BatchSlice.of(0)  # noqa: RUF009
    figures: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False

    def stop(self) -> None:
        """End the training after this epoch."""
        self.stopped = True
