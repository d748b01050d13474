"""Fit a whole pipeline on a fleet's history: scales per key, weights for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.nn import Module
from ember_core.pipeline.arguments import require_positive
from ember_core.pipeline.bands import Bands
from ember_core.pipeline.civil import CivilCalendar
from ember_core.pipeline.drift import SMALLEST, Drift
from ember_core.pipeline.fleet import FleetModel
from ember_core.pipeline.group_motor import GroupMotor
from ember_core.pipeline.motor import Calibration, MotorNeuron
from ember_core.pipeline.pauses import pauses_in
from ember_core.pipeline.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.stage import State
from ember_core.pipeline.tail import Tail, fit_tail
from ember_core.training import fit_rbm

from .bands import mean_bands
from .budgets import PageRates, pages_by_level
from .channels import Spans, fit_channels
from .fitted import LiquidFit, ScalesFit, ScoresFit, TailFit
from .history_episodes import (
    MOST_DROPPED,
    OUTSTANDING_SEVERITY,
    HistoryEpisode,
    episodes_report,
    evidence_episodes,
    group_episodes,
    incidents_of,
    outstanding_episodes,
)
from .incidents import Incident, Marks, require_some
from .joint import GroupTraces, fit_joint_evidence
from .liquid import fit_liquid
from .periods import find_periods
from .scales import feature_scales, fit_scales, scale_prior
from .series import MIN_ROWS as MIN_ROWS
from .series import ConsecutiveRows, Gathered, Series, checked_fleet, digest, gather, tiles
from .thresholds import (
    EvidenceTrace,
    Pace,
    calibrate_evidence,
    fit_tails,
    severity_traces,
)
from .trials.expected_pages import USUAL_BUDGET
from .trials.history import faults_report
from .unseen import fit_unseen

NEW_ROWS = 24
"""Rows that a key needs to lean on a fleet whose other keys have a whole history."""
EVIDENCE_ROWS = 0.5
BATCH, STEPS = 128, 8_000  # of the RBM's training
LEARNING_RATE = 4e-2  # 1e-2 needs four times the epochs for the same
GIBBS_STEPS = 3  # of its negative phase: CD-1 leaves improbable records probable; 10 bring no more


class PipelineTrainer:
    """Fits a pipeline step by step; each step needs the ones before it.

    `fit_scales`, `fit_liquid`, `fit_scores`, `fit_tail`, `calibrate`, then `model`. All arrays of
    the pipeline stay with NumPy, where a history is read; only weights trained by gradients move
    to the default backend for as long as that takes.

    Args:
        series: History per key, times increasing.
        config: Shape of the pipeline; `periods_seconds` is replaced by those of the data unless it
            is given.
        max_rows: Rows the weights are fitted on, spread evenly over all keys.
        calendar: Zone and holidays of the channels' profiles; UTC without it.
        incidents: Windows that do not count where evidence is counted.
        progress: Called with a stage's name and the share done.

    Attributes:
        pipeline: The pipeline, after `fit_scales`.
        series: Keys with enough rows, the longest first.

    Raises:
        ValueError: If no series is long enough, a key is there twice, or one has other channels.
    """

    pipeline: Pipeline
    _scales: ScalesFit
    _liquid: LiquidFit
    _scores: ScoresFit
    _tail: TailFit
    _calibration: Calibration
    _traces: GroupTraces
    _rates: PageRates
    _evidence: dict[int, EvidenceTrace]

    def __init__(
        self,
        series: Sequence[Series],
        config: PipelineConfig,
        *,
        max_rows: int = 120_000,
        calendar: CivilCalendar | None = None,
        incidents: Sequence[Incident] = (),
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        require_positive(max_rows=max_rows)
        series = checked_fleet(series, config.channels)
        usable = [s for s in series if len(s.time_us) >= MIN_ROWS]
        if not usable:
            longest = max((len(s.time_us) for s in series), default=0)
            raise ValueError(
                f"Too little history to train on. Expected a key with at least {MIN_ROWS} rows. "
                f"Received: {len(series)} keys, the longest with {longest} rows."
            )
        if config.evidence != "joint":
            short_series = [s for s in series if NEW_ROWS <= len(s.time_us) < MIN_ROWS]
            spans = Spans([*usable, *short_series])
            usable += short_series if spans.new[len(usable) :].all() else []
        # The keys that still have rows are then a prefix of the batch, whatever the row.
        usable.sort(key=lambda s: -len(s.time_us))
        self.series = usable
        has_channels = config.evidence != "joint"
        self._is_new = Spans(usable).new if has_channels else np.zeros(len(usable), np.bool_)
        self._calendar = calendar or CivilCalendar()
        self._marks = Marks(usable, incidents)
        self._config, self._skipped = config, len(series) - len(usable)
        self._lengths = np.array([len(s.time_us) for s in usable])
        self._thinning = max(1, int(np.ceil(self._lengths.sum() / max_rows)))
        self._report_progress = progress or (lambda _stage, _share: None)
        self._backend = ops.backend_name()
        self._expected: list[Any] = []
        self._channels, self._unseen = dict[str, Any](), dict[str, Any]()
        self._prior: State = {}
        self._bands: Bands | None = None

    def fit_scales(self) -> ScalesFit:
        """Fit the scales of every key's channels and of a key never seen, and find the periods.

        Raises:
            ValueError: If a channel holds no finite value at all.
        """
        self._report_progress("scales", 0.0)
        config = self._config
        residuals, scales = self.series, fit_scales(self.series, config.channels)
        periods = () if config.periods_seconds else find_periods(self.series)
        if periods:
            seconds = tuple(sorted(period.seconds for period in periods))
            config = replace(config, periods_seconds=seconds)
        self.pipeline = Pipeline(config).to(backend="numpy")
        if self.pipeline.channels is not None:
            channel_fit = fit_channels(
                self.series,
                config.channels,
                calendar=self._calendar,
                progress=self._report_progress,
                marks=self._marks,
            )
            residuals, self._expected = channel_fit.residuals, channel_fit.expected
            self.pipeline.channels, self._channels = channel_fit.stage, channel_fit.report
            self._prior = {name: value[0] for name, value in channel_fit.prior.items()}
            self._bands = channel_fit.bands
            scales = fit_scales(residuals, config.channels) | channel_fit.first
        key_state = self.pipeline.initial_state(len(self.series))
        for name, value in scales.items():
            key_state[name][...] = value
        key_state["known"][...] = 1
        known = np.flatnonzero(~self._is_new)
        usual_scale = self.pipeline.normaliser.scale(key_state)[known]
        prior = scale_prior([residuals[k] for k in known], usual_scale)
        for k in np.flatnonzero(self._is_new):
            row_count = len(self.series[k].time_us)
            var = row_count * key_state["norm_var"][k] + prior.rows * prior.var
            key_state["norm_var"][k] = var / (row_count + prior.rows)
        if self._bands is None:
            self._bands = mean_bands(self.pipeline.normaliser, self.series, key_state, self._marks)
        self._pace = Pace(config.periods_seconds, float(np.median(key_state["interval"])))
        if self.pipeline.drift is not None:
            self._fit_drift(residuals, key_state)
        # Only keys never seen use it: the history itself runs with the scales of its own keys.
        self.pipeline.normaliser.assign({"prior_rows": prior.rows.astype(np.float32)})
        self._scales = ScalesFit(key_state, prior, config.periods_seconds, periods, residuals)
        return self._scales

    @ops.default_backend("numpy")
    def _fit_drift(self, residuals: Sequence[Series], key_state: State) -> None:
        """Set the usual size of the channels' departures, from which drift is told."""
        channels, pace = len(self.pipeline.config.channels), self._pace
        self.pipeline.drift = Drift(channels, pace.half_life_rows, pace.day_rows)
        for k, s in enumerate(residuals):
            moments = {n: v[k : k + 1] for n, v in key_state.items() if n.startswith("norm_")}
            z = np.minimum(np.abs(self.pipeline.normaliser.normalise(moments, s.values)), 3.0)
            finite = np.isfinite(z)
            mean = np.where(finite, z, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
            key_state["drift_usual"][k] = np.maximum(mean, SMALLEST)
        key_state["drift_size"][...] = key_state["drift_usual"]

    def fit_liquid(self, refine: int = 0) -> LiquidFit:
        """Fit the liquid network's read-out, and gather the rows that later steps are fitted on.

        Args:
            refine: Most epochs of gradient descent on the cell, see `fit_liquid`; 0 for none.

        Raises:
            ValueError: If `refine` is below 0.
        """
        require_positive(refine=refine + 1)
        rows = self._gather()
        self._report_progress("liquid network", 0.0)
        with _moved(self.pipeline.liquid, self._backend if refine else "numpy"):
            report = fit_liquid(self.pipeline.liquid, rows.sequences, refine=refine)
        if self.pipeline.config.residuals:
            rows = self._gather()  # residuals exist only once the read-out does
        self._liquid = LiquidFit(rows, report)
        return self._liquid

    def fit_scores(self, epochs: int | None = None) -> ScoresFit:
        """Fit the scales of every key's features, then the RBM on the scaled features.

        Args:
            epochs: Passes over the rows; None for as many as `epochs_for` the rows.

        Raises:
            ValueError: If `epochs` is not above 0.
        """
        require_positive(epochs=epochs)
        pipeline, key_state, rows = self.pipeline, self._scales.first, self._liquid.rows
        features = feature_scales(rows, len(self.series), self._thinning, self._is_new)
        key_state["feature_mean"][...] = features.mean
        key_state["feature_var"][...] = features.var
        pipeline.scaler.assign({"heavy": features.heavy, "prior_rows": features.prior_rows})
        for name, value in pipeline.windows.primed(key_state["feature_mean"]).items():
            key_state[name][...] = value
        self._report_progress("RBM", 0.0)
        visible = rows.visible(pipeline, key_state)
        if pipeline.config.whiten:
            pipeline.visible.fit_whitener(visible)
            visible = np.concatenate([pipeline.visible.decorrelate(x) for x in tiles(visible)])
        with _moved(pipeline.rbm, self._backend):
            history = fit_rbm(
                pipeline.rbm,
                ops.to(visible, backend=self._backend),
                epochs=epochs or epochs_for(len(visible)),
                batch_size=BATCH,
                learning_rate=LEARNING_RATE,
                momentum=0.5,
                weight_decay=1e-4,
                k=GIBBS_STEPS,
                generator=ops.generator(pipeline.config.seed),
            )
        pipeline.freeze()
        scores = np.concatenate([pipeline.score(part) for part in tiles(visible)])
        new = {"feature_mean": features.new_mean, "feature_var": features.new_var}
        self._scores = ScoresFit(history, scores, new)
        return self._scores

    def fit_tail(self, adapt: bool = True) -> TailFit:
        """Fit the tail of every key's scores, and of a key never seen.

        Args:
            adapt: Let each key's tail follow slowly on the stream (not while it alarms).
        """
        self._report_progress("tails", 0.0)
        key_state, scores = self._scales.first, self._scores.scores
        low, mid = np.quantile(scores, [0.001, 0.5])
        self.pipeline.tail = Tail(
            floor=float(low - 0.25 * (mid - low)),
            half_life_rows=self._pace.half_life_rows if adapt else 0,
            freeze_rows=self._pace.freeze_rows,
        )
        rows = self._liquid.rows
        counted = ~self._marks.of(rows) & ~self._is_new[rows.owner]
        logs = self.pipeline.tail.log_score(scores)[counted]
        require_some([logs])
        fit_tails(key_state, rows.owner[counted], logs)
        new_state = self.pipeline.initial_state(1)
        values = {"norm_var": self._scales.prior.var, **self._scores.new_features, **fit_tail(logs)}
        values |= self._prior
        for name, value in values.items():
            new_state[name][0] = value
        if self.pipeline.joint is not None:
            self._fit_joint()
        self._tail = TailFit(logs, new_state)
        return self._tail

    def _fit_joint(self) -> None:
        """Fit the joint evidence, and gather the traces from which the thresholds follow."""
        key_state, rows = self._scales.first, self._liquid.rows
        assert rows.consecutive is not None
        self.pipeline.joint, self._traces = fit_joint_evidence(
            self.pipeline,
            key_state,
            rows,
            rows.consecutive,
            self._pace.half_life_rows,
            self._pace.day_rows,
            self._marks,
            self._is_new,
        )

    @ops.default_backend("numpy")
    def _group_motor(self, on: float) -> GroupMotor:
        """Return a motor neuron of the groups."""
        groups, day = len(self.pipeline.config.channels) + 1, self._pace.day_rows
        return GroupMotor(
            groups,
            on,
            habituation_half_life=7.0 * day,
            accept_intervals=max(0.25 * day, 24.0),
            return_intervals=day / 24.0,
        )

    def _calibrate_groups(self, budget_per_week: float | None) -> None:
        """Set the on-threshold by the pages of the motor neuron itself over the history."""
        pipeline = self.pipeline
        assert pipeline.channels is not None
        assert pipeline.joint is not None
        curves = pipeline.channels.curves, pipeline.joint.curves
        self._rates = pages_by_level(
            self._group_motor,
            self._traces.keys,
            self._traces.days,
            max(c.reachable for c in curves),
        )
        if budget_per_week is not None:
            level = self._rates.checked_level(budget_per_week / 7.0)
        else:
            level = min(self._rates.level(USUAL_BUDGET), self._rates.reachable)
        pipeline.motor = self._group_motor(level)
        self._report_progress("done", 1.0)

    def calibrate(
        self, budget_per_week: float | None = None, evidence_rows: float = EVIDENCE_ROWS
    ) -> Calibration | None:
        """Set the motor neuron's thresholds by the peaks of training evidence.

        Args:
            budget_per_week: False triggers accepted per key and week; None for the evidence that 3
                training rows in 1,000 reach.
            evidence_rows: Time constant of the evidence, in rows.

        Raises:
            ValueError: If one of them is not above 0.
        """
        require_positive(budget_per_week=budget_per_week, evidence_rows=evidence_rows)
        self._report_progress("thresholds", 0.0)
        if self.pipeline.channels is not None:
            self._calibrate_groups(budget_per_week)
            return None
        rows, interval = self._consecutive, float(np.median(self._scales.first["interval"]))
        marked = self._marks.of(rows)
        self._evidence = {
            k: EvidenceTrace.of(trace, evidence_rows, marked[rows.owner == k])
            for k, trace in severity_traces(self.pipeline, self._scales.first, rows).items()
        }
        calibration = calibrate_evidence(self._evidence.values(), interval)
        threshold = calibration.level
        if budget_per_week is not None:
            threshold = calibration.at_budget(budget_per_week)
        self.pipeline.motor = MotorNeuron(
            on=threshold, off=calibration.off, time_constant_rows=evidence_rows
        )
        self._calibration = calibration
        self._report_progress("done", 1.0)
        return calibration

    def fit_unseen(self) -> None:
        """Let keys never seen begin as usual ones, and find how sure their first rows are."""
        scales, new = self._scales, self._tail.new_state
        self._unseen = fit_unseen(
            self.pipeline, self.series, scales, new, self._is_new, self._marks
        )

    @property
    def _consecutive(self) -> ConsecutiveRows:
        rows = self._liquid.rows.consecutive
        assert rows is not None
        return rows

    def episodes(self, severity: float | None = None) -> list[HistoryEpisode]:
        """Return the episodes of the history, without those of the incidents.

        Args:
            severity: On-threshold: once in `10^severity` days of a key, each of several like ones
                counted. None: those that would have paged.
        """
        motor, rows = self.pipeline.motor, self._consecutive
        if isinstance(motor, GroupMotor):
            find = group_episodes
            if severity is not None:
                motor, find = self._group_motor(severity), outstanding_episodes
            return [
                episode
                for own_rows, trace in zip(self._traces.rows, self._traces.keys, strict=True)
                for episode in find(motor, int(rows.owner[own_rows[0]]), own_rows, trace)
            ]
        if severity is not None:
            on = self._calibration.at_budget(7.0 * 10.0**-severity)
            motor = MotorNeuron(on, motor.off, motor.time_constant_rows)
        return [
            episode
            for k, trace in self._evidence.items()
            for episode in evidence_episodes(motor, k, np.flatnonzero(rows.owner == k), trace)
        ]

    def outstanding(self) -> tuple[list[Incident], dict[str, Any]]:
        """Return the episodes of severity 1 and more as incidents, and a report of them.

        There are none where they, and the rows around them, would be more than `MOST_DROPPED` of
        the rows: then they are no exceptions. The report says so.
        """
        episodes, rows = self.episodes(OUTSTANDING_SEVERITY), self._consecutive
        incidents = incidents_of(self.series, rows, episodes)
        marked = Marks(self.series, incidents).count
        share = marked / len(rows.owner)
        report = self._episodes_report([], episodes)
        report |= {
            "count": len(episodes),
            "rows": marked,
            "share": round(share, 4),
            "left_out": share <= MOST_DROPPED,
        }
        return incidents if report["left_out"] else [], report

    def _episodes_report(
        self, paged: list[HistoryEpisode], others: list[HistoryEpisode]
    ) -> dict[str, Any]:
        key_state, rows = self._scales.first, self._consecutive
        return episodes_report(self.pipeline, key_state, self.series, rows, paged, others)

    def faults(self) -> dict[str, Any]:
        """Return what the model would catch of faults put into the history, see `faults_report`."""
        known = np.flatnonzero(~self._is_new).tolist()
        first, expected = self._scales.first, self._expected
        return faults_report(self.pipeline, first, self.series, self._marks, expected, known)

    def model(self) -> FleetModel:
        """Return the fitted pipeline with the first states of its keys, on the default backend."""
        quantiles = (0.5, 0.9, 0.99, 0.999)
        report = {
            "keys": len(self.series),
            "rows": int(self._lengths.sum()),
            "skipped_keys": self._skipped,
            "digest": digest(self.series),
            "periods_seconds": list(self._scales.periods_seconds),
            "periods": [p.as_json(self._config.channels) for p in self._scales.periods],
            **self._thresholds(),
            **self._unseen,
            "episodes": self._episodes_report(self.episodes(), self.episodes(OUTSTANDING_SEVERITY)),
            "liquid": self._liquid.report,
            "score_quantiles": {
                str(q): float(np.quantile(self._scores.scores, q)) for q in quantiles
            },
        }
        if self._marks.windows:
            report["incidents"] = self._marks.report()
        keys = [s.key for s in self.series]
        key_state, new_state = self._scales.first, self._tail.new_state
        model = FleetModel(self.pipeline, keys, key_state, new_state, report)
        model.pauses = pauses_in([s.time_us for s in self.series])
        model.bands = self._bands
        return model.to(backend=self._backend)

    def _thresholds(self) -> dict[str, Any]:
        """Return the part of the report from which thresholds for other budgets follow."""
        motor = self.pipeline.motor
        if isinstance(motor, GroupMotor):
            return {"pages": self._rates.to_json(), "on": motor.on, "channels": self._channels}
        return {"calibration": asdict(self._calibration), "on": motor.on, "off": motor.off}

    def _gather(self) -> Gathered:
        """Run the history through the recurrent stages, each key from its first state."""
        state = {name: value.copy() for name, value in self._scales.first.items()}
        return gather(
            self.pipeline,
            self.series,
            self._lengths,
            state,
            self._thinning,
            self._report_progress,
            expected=self._expected,
        )


def epochs_for(rows: int) -> int:
    """Return the passes over so many rows that make about 8,000 steps of the RBM, 5 to 40."""
    return int(np.clip(round(STEPS * BATCH / rows), 5, 40))


@contextmanager
def _moved(module: Module, backend: str) -> Iterator[None]:
    """Move a module to a backend for its training, and back to NumPy after it."""
    module.to(backend=backend)
    yield
    module.to(backend="numpy")
