"""Training of a pipeline on a fleet's history, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ember_core.pipeline.arguments import require_positive
from ember_core.pipeline.civil import CivilCalendar
from ember_core.pipeline.fleet import FleetModel
from ember_core.pipeline.pipeline import PipelineConfig

from .incidents import Incident
from .series import Series
from .trainer import EVIDENCE_ROWS, PipelineTrainer


def fit_pipeline(
    series: Sequence[Series],
    config: PipelineConfig,
    *,
    epochs: int | None = None,
    max_rows: int = 120_000,
    budget_per_week: float | None = None,
    evidence_rows: float = EVIDENCE_ROWS,
    adapt: bool = True,
    refine: int = 0,
    calendar: CivilCalendar | None = None,
    incidents: Sequence[Incident] = (),
    drop_incidents: bool = False,
    try_faults: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> FleetModel:
    """Train on the history of a fleet; no labels are used.

    All steps of `PipelineTrainer` in one call.

    Args:
        series: History per key, times increasing.
        config: Shape of the pipeline; `periods_seconds` is replaced by those of the data unless it
            is given.
        epochs: Passes over the rows for the RBM. Default: as many as make 8,000 steps, 5 to 40:
            with fewer it hardly knows the usual records, with more it learns the faults too.
        max_rows: Rows the weights are fitted on, spread evenly over all keys.
        budget_per_week: False triggers accepted per key and week; sets the on-threshold. Default:
            the evidence that 3 training rows in 1,000 reach.
        evidence_rows: Time constant of the motor neuron's evidence, in rows: short follows every
            fault by itself, long adds up faults that are mild but last.
        adapt: Let each key's tail follow slowly on the stream (not while it alarms).
        refine: Most epochs of gradient descent on the liquid cell, see `fit_liquid`; 0 leaves it as
            it was made.
        calendar: Zone and holidays of the channels' profiles; UTC without it.
        incidents: Known incidents of the history: left out where evidence is counted, that is
            of tails, curves and thresholds, but not of profiles, scales and weights.
        drop_incidents: Train twice, the second time without the episodes of the first that are of
            severity 1 and more; see `PipelineTrainer.outstanding`.
        try_faults: Put faults of each kind and size into the history, and report those that the
            model would page; see `trials`.
        progress: Called with a stage's name and the share done.

    Returns:
        The fitted pipeline, on the default backend, which has also trained the RBM.

    Raises:
        ValueError: If no series is long enough, a channel holds no finite value at all, a key is
            there twice, one has other channels, or a number is out of range.
    """
    # All arguments first: training takes minutes.
    require_positive(epochs=epochs, budget_per_week=budget_per_week, evidence_rows=evidence_rows)

    def fitted(windows: Sequence[Incident]) -> PipelineTrainer:
        trainer = PipelineTrainer(
            series,
            config,
            max_rows=max_rows,
            calendar=calendar,
            incidents=windows,
            progress=progress,
        )
        trainer.fit_scales()
        trainer.fit_liquid(refine)
        trainer.fit_scores(epochs)
        trainer.fit_tail(adapt)
        trainer.calibrate(budget_per_week, evidence_rows)
        trainer.fit_unseen()
        return trainer

    trainer, dropped = fitted(incidents), None
    if drop_incidents:
        found, dropped = trainer.outstanding()
        if found:
            trainer = fitted([*incidents, *found])
    faults = trainer.faults() if try_faults else None
    model = trainer.model()
    for name, part in (("dropped", dropped), ("faults", faults)):
        if part is not None:
            model.report[name] = part
    return model
