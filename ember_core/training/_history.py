"""History of a training: the figures of its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class History:
    """Figures of each epoch, by name.

    Attributes:
        figures: Name -> its value in every epoch; such as `loss`, `reconstruction_error`, and
            with validation data `validation_loss`.
        steps: Batches learnt from.

    Examples:
        >>> from ember_core.training import History
        >>> history = History({"loss": [3.0, 1.5]}, steps=8)
        >>> history["loss"][-1], history.epochs
        (1.5, 2)
    """

    figures: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0

    def __getitem__(self, name: str) -> list[float]:
        """Values of one figure.

        Raises:
            KeyError: If the training has none of that name.
        """
        if name not in self.figures:
            raise KeyError(
                f"The training has no such figure. Expected one of: "
                f"{', '.join(self.figures) or '(none yet)'}. Received: {name!r}."
            )
        return self.figures[name]

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return max((len(values) for values in self.figures.values()), default=0)

    def add(self, figures: Mapping[str, float], steps: int) -> None:
        """Take in an epoch."""
        self.steps += steps
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(float(value))
