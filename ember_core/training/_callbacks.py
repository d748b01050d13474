"""Callbacks that watch a training and may end it: early stop, plateau, progress."""

from __future__ import annotations

import math
import sys
from typing import Any

from ember_core import ops

from ._run import Callback, Run
from ._schedules import check_rate


class EarlyStop(Callback):
    """End the training when a figure has not become smaller for a while; go back to its best.

    Args:
        figure: Name of it; without one the first that begins with `validation`, else the first.
        patience: Epochs in a row without a smaller value that are waited for.
        least: Smallest decrease that counts.
        restore: Whether the model gets the weights of its best epoch back at the end.
    """

    def __init__(
        self,
        figure: str | None = None,
        *,
        patience: int = 5,
        least: float = 0.0,
        restore: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(
                f"Early stopping needs patience. Expected patience >= 1. Received: {patience=}."
            )
        self.figure = figure
        self.patience = patience
        self.least = least
        self.restore = restore
        self.best = math.inf
        self.best_epoch = 0
        self._weights: dict[str, Any] = {}

    def on_start(self, run: Run) -> None:
        """Forget an earlier training."""
        self.best, self.best_epoch, self._weights = math.inf, 0, {}

    def on_epoch(self, run: Run) -> None:
        """Compare, keep the weights of the best, and end what no longer gets better."""
        value = run.history[watched(run, self.figure)][-1]
        if value < self.best - self.least:
            self.best, self.best_epoch = value, run.history.epochs
            self._weights = {n: ops.copy(x) for n, x in run.module.state_dict().items()}
        elif run.history.epochs - self.best_epoch >= self.patience:
            run.stop()

    def on_end(self, run: Run) -> None:
        """Give the best weights back."""
        if self.restore and self._weights:
            run.module.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Best value, its epoch and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take `state_dict` back."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._weights = state["weights"]


class Plateau(Callback):
    """A learning rate that falls when a figure has not become smaller for a while.

    It is a schedule and a callback: give it to the optimiser and to the training.

    Args:
        rate: Learning rate at first.
        factor: Factor applied to the rate.
        patience: Epochs in a row without a smaller value before it falls.
        smallest: Lowest rate.
        figure: Figure to watch, as for `EarlyStop`.

    Examples:
        >>> from ember_core.training import Adam, Plateau
        >>> rate = Plateau(1e-3, factor=0.5)
        >>> Adam(rate).learning_rate(0)  # and fit(..., callbacks=[rate])
        0.001
    """

    def __init__(
        self,
        rate: float,
        *,
        factor: float = 0.5,
        patience: int = 5,
        smallest: float = 1e-6,
        figure: str | None = None,
    ) -> None:
        check_rate(rate)
        if not 0.0 < factor < 1.0 or patience < 1:
            raise ValueError(
                "The rate would not fall so. Expected 0 < factor < 1 and patience >= 1. "
                f"Received: factor={factor}, patience={patience}."
            )
        self.rate = self._first = rate
        self.factor = factor
        self.patience = patience
        self.smallest = smallest
        self.figure = figure
        self._best = math.inf
        self._waited = 0

    def __call__(self, step: int) -> float:
        """Learning rate now, whatever the step."""
        return self.rate

    def on_start(self, run: Run) -> None:
        """Begin at the first rate."""
        self.rate, self._best, self._waited = self._first, math.inf, 0

    def on_epoch(self, run: Run) -> None:
        """Compare, and lower the rate when it is time."""
        value = run.history[watched(run, self.figure)][-1]
        if value < self._best:
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.rate, self._waited = max(self.rate * self.factor, self.smallest), 0

    def state_dict(self) -> dict[str, Any]:
        """Rate, best value and epochs waited."""
        return {"rate": self.rate, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take `state_dict` back."""
        self.rate, self._best, self._waited = state["rate"], state["best"], state["waited"]


class Progress(Callback):
    """A bar on stderr with the newest figures, where stderr is a terminal; else nothing."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def on_start(self, run: Run) -> None:
        """Show an empty bar."""
        if run.strategy.rank or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("training", total=run.epochs, completed=run.history.epochs)

    def on_epoch(self, run: Run) -> None:
        """Move it."""
        if self._bar is not None:
            newest = ", ".join(f"{n} {v[-1]:.4g}" for n, v in run.history.figures.items())
            self._bar.update(self._task, advance=1, description=newest)

    def on_end(self, run: Run) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def watched(run: Run, figure: str | None) -> str:
    """Name of the figure to watch: the given one, else one of validation, else the first."""
    names = list(run.history.figures)
    return figure or next((n for n in names if n.startswith("validation")), names[0])
