"""A simulated fleet for measurements: its records, and a model that knows all its keys.

Keys come in *kinds*: keys of one kind share means, scales and habits, and differ in their noise.
The model is trained on one key of every kind, and what it learnt is given to all keys of that
kind, so that ten thousand known keys cost the training of a few dozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from stream.codecs import encode_json

INTERVAL_US: Final = 10_000_000
_NAMES: Final = ("cpu", "memory", "disk", "net_in", "net_out", "load", "latency", "errors")
_FACTORS: Final = 3
_PERIOD_ROWS: Final = 360
_MEMORY: Final = 0.8  # of a factor from row to row


class Block(NamedTuple):
    """Records in their order of arrival."""

    key: NDArray[np.int64]
    """Index of each record's key, `(n,)`."""
    time_us: NDArray[np.int64]
    """Event times, `(n,)`, rising for each key."""
    values: NDArray[np.float64]
    """`(n, C)`."""


class Fleet:
    """Keys with correlated channels, a period and noise.

    Args:
        keys: Number of keys.
        channels: Number of channels, `C`.
        kinds: Kinds of keys; the model is trained on one key of each.
        seed: Seed of everything.
    """

    def __init__(self, keys: int, channels: int = 8, *, kinds: int = 64, seed: int = 1) -> None:
        self.keys = [b"machine-%06d" % k for k in range(keys)]
        self.channels = tuple((*_NAMES, *(f"ch{c:03d}" for c in range(channels)))[:channels])
        if channels > len(_NAMES):
            self.channels = tuple(f"ch{c:03d}" for c in range(channels))
        self.kind = np.arange(keys) % min(kinds, keys)
        self._seed = seed
        rng = np.random.default_rng(seed)
        shape = (min(kinds, keys), channels)
        self._mean = rng.uniform(10.0, 200.0, shape)
        self._scale = self._mean * rng.uniform(0.02, 0.1, shape)
        self._phase = rng.uniform(0.0, 2 * np.pi, shape)
        self._swing = rng.uniform(0.0, 1.0, shape)
        self._mix = rng.standard_normal((shape[0], _FACTORS, channels)) / np.sqrt(_FACTORS)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Size of each key's usual movements, `(K, C)`, in the channels' units."""
        spread: NDArray[np.float64] = self._scale[self.kind]
        return spread

    def rounds(self, count: int, start_us: int, *, seed: int = 0) -> Iterator[Block]:
        """Every key once a round, in another order each time, a round every ten seconds.

        Args:
            count: Number of rounds.
            start_us: Event time of the first record.
            seed: Seed of order and noise.
        """
        rng = np.random.default_rng((self._seed, seed))
        n = len(self.keys)
        factors = rng.standard_normal((n, _FACTORS))
        first = start_us // INTERVAL_US
        step = max(INTERVAL_US // n // 1000, 1) * 1000
        for turn in range(count):
            factors = _MEMORY * factors + np.sqrt(1 - _MEMORY**2) * rng.standard_normal(
                factors.shape
            )
            values = self._values(self.kind, first + turn, factors, rng)
            order = rng.permutation(n)
            # A place in the round that does not change keeps each key's gaps near the interval.
            time_us = start_us + turn * INTERVAL_US + np.arange(n, dtype=np.int64) * step
            yield Block(order, time_us, values[order])

    def drawn(
        self, share: NDArray[np.float64], count: int, start_us: int, step_us: int, *, seed: int = 0
    ) -> Block:
        """Records of keys drawn at random.

        Args:
            share: Share of each key, `(K,)`, summing to 1.
            count: Number of records.
            start_us: Event time of the first.
            step_us: Event time from one to the next.
            seed: Seed of everything drawn.
        """
        rng = np.random.default_rng((self._seed, 7, seed))
        key = rng.choice(len(self.keys), size=count, p=share)
        time_us = start_us + np.arange(count, dtype=np.int64) * step_us
        factors = rng.standard_normal((count, _FACTORS))
        values = self._values(self.kind[key], time_us // INTERVAL_US, factors, rng)
        return Block(key, time_us, values)

    def encoded(self, block: Block) -> Iterator[tuple[bytes, bytes]]:
        """Key and JSON of every record."""
        rows = zip(block.key.tolist(), block.time_us.tolist(), block.values.tolist(), strict=True)
        for k, time_us, values in rows:
            key = self.keys[k]
            yield key, encode_json(key, time_us, self.channels, values)

    def model(self, *, rows: int = 2000, epochs: int = 3, **shape: Any) -> FleetModel:
        """A model of the whole chain that knows every key of the fleet.

        Args:
            rows: Rows of history of each kind.
            epochs: Passes of the RBM; its weights do not change what a record costs.
            shape: More of `PipelineConfig`.
        """
        kinds = len(self._mean)
        rng = np.random.default_rng((self._seed, 3))
        factors = rng.standard_normal((kinds, _FACTORS))
        history = np.empty((rows, kinds, len(self.channels)))
        for t in range(rows):
            factors = _MEMORY * factors + np.sqrt(1 - _MEMORY**2) * rng.standard_normal(
                factors.shape
            )
            history[t] = self._values(np.arange(kinds), t, factors, rng)
        time_us = np.arange(rows, dtype=np.int64) * INTERVAL_US
        series = [Series(b"%d" % i, time_us, history[:, i].copy()) for i in range(kinds)]
        config = PipelineConfig(channels=self.channels, **shape)
        model = fit_pipeline(series, config, epochs=epochs)
        index = {key: i for i, key in enumerate(model.keys)}
        model_keys = np.asarray([index[b"%d" % kind] for kind in self.kind.tolist()])
        state = {name: value[model_keys] for name, value in model.key_state.items()}
        bands = model.bands
        if bands is not None:
            bands = bands._replace(known=bands.known[model_keys])
        return replace(model, keys=list(self.keys), key_state=state, bands=bands)

    def _values(
        self,
        kind: NDArray[np.int64],
        row: int | NDArray[np.int64],
        factors: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Values of keys of some kinds at a row of their period, `(n, C)`."""
        angle = 2 * np.pi * np.asarray(row, dtype=np.float64) / _PERIOD_ROWS
        wave = self._swing[kind] * np.sin(np.atleast_1d(angle)[:, None] + self._phase[kind])
        shared = np.einsum("nf,nfc->nc", factors, self._mix[kind])
        noise = 0.5 * rng.standard_normal(wave.shape)
        signal = self._mean[kind] + self._scale[kind] * (wave + shared + noise)
        return np.asarray(np.round(signal, 3), dtype=np.float64)
