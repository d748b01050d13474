"""Training of a model on recorded telemetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, choose_features, fit_pipeline

from .errors import UserError
from .records import MAX_ABS_VALUE


def history(dataset: Dataset) -> list[Series]:
    """Return the training rows of every key in order of time.

    A value too large for the stream counts as missing here; the stream refuses the whole record.
    Of rows that share a time, the first counts, as in the stream. With `window.mode = "time"` the
    engine makes rows of whole intervals, so that the history should have such rows already.
    """
    out = []
    for i, table in enumerate(dataset.tables):
        rows = dataset.rows(i, "train")
        times = table.time_us[rows]
        values = table.values[rows]
        values = np.where(np.abs(values) <= MAX_ABS_VALUE, values, np.nan)
        usable = np.isfinite(values).any(axis=1)
        times, values = times[usable], values[usable]
        if (np.diff(times) < 0).any():  # newest first, or several files of one key
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
        newer = np.ones(len(times), dtype=bool)
        newer[1:] = np.diff(times) > 0
        # As dates, since the unit is settled: record numbers would look like another one.
        dates = times[newer].view("datetime64[us]")
        out.append(Series(table.key, dates, np.ascontiguousarray(values[newer])))
    return out


def train(
    dataset: Dataset,
    *,
    seed: int = 0,
    epochs: int | None = None,
    budget_per_week: float | None = None,
    choose: bool = False,
    refine: int = 0,
    name: str = "model",
    progress: Callable[[str, float], None] | None = None,
    **config: Any,
) -> FleetModel:
    """Fit a model on the training rows of a data set.

    Args:
        dataset: The history; all of it where no split is defined.
        seed: Seed of all weights.
        epochs: Passes of the RBM over the rows. Default: 5 to 40, see `fit_pipeline`.
        budget_per_week: False triggers accepted per key and week. Default: the on-threshold is
            the evidence that 3 training rows in 1,000 reach.
        choose: Choose levels, clock and residuals by injected faults, see `choose_features`. The
            report lists the gain of each block under `blocks`.
        refine: Most epochs of gradient descent on the liquid cell; 0 leaves it as initialised. The
            report lists the gain under `liquid`.
        name: Name of the model.
        progress: Callback with the name of a stage and the share done.
        config: Further fields of `PipelineConfig`.

    Raises:
        UserError: If the history is too short, a channel has no values, or the backend lacks the
            package for gradients.
    """
    if not dataset.channels:
        raise UserError("The data hold no numeric channel to train on. Name some with --channels.")
    try:
        series = history(dataset)
        shape = PipelineConfig(channels=dataset.channels, seed=seed, **config)
        blocks: list[dict[str, Any]] = []
        if choose:
            shape, blocks = choose_features(series, shape, progress=progress)
        model = fit_pipeline(
            series,
            shape,
            epochs=epochs,
            budget_per_week=budget_per_week,
            refine=refine,
            progress=progress,
        ).to(backend="numpy")  # the engine's
    except (ImportError, ValueError) as error:
        raise UserError(str(error)) from error
    if blocks:
        model.report["blocks"] = blocks
    model.name = name
    return model
