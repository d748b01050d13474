"""A set through the product: trained as `ember train` does, scored by the engine of the stream."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.frame import BenchmarkError
from benchmarks.quality.sets import Family, Interpretation
from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from stream.backtest import Backtest, backtest
from stream.errors import UserError
from stream.training import train


@dataclass(frozen=True)
class Recipe:
    """Options of `ember train`, the same for all sets.

    Attributes:
        options: Arguments of `stream.training.train`; empty: its defaults.
        warm: Feed the training rows to the engine before the scored ones.
    """

    options: dict[str, Any] = field(default_factory=dict)
    warm: bool = False

    def also(self, **options: Any) -> Recipe:
        """The recipe with some arguments more, or others."""
        return Recipe(self.options | options, self.warm)


@dataclass
class Run:
    """One model and what it said of the scored records."""

    family: Family
    dataset: Dataset
    model: FleetModel
    result: Backtest
    train_seconds: float
    score_seconds: float

    @property
    def figures(self) -> dict[str, Any]:
        """Figures per key, their mean, the worst key, and pooled; see `evaluate.summarise`."""
        return self.result.figures(buffer=self.family.buffer)


@dataclass
class Subject:
    """A set under measurement, and what every part of the measurement needs.

    Attributes:
        family: The set.
        dataset: Its records.
        recipe: What training is given.
        truth: Channels at fault in each labelled event, per key; empty where it is not known.
        runs: One model per seed, and what it said.
    """

    family: Family
    dataset: Dataset
    recipe: Recipe
    truth: dict[str, list[Interpretation]]
    runs: list[Run] = field(default_factory=list)


def fitted(dataset: Dataset, recipe: Recipe, seed: int) -> FleetModel:
    """A model of the set's training records; labels are not looked at.

    Raises:
        BenchmarkError: If the product refuses the data or the recipe.
    """
    try:
        return train(dataset, seed=seed, **recipe.options)
    except (UserError, TypeError) as error:
        raise BenchmarkError(f"the product cannot be trained: {error}") from error


def scored(
    family: Family, dataset: Dataset, model: FleetModel, recipe: Recipe, train_seconds: float = 0.0
) -> Run:
    """Results of a model on the records that are not for training."""
    started = time.perf_counter()
    result = backtest(model, dataset, warm=recipe.warm)
    return Run(family, dataset, model, result, train_seconds, time.perf_counter() - started)


def run(family: Family, dataset: Dataset, recipe: Recipe, seed: int) -> Run:
    """Train and score."""
    started = time.perf_counter()
    model = fitted(dataset, recipe, seed)
    return scored(family, dataset, model, recipe, time.perf_counter() - started)
