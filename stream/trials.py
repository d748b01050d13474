"""Trial of a retrained model on the last days of its history, which it was trained without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from ember_core.pipeline.fit import Contestant, Incident, Series, Verdict, judge
from stream.engine import WindowSpec

from .history import rows, samples
from .incidents import on_rows

DAY_US: Final = 86_400_000_000
SHARE: Final = 1 / 7
"""Share of a history that is held back."""
MOST_US, WARM_US = 3 * DAY_US, DAY_US
"""Longest time that is held back, and time before it from which keys begin."""


def held_back_since(dataset: Dataset) -> int:
    """Return the time from which a history is held back: its last seventh, 3 days at most.

    At least a day where that is no more than a quarter.

    Args:
        dataset: The history.
    """
    firsts = [int(t.time_us.min()) for t in dataset.tables if len(t.time_us)]
    lasts = [int(t.time_us.max()) for t in dataset.tables if len(t.time_us)]
    if not firsts:
        return 0
    # The newest record may be of a wrong clock; half of the keys have later ones than this.
    last = int(np.median(lasts))
    span = last - min(firsts)
    return last - int(min(max(SHARE * span, min(DAY_US, span / 4)), MOST_US))


def before(dataset: Dataset, since_us: int) -> Dataset:
    """Return a history whose records since a time are set apart from training.

    Args:
        dataset: The history.
        since_us: First time that is held back, microseconds since the epoch.
    """
    return _divided(dataset, -(2**62), since_us)


def try_on(
    candidate: FleetModel,
    in_service: FleetModel | None,
    dataset: Dataset,
    window: WindowSpec,
    *,
    since_us: int,
    budget_per_week: float | None = None,
    incidents: Sequence[Incident] = (),
    seed: int = 0,
) -> Verdict:
    """Judge a candidate on the records since a time, beside the model in service.

    Args:
        candidate: Model that was trained on the records before that time, configured as in service.
        in_service: Model in service, configured likewise; None: there is none.
        dataset: The whole history, with the names that come from the records.
        window: Windowing of samples into rows.
        since_us: First time that was held back.
        budget_per_week: Pages accepted per key and week. Default: those that the candidate's
            threshold promises.
        incidents: Episodes of the time that nobody called false, and windows to leave out.
        seed: Seed of the sample of keys, and of the faults.
    """
    recent = _divided(dataset, since_us - WARM_US, 2**62)
    sides = [
        None if model is None else Contestant(model, _rows(model, recent, window))
        for model in (candidate, in_service)
    ]
    assert sides[0] is not None
    return judge(
        sides[0],
        sides[1],
        since_us=since_us,
        budget_per_week=budget_per_week,
        incidents=on_rows(incidents, window),
        seed=seed,
    )


def _divided(dataset: Dataset, begin_us: int, end_us: int) -> Dataset:
    """Return the data set with the records of a time, of those to train on, to train on."""
    tables = []
    for i, table in enumerate(dataset.tables):
        mask = np.zeros(len(table.time_us), np.bool_)
        mask[dataset.rows(i, "train")] = True
        mask &= (table.time_us >= begin_us) & (table.time_us < end_us)
        tables.append(replace(table, is_train=mask))
    return replace(dataset, tables=tuple(tables), divided=True)


def _rows(model: FleetModel, dataset: Dataset, window: WindowSpec) -> list[Series]:
    data = dataset.select(model.sources)
    return [s for s in rows(data.channels, samples(data), window, model.recipe) if len(s.time_us)]
