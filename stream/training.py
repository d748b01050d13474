"""Training of a model on recorded telemetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from ember_core.data.sources import Dataset
from ember_core.pipeline import CivilCalendar, FleetModel, PipelineConfig
from ember_core.pipeline.fit import (
    EvidenceChoice,
    Incident,
    Series,
    choose_evidence,
    choose_features,
    fit_pipeline,
)
from stream.engine import WindowSpec

from .errors import UserError
from .expectations import require_reach
from .history import RowRules, counters_of, recipe_of, rows, samples
from .incidents import labelled, on_rows, require_keys, unknown_keys
from .row_need import require_rows


def history(dataset: Dataset, window: WindowSpec | None = None) -> list[Series]:
    """Return the training rows of every key in order of time, as `ember_core` trains on them."""
    return rows(dataset.channels, samples(dataset), window or WindowSpec())


def train(
    dataset: Dataset,
    *,
    rules: RowRules | None = None,
    seed: int = 0,
    epochs: int | None = None,
    budget_per_week: float | None = None,
    choose: bool = False,
    refine: int = 0,
    evidence: Literal["auto", "channels+joint", "joint"] = "auto",
    calendar: CivilCalendar | None = None,
    incidents: Sequence[Incident] = (),
    exclude_labelled: bool = False,
    drop_incidents: bool = False,
    try_faults: bool = True,
    name: str = "model",
    progress: Callable[[str, float], None] | None = None,
    **config: Any,
) -> FleetModel:
    """Fit a model on the training rows of a data set.

    Args:
        dataset: The history; all of it where no split is defined.
        rules: Windows and channels, as the stream will have them. Counters are recognised: their
            rates are the channels, and the report lists them under `counters`.
        seed: Seed of all weights.
        epochs: Passes of the RBM over the rows. Default: 5 to 40, see `fit_pipeline`.
        budget_per_week: Pages accepted per key and week. Default: one a month with channel
            evidence; with joint evidence alone the evidence that 3 training rows in 1,000 reach.
        choose: Choose levels, clock and residuals by injected faults, see `choose_features`. The
            report lists the gain of each block under `blocks`.
        refine: Most epochs of gradient descent on the liquid cell; 0 leaves it as initialised. The
            report lists the gain under `liquid`.
        evidence: Evidence that pages rest on, see `choose_evidence`. The report says which and why.
        calendar: Zone and holidays by which people load the machines. Default: UTC, no holidays.
        incidents: Known incidents, left out where evidence is counted. The report says how many
            rows under `incidents`.
        exclude_labelled: Take the labels of the data for incidents too.
        drop_incidents: Leave out the worst episodes of the history by themselves, see
            `fit_pipeline`. The report lists them under `dropped`.
        try_faults: Put faults into the history, and report under `faults` which of them would page.
        name: Name of the model.
        progress: Callback with the name of a stage and the share done.
        config: Further fields of `PipelineConfig`.

    Raises:
        UserError: If the history is too short, a channel has no values, all incidents are of other
            keys, or the backend lacks the package for gradients.
    """
    if not dataset.channels:
        raise UserError("The data hold no numeric channel to train on. Name some with --channels.")
    rules, keys = rules or RowRules(), samples(dataset)
    counters = counters_of(dataset.channels, keys)
    recipe = recipe_of(dataset.channels, keys, rules, counters)
    windows = [*incidents, *(labelled(dataset) if exclude_labelled else ())]
    unknown = unknown_keys(windows, dataset.keys)
    if unknown and all(window.key in unknown for window in windows):
        require_keys(windows, dataset.keys)
    try:
        series = rows(dataset.channels, keys, rules.window, recipe)
        names = dataset.channels if recipe is None else recipe.names
        require_rows(series, keys, rules.window)
        choice = choose_evidence(series, len(names))
        if evidence != "auto":
            choice = EvidenceChoice(evidence, "as asked")
        shape = PipelineConfig(channels=names, evidence=choice.evidence, seed=seed, **config)
        blocks: list[dict[str, Any]] = []
        if choose:
            shape, blocks = choose_features(series, shape, progress=progress)
        model = fit_pipeline(
            series,
            shape,
            epochs=epochs,
            budget_per_week=budget_per_week,
            refine=refine,
            calendar=calendar,
            incidents=on_rows(windows, rules.window),
            drop_incidents=drop_incidents,
            try_faults=try_faults,
            progress=progress,
        ).to(backend="numpy")  # the engine's
    except (ImportError, ValueError) as error:
        raise UserError(str(error)) from error
    if budget_per_week is not None:
        require_reach(model, f"{budget_per_week / 7.0:.3g} pages per key and day (--budget)")
    model.report["evidence"] = choice._asdict()
    if blocks:
        model.report["blocks"] = blocks
    if recipe is not None:
        model.recipe = recipe
        rates = [channel.source for channel in recipe.sampled if channel.use == "rate"]
        model.report["counters"] = [name for name in counters if name in rates]
        model.report["recipe"] = list(recipe.identity)
    if rules.window.mode == "time":
        seconds = rules.window.interval_us * 1e-6
        model.report["window"] = {"mode": "time", "interval_seconds": seconds}
    model.name = name
    return model
