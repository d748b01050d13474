"""Maker of detailed scores, for the keys that are asked for.

It costs nothing where no key is asked for, and no other result of a step depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import PackedRows, Pipeline, follow_bands
from stream.engine.state.table import Store
from stream.key_patterns import KeyPatterns

from .batch import StepBatch
from .detailed_scores import DetailedScores
from .explanation import channel_shares
from .rows import ObservedRows
from .scored_rows import ScoredRows

ALL_KEYS = ("*",)
"""Patterns that every key fits."""


class ScoreDetails:
    """Maker of detailed scores.

    Args:
        pipeline: Pipeline of the model.
        store: Rows of all keys.
        patterns: Patterns of the keys that are asked for.
    """

    def __init__(self, pipeline: Pipeline, store: Store, patterns: Sequence[str]) -> None:
        self._pipeline, self._store = pipeline, store
        self._channels = tuple(pipeline.config.channels)
        self._patterns = None if tuple(patterns) == ALL_KEYS else KeyPatterns(patterns)

    def of(
        self, batch: StepBatch, observed: ObservedRows, scored: ScoredRows
    ) -> DetailedScores | None:
        """Return the rows of keys that are asked for; None where there are none.

        Args:
            batch: The batch.
            observed: Rows it completed.
            scored: Those of warm keys.
        """
        rows, observation, decision = observed.rows, observed.observation, scored.decision
        order = np.argsort(rows.line[scored.index], kind="stable")
        key_row = rows.row[scored.index[order]]
        keys = self._store.slab.keys(batch.keys.slots[key_row])
        if self._patterns is not None:
            matching = np.flatnonzero(self._patterns.find(keys) >= 0)
            if not matching.size:
                return None
            order, key_row = order[matching], key_row[matching]
            keys = [keys[i] for i in matching.tolist()]
        index = scored.index[order]
        values = rows.values[index]
        usual = self._pipeline.usual_rows(observation, index, values)
        learns = ~scored.in_episode[order]
        band = usual.band(self._bounds(batch, key_row, usual.departures, learns))
        shares = channel_shares(self._pipeline, observation, index, decision, order)
        fires, resolves = decision.fires[order], decision.resolves[order]
        return DetailedScores(
            channels=self._channels,
            keys=keys,
            sample=batch.sample[rows.line[index]],
            time_us=rows.time_us[index],
            score=scored.score[order],
            severity=scored.alarm[order],
            evidence=decision.evidence[order],
            threshold=self._thresholds(batch, scored, order, key_row),
            firing=scored.in_episode[order],
            anomaly=scored.anomaly[order],
            trigger=fires.astype(np.int8) - resolves.astype(np.int8),
            value=values,
            usual=band.usual,
            lower=band.lower,
            upper=band.upper,
            contribution=shares.astype(np.float32),
        )

    def _bounds(
        self,
        batch: StepBatch,
        key_row: NDArray[np.int64],
        departures: NDArray[np.float32],
        learns: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Return the band of each row, `(n, 2, C)`, and let the keys' bands go on with the rows.

        Args:
            batch: The batch; its keys' bands are written to.
            key_row: Row of the batch's `keys` of each row, `(n,)`.
            departures: Departures of the rows, `(n, C)`.
            learns: False for rows that move no bound, `(n,)`.
        """
        packed, key_index, order = PackedRows.of(key_row)
        bands = np.ascontiguousarray(batch.keys.fields["band"][key_index])
        of_rows, moved_bands = follow_bands(packed, bands, departures[order], learns[order])
        batch.keys.fields["band"][key_index] = moved_bands
        bounds = np.empty_like(of_rows)
        bounds[order] = of_rows
        return bounds

    def _thresholds(
        self,
        batch: StepBatch,
        scored: ScoredRows,
        order: NDArray[np.int64],
        key_row: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return the evidence at which the motor neuron fires, `(n,)`, as triggers name it."""
        evidence = self._pipeline.motor.on + batch.keys.fields["feedback"][key_row].astype(
            np.float64
        )
        if scored.rules is not None:
            evidence = evidence - scored.rules.lowered(order)
        thresholds: NDArray[np.float32] = evidence.astype(np.float32)
        return thresholds
