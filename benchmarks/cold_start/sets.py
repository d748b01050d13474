"""The sets, and the keys of each that are held out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from benchmarks.frame import BenchmarkError
from benchmarks.ordinary.variants import make
from benchmarks.ordinary.write import dataset
from benchmarks.quality import sets as quality_sets
from ember_core.data.sources import Dataset
from ember_core.pipeline import CivilCalendar

SETS: Final = ("smd", "asd", "ordinary")
ORDINARY_KEYS: Final = 24
"""Hosts of the generated fleet; a quarter of them is held out."""


@dataclass(frozen=True)
class ColdSet:
    """A set, and the keys that are held out of training, fold by fold.

    Attributes:
        name: Its name.
        dataset: Its records.
        folds: Places of the keys that are held out together.
        step_seconds: Real seconds between two records.
        buffer: Largest buffer of VUS-PR, in records.
        seed: Seed of a generated fleet; None for recorded data.
        options: Arguments of training.
    """

    name: str
    dataset: Dataset
    folds: tuple[tuple[int, ...], ...]
    step_seconds: float
    buffer: int
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def without(self, held_out: tuple[int, ...]) -> Dataset:
        """The records of the other keys."""
        tables = tuple(t for k, t in enumerate(self.dataset.tables) if k not in held_out)
        return replace(self.dataset, tables=tables)


def load(name: str, seed: int) -> ColdSet:
    """A set of these.

    Args:
        name: One of `SETS`.
        seed: Seed of the generated fleet.

    Raises:
        BenchmarkError: If its data cannot be read.
    """
    if name == "ordinary":
        fleet = make("five_minutes", seed)
        data = dataset(fleet)
        data = replace(data, tables=data.tables[:ORDINARY_KEYS])
        held_out = tuple(range(0, ORDINARY_KEYS, 4))
        options = {"calendar": CivilCalendar(fleet.zone, fleet.holidays)}
        return ColdSet(name, data, (held_out,), fleet.step_seconds, 20, seed, options)
    if name not in quality_sets.FAMILIES:
        raise BenchmarkError(f"there is no such set. Received: {name}")
    family = quality_sets.FAMILIES[name]
    data = quality_sets.load(family)
    folds = ((0,), (2,)) if name == "smd" else ((0, 3), (1, 4))
    return ColdSet(name, data, folds, family.sampling_seconds, family.buffer)
