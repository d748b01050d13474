"""Detectors of other libraries behind the interface of the baselines; each needs its package."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ._baselines import Baseline, Standard

Floats = NDArray[np.float64]

RBM_ROWS: Final = 20_000  # a Bernoulli RBM learns from, spread evenly over the training part


def peers(seed: int = 0) -> dict[str, Baseline]:
    """Those whose package is installed, by name: scikit-learn's and river's."""
    available: dict[str, Baseline] = {}
    if importlib.util.find_spec("sklearn"):
        available |= {
            "isolation_forest": IsolationForestScore(seed),
            "mahalanobis": Mahalanobis(),
            "bernoulli_rbm": BernoulliRBMScore(seed),
        }
    if importlib.util.find_spec("river"):
        available["half_space_trees"] = HalfSpaceTreesScore(seed)
    return available


class IsolationForestScore:
    """scikit-learn's isolation forest, 100 trees, on standardised records.

    Args:
        seed: Seed of the trees.
    """

    def __init__(self, seed: int = 0) -> None:
        _needs("sklearn", "scikit-learn", "The isolation forest")
        self.seed = seed
        self._standard = Standard()
        self._forest: Any = None

    def fit(self, train: Floats) -> None:
        """Grow the trees."""
        from sklearn.ensemble import IsolationForest

        self._standard.fit(train)
        self._forest = IsolationForest(random_state=self.seed).fit(self._standard(train))

    def score(self, test: Floats) -> Floats:
        """The negative of scikit-learn's score, shape `(T,)`."""
        return _scored(lambda rows: -self._forest.score_samples(rows), self._standard(test))


class Mahalanobis:
    """Squared Mahalanobis distance under a covariance shrunk as Ledoit and Wolf (2004) do."""

    def __init__(self) -> None:
        _needs("sklearn", "scikit-learn", "The Ledoit-Wolf covariance")
        self._standard = Standard()
        self._estimate: Any = None

    def fit(self, train: Floats) -> None:
        """Estimate mean and covariance."""
        from sklearn.covariance import LedoitWolf

        self._standard.fit(train)
        self._estimate = LedoitWolf().fit(self._standard(train))

    def score(self, test: Floats) -> Floats:
        """Squared distance, shape `(T,)`."""
        return _scored(self._estimate.mahalanobis, self._standard(test))


class BernoulliRBMScore:
    """Free energy of scikit-learn's Bernoulli RBM on records scaled to [0, 1].

    Args:
        seed: Seed of the weights.
    """

    def __init__(self, seed: int = 0) -> None:
        _needs("sklearn", "scikit-learn", "BernoulliRBM")
        self.seed = seed
        self._scale = _Range()
        self._rbm: Any = None

    def fit(self, train: Floats) -> None:
        """Learn from at most 20,000 records spread evenly over the training part."""
        from sklearn.neural_network import BernoulliRBM

        rows = self._scale.fit(train)
        sample = np.unique(np.linspace(0, len(rows) - 1, min(RBM_ROWS, len(rows))).astype(np.int64))
        rbm = BernoulliRBM(n_components=64, learning_rate=0.01, random_state=self.seed)
        self._rbm = rbm.fit(rows[sample])

    def score(self, test: Floats) -> Floats:
        """Free energy, shape `(T,)`: `-b'v - sum softplus(c + W v)`."""

        def energy(rows: Floats) -> Floats:
            drive = rows @ self._rbm.components_.T + self._rbm.intercept_hidden_
            hidden = np.logaddexp(0.0, drive).sum(axis=1)
            return np.asarray(-(rows @ self._rbm.intercept_visible_) - hidden)

        return _scored(energy, self._scale(test))


class HalfSpaceTreesScore:
    """river's half-space trees on records scaled to [0, 1]; they learn from what they score.

    Args:
        seed: Seed of the trees.
    """

    def __init__(self, seed: int = 0) -> None:
        _needs("river", "river", "Half-space trees")
        self.seed = seed
        self._scale = _Range()
        self._trees: Any = None

    def fit(self, train: Floats) -> None:
        """Learn the records one by one."""
        from river.anomaly import HalfSpaceTrees

        self._trees = HalfSpaceTrees(seed=self.seed)
        for row in self._scale.fit(train).tolist():
            self._trees.learn_one(dict(enumerate(row)))

    def score(self, test: Floats) -> Floats:
        """Score of each record before it is learnt, shape `(T,)`, from the trees of training."""
        trees = copy.deepcopy(self._trees)
        out = np.empty(len(test))
        for i, row in enumerate(self._scale(test).tolist()):
            record = dict(enumerate(row))
            out[i] = trees.score_one(record)
            trees.learn_one(record)
        return out


class _Range:
    """Channels to [0, 1] by their training range; a missing value is the middle of it."""

    def __init__(self) -> None:
        self._low = self._width = np.empty(0)

    def fit(self, train: Floats) -> Floats:
        present = np.isfinite(train)
        has_values = present.any(axis=0)
        low = np.where(has_values, np.where(present, train, np.inf).min(axis=0), 0.0)
        high = np.where(has_values, np.where(present, train, -np.inf).max(axis=0), 0.0)
        self._low, self._width = low, np.where(high > low, high - low, 1.0)
        return self(train)

    def __call__(self, rows: Floats) -> Floats:
        scaled = (rows - self._low) / self._width
        return np.clip(np.where(np.isnan(scaled), 0.5, scaled), 0.0, 1.0)


def _scored(score: Any, rows: Floats) -> Floats:
    """Scores of rows; the libraries refuse an empty batch."""
    return np.asarray(score(rows), dtype=np.float64) if len(rows) else np.empty(0)


def _needs(module: str, package: str, what: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f"{what} needs {package}, which is not installed. "
            f'Install it with: pip install "{package}".'
        )
