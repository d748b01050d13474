"""Training on the input topics, up to the publication of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from ember_core.data.sources import DataOptions, Dataset, read
from ember_core.pipeline import CivilCalendar, FleetModel
from ember_core.pipeline.fit import MIN_ROWS, Incident, Verdict
from stream.bundles import sign
from stream.configure import bundle_source, window_spec
from stream.errors import UserError
from stream.history import RowRules
from stream.holiday_days import holiday_days
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.decision import Decision
from stream.kafka.model_topic.publisher import OutdatedError, describe, publish
from stream.learn.gate import Candidate, Gate, judge_candidate
from stream.learn.lengths import length_text
from stream.learn.process import Job
from stream.learn.report import Outcome, Progress
from stream.remarks import training_remarks
from stream.settings import Settings
from stream.tools.key_sample import sampled
from stream.tools.profile_data import of_profile
from stream.tools.record_schemes import record_schemes
from stream.tools.record_source import Progress as ReadingProgress
from stream.tools.record_source import RecordReading
from stream.tools.topic_records import Period
from stream.training import train
from stream.trials import before, held_back_since

from .episodes import told_incidents
from .history_length import NoHistoryError, history_seconds

_log = structlog.stdlib.get_logger("ember")

_NOTE = "trained by a worker"
_SHORTEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 2.0, 120.0
_LOOKS = 50
"""Looks at the history in the time that is left until it is long enough."""
_NO_HISTORY_SECONDS = 10.0
"""Time between two looks where there is none: it may be a topic that is being filled."""

Report = Callable[[Progress], None]


def run(job: Job, report: Report, gate: Gate = judge_candidate) -> Outcome:
    """Train a model, and publish it if the gate lets it pass.

    Args:
        job: Task of the process.
        report: Function told the progress.
        gate: Judge of the candidate.

    Returns:
        The end of the training.

    Raises:
        UserError: If the records cannot be read, or no model can be trained on them.
        DataError: If there is no record to train on.
    """
    settings, learn = job.settings, job.settings.learn
    since_ms = max(0, round((time.time() - min(learn.since_seconds, time.time())) * 1000))
    if not job.has_model and (wait := _wait_for_history(settings, since_ms)):
        return wait
    source = bundle_source(settings, kept=False)
    in_service = asyncio.run(source.newest())
    dataset = _read(settings, since_ms, report)
    rules = RowRules(window_spec(settings), settings.channels.rules)
    incidents = told_incidents(settings, dataset, since_ms)
    history, since_us = dataset, None
    if in_service is not None:  # the first model is compared with none, and needs all rows
        since_us = held_back_since(dataset)
        history = before(dataset, since_us)
    model = _train(settings, history, rules, incidents, report)
    model.save(job.folder)
    if learn.private_key is not None:
        sign(job.folder, learn.private_key)
    report(Progress("judging", "the candidate is judged"))
    folder = None if in_service is None else in_service.folder
    verdict = gate(
        Candidate(job.folder, dataset, rules, settings, folder, since_us, tuple(incidents))
    )
    report(Progress("publishing", "the decision is published"))
    return _publish(job, FleetModel.load(job.folder), verdict)


def _wait_for_history(settings: Settings, since_ms: int) -> Outcome | None:
    """Return how long the history is, where it is too short for the first training."""
    expected_seconds = settings.learn.min_history_seconds
    expected = f"of {length_text(expected_seconds)} (learn.min_history)"
    try:
        seconds = history_seconds(settings, since_ms)
    except NoHistoryError as error:
        return Outcome("waiting", f"history 0 s {expected}: {error}", _NO_HISTORY_SECONDS)
    if seconds >= expected_seconds:
        return None
    detail = f"history {length_text(seconds)} {expected}"
    pause = (expected_seconds - seconds) / _LOOKS
    pause = min(max(pause, _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
    return Outcome("waiting", detail, pause)


def _read(settings: Settings, since_ms: int, report: Report) -> Dataset:
    """Read the records, as `ember train kafka:TOPIC --since` does."""
    learn = settings.learn

    def on_progress(progress: ReadingProgress) -> None:
        share = progress.records / progress.total if progress.total else 0.0
        # Each record is fetched, and then decoded.
        ratio = 0.5 * min(share, 1.0) + (0.5 if progress.stage == "decoded" else 0.0)
        counts = f"{progress.records:,} of {progress.total:,} records"
        report(Progress("reading", f"{counts} {progress.stage}", ratio))

    # The keys of a profile are chosen when all are known.
    keys = 0 if settings.profile else learn.keys
    reading = RecordReading(Period(since_ms), keys=keys, progress=on_progress)
    schemes = record_schemes(lambda: settings, reading, DataOptions())
    topics = ",".join(settings.input.topics)
    dataset = read([f"kafka:{topics}"], DataOptions(), schemes=schemes, on_disk=True)
    if settings.profile is None:
        return sampled(dataset, learn.keys)
    patterns, pattern = settings.profile
    part = of_profile(dataset, patterns, pattern)
    if part is None:
        name = f"fits profile {pattern!r}" if pattern else "fits none of the profiles"
        raise UserError(f"There is nothing to train on. Expected keys. Received: none that {name}.")
    return sampled(part, learn.keys)


def _train(
    settings: Settings,
    dataset: Dataset,
    rules: RowRules,
    incidents: Sequence[Incident],
    report: Report,
) -> FleetModel:
    learn = settings.learn
    holidays = holiday_days(learn.holidays, *dataset.span_us)
    is_interval = rules.window.mode == "time"
    model: FleetModel | None = None
    try:
        model = train(
            dataset,
            rules=rules,
            calendar=CivilCalendar(learn.calendar_zone or "UTC", holidays),
            incidents=incidents,
            name=settings.kafka.group,
            progress=lambda stage, share: report(Progress("training", stage, share)),
        )
    finally:
        for remark in training_remarks(dataset, MIN_ROWS, model, intervals=is_interval):
            _log.info("learn_remark", **remark.as_json())
    return model


def _publish(job: Job, model: FleetModel, verdict: Verdict) -> Outcome:
    """Publish the model or the refusal, unless somebody else has published a model."""
    config = WorkerConfig.from_settings(job.settings)
    manifest = describe(model, job.folder, _NOTE)
    decision = Decision(
        manifest=manifest,
        accepted=verdict.accepted,
        reasons=tuple(verdict.reasons),
        figures=dict(verdict.figures),
    )
    try:
        asyncio.run(publish(config, manifest, job.folder, decision=decision, after=job.after))
    except OutdatedError as error:
        return Outcome("outdated", error.message)
    if not verdict.accepted:
        return Outcome("refused", " ".join(verdict.reasons))
    rows, keys = model.report.get("rows", 0), model.report.get("keys", 0)
    return Outcome("published", f"{model.sha256[:12]}, trained on {rows:,} rows of {keys:,} keys")
