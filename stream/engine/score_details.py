"""Maker of detailed scores, for the keys that are asked for.

It costs nothing where no key is asked for, and no other result of a step depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Decision, PackedRows, Pipeline, follow_bands
from stream.engine.state.table import Store
from stream.key_patterns import KeyPatterns

from .batch import StepBatch
from .detailed_scores import DetailedScores, PlacedDetails
from .explanation import channel_shares
from .observed_batch import ObservedBatch
from .planned_work import DividedRows, PlannedScores
from .rows import ObservedRows
from .rules_effect import RowRules
from .scored_rows import ScoredRows

ALL_KEYS = ("*",)
"""Patterns that every key fits."""
_NEVER: Final = np.float32(np.inf)
"""Threshold of a row on which the key may not fire: no evidence reaches it."""


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
        self, batch: StepBatch, observed_batch: ObservedBatch, scored: ScoredRows | None
    ) -> DetailedScores | None:
        """Return the rows of keys that are asked for; None where there are none.

        Args:
            batch: The batch.
            observed_batch: Rows it completed; with `of_planned` of those under planned work.
            scored: Usual rows of warm keys, if any.
        """
        usual, planned = None, observed_batch.planned_details
        if observed_batch.observed is not None and scored is not None:
            usual = self._usual(batch, observed_batch.observed, scored)
        if planned is None:
            return None if usual is None else usual.details
        if usual is None:
            return planned.details.take(observed_batch.arrival(planned.row))
        row = np.concatenate((observed_batch.divided.usual_of_all(usual.row), planned.row))
        rows = DetailedScores.in_sequence([usual.details, planned.details])
        return rows.take(observed_batch.arrival(row))

    def of_planned(
        self, batch: StepBatch, divided: DividedRows, planned: PlannedScores
    ) -> PlacedDetails | None:
        """Return the rows under planned work of keys that are asked for; None where there are none.

        They leave no trace: bands and states of the keys stay as they are.

        Args:
            batch: The batch, before its usual rows are observed.
            divided: All rows it completed.
            planned: Scores of the planned ones.
        """
        rows, observation = planned.observed.rows, planned.observed.observation
        asked = self._asked(batch, rows.row[planned.index])
        if asked is None:
            return None
        order, key_row, keys = asked
        index = planned.index[order]
        values, quiet = rows.values[index], np.zeros(order.size, dtype=bool)
        usual = self._pipeline.usual_rows(observation, index, values)
        band = usual.band(batch.keys.fields["band"][key_row])
        decision = self._decision_on_planned(batch, planned)
        shares = channel_shares(self._pipeline, observation, index, decision, order)
        details = DetailedScores(
            channels=self._channels,
            keys=keys,
            sample=batch.sample[rows.line[index]],
            time_us=rows.time_us[index],
            score=planned.score[order],
            severity=decision.alarm[order],
            evidence=planned.evidence[order],
            threshold=self._thresholds(batch, planned.rules, order, key_row),
            firing=quiet,
            anomaly=quiet,
            trigger=quiet.astype(np.int8),
            value=values,
            usual=band.usual,
            lower=band.lower,
            upper=band.upper,
            contribution=shares.astype(np.float32),
        )
        return PlacedDetails(divided.planned_of_all(index), details)

    def _decision_on_planned(self, batch: StepBatch, planned: PlannedScores) -> Decision:
        """Decide planned rows by copies of their keys' states, for the severities of groups."""
        observation, index = planned.observed.observation, planned.index
        fields, key_row = batch.keys.fields, planned.observed.rows.row[index]
        return self._pipeline.decide(
            {name: fields[name][key_row] for name in self._store.decided},
            planned.score,
            np.zeros(index.size, dtype=bool),
            np.zeros(index.size, dtype=np.float32),
            PackedRows([index.size]),
            planned.channels,
            None if observation.confidence is None else observation.confidence[index],
            None if planned.rules is None else planned.rules.shift,
        )

    def _usual(
        self, batch: StepBatch, observed: ObservedRows, scored: ScoredRows
    ) -> PlacedDetails | None:
        """Return usual rows by their index among the usual ones; None where there are none."""
        rows, observation, decision = observed.rows, observed.observation, scored.decision
        order = scored.arrival(rows)
        asked = self._asked(batch, rows.row[scored.index[order]])
        if asked is None:
            return None
        matching, key_row, keys = asked
        order = order[matching]
        index = scored.index[order]
        values = rows.values[index]
        usual = self._pipeline.usual_rows(observation, index, values)
        learns = ~scored.in_episode[order]
        band = usual.band(self._bounds(batch, key_row, usual.departures, learns))
        shares = channel_shares(self._pipeline, observation, index, decision, order)
        fires, resolves = decision.fires[order], decision.resolves[order]
        details = DetailedScores(
            channels=self._channels,
            keys=keys,
            sample=batch.sample[rows.line[index]],
            time_us=rows.time_us[index],
            score=scored.score[order],
            severity=scored.alarm[order],
            evidence=decision.evidence[order],
            threshold=np.where(
                observation.may_fire[index],
                self._thresholds(batch, scored.rules, order, key_row),
                _NEVER,
            ),
            firing=scored.in_episode[order],
            anomaly=scored.anomaly[order],
            trigger=fires.astype(np.int8) - resolves.astype(np.int8),
            value=values,
            usual=band.usual,
            lower=band.lower,
            upper=band.upper,
            contribution=shares.astype(np.float32),
        )
        return PlacedDetails(index, details)

    def _asked(
        self, batch: StepBatch, key_row: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], list[bytes]] | None:
        """Return the rows of keys that are asked for; None where there are none.

        Args:
            batch: The batch.
            key_row: Row of the batch's `keys` of each row, `(n,)`.

        Returns:
            Indices of the rows, their rows of `keys`, and their keys.
        """
        keys = self._store.slab.keys(batch.keys.slots[key_row])
        matching = np.arange(len(keys))
        if self._patterns is not None:
            matching = np.flatnonzero(self._patterns.find(keys) >= 0)
            keys = [keys[i] for i in matching.tolist()]
        return (matching, key_row[matching], keys) if keys else None

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
        rules: RowRules | None,
        order: NDArray[np.int64],
        key_row: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return the evidence at which the motor neuron fires, `(n,)`, as triggers name it.

        Args:
            batch: The batch.
            rules: Rules of operators that rows have; None: no row has any.
            order: Indices of the rows among those.
            key_row: Row of the batch's `keys` of each row, `(n,)`.
        """
        evidence = self._pipeline.motor.on + batch.keys.fields["feedback"][key_row].astype(
            np.float64
        )
        if rules is not None:
            evidence = evidence - rules.lowered(order)
        thresholds: NDArray[np.float32] = evidence.astype(np.float32)
        return thresholds
