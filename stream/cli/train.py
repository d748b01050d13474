"""`ember train`: train a model bundle on recorded telemetry."""

from __future__ import annotations

import json as json_
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from ember_core import ops
from ember_core.data.sources import Dataset, Remark
from ember_core.pipeline import CivilCalendar, FleetModel
from ember_core.pipeline.fit import MIN_ROWS, Incident
from stream.channel_rules import unmatched
from stream.configure import window_spec
from stream.errors import UserError
from stream.expectations import expectation_lines, expectations
from stream.history import RowRules
from stream.holiday_days import holiday_days
from stream.incidents import read_incidents, require_keys, window_of
from stream.remarks import training_remarks
from stream.settings import AlertsSection, ChannelRule
from stream.thresholds import episode_text
from stream.told_episodes import read_told_episodes
from stream.training import train as fit
from stream.types import CodecName

from .data_options import (
    DataArgs,
    DataFiles,
    DataOptions,
    RecordArgs,
    RecordOptions,
    codec_of,
    read_data,
)
from .history_episodes import history_lines
from .options import ClusterArgs, ClusterOptions, require_at_least
from .output import print_remarks
from .periods import period_text
from .training_targets import Targets, without_keys


def train(
    data: DataFiles,
    /,
    *,
    out: Path | None = None,
    profile: str | None = None,
    options: DataArgs = DataOptions(),
    records: RecordArgs = RecordOptions(),
    name: str = "",
    seed: int = 0,
    epochs: int | None = None,
    levels: Annotated[bool, Parameter(negative="--no-levels")] = True,
    windows: str = "exponential",
    hidden: int = 32,
    rbm_hidden: int = 128,
    budget: str = "",
    evidence: Literal["auto", "channels+joint", "joint"] = "auto",
    calendar_zone: str = "",
    holiday: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    incidents: Path | None = None,
    without_episodes: Path | None = None,
    exclude_labelled: Annotated[bool, Parameter(negative=())] = False,
    drop_incidents: Annotated[bool, Parameter(negative=())] = False,
    choose: bool = False,
    refine: int = 0,
    rate: tuple[str, ...] = (),
    value: tuple[str, ...] = (),
    window: str | None = None,
    interval_seconds: float | None = None,
    allowed_lateness_seconds: float | None = None,
    backend: Literal["numpy", "torch", "mlx"] | None = None,
    keys: int = 0,
    codec: CodecName | None = None,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Train a model on recorded telemetry; labels are read for --exclude-labelled only.

    The bundle has the weights of the whole fleet, and the scales and the tail of every key. It also
    says how its channels come from the records: by [[channels]] of the settings, and as rates where
    they are counters. Rows are made as the stream makes them.

    Records of a topic (kafka:TOPIC) are read as the service reads them, by the settings of the
    input. So are those of a dump (kcat:FILE, the lines of kcat -C -J).

    Args:
        data: CSV (also .gz), Parquet, JSON lines, a directory, a query, kafka:TOPIC, kcat:FILE or
            prometheus:URL.
        out: Folder of the bundle: model.safetensors and model.json. Default: the folders of
            model.profiles, each trained on its keys, and that of model.path on the others.
        profile: Pattern of the one profile of model.profiles to train.
        options: Columns and rows of the files.
        records: Records of topics, and series of prometheus:URL.
        name: Name of the model. Default: name of the folder.
        seed: Seed of all weights.
        epochs: Passes over the rows. Default: 5 to 40, more for fewer rows.
        levels: Use the level of each channel; without it only the departures from it.
        windows: exponential (in time), dilated or hop (windows of rows).
        hidden: Number of neurons of the liquid network.
        rbm_hidden: Number of hidden units of the RBM.
        budget: Pages accepted per key, for example 1/month or 2/day. Default: 1/month with
            channels+joint; with joint evidence thresholds that 3 in 1,000 training rows reach.
        evidence: channels+joint judges every channel by its usual value at the time of the week,
            beside all of them together; joint only these. auto chooses, and says why.
        calendar_zone: Time zone of the people who load the machines, for example Europe/Berlin:
            profiles of day and week follow its clock. Default: --time-zone, else UTC.
        holiday: Day of that zone that counts as a Sunday, for example 2026-12-25, or the code of a
            country or a part of it with all its public holidays, such as DE-BY; may be repeated.
        exclude: Known incident of the history as [KEY@]START..END, both times included; may be
            repeated. It does not count where the rarity of evidence is counted.
        incidents: File of known incidents: CSV or JSON lines with start, end and key (empty or *:
            all keys).
        without_episodes: File of events, one JSON object a line: the triggers of a topic, or those
            of ember backtest --events. Their episodes are known incidents, but for those marked as
            false alarm or normal.
        exclude_labelled: Take the records that --label marks for known incidents.
        drop_incidents: Leave out the worst episodes of the history by themselves: train twice, the
            second time without those as rare as once in 10 days of a key.
        choose: Choose levels, clock and liquid residuals by faults injected into held-back training
            rows, and print the gain of each; overrides --levels.
        refine: Largest number of epochs of gradient descent on the liquid cell, which is random
            otherwise; ends early when forecasts of held-back rows no longer improve.
        rate: Pattern of channels that are counters, used as rates; may be repeated. Default: those
            that never fall but for resets, see docs/start.md.
        value: Pattern of channels that are used as they are, counters or not; may be repeated.
        window: count (each record is a row) or time (a row per interval). Default: window.mode.
        interval_seconds: Length of an interval. Default: window.interval_seconds.
        allowed_lateness_seconds: Largest lateness of a sample. Default:
            window.allowed_lateness_seconds.
        backend: Backend of the training; bundles run on all three. Default: EMBER_BACKEND, else
            numpy.
        keys: Train on this many keys of a large fleet, chosen by a hash of the key; the others are
            new ones to the model. Default: all.
        codec: Format of the records of topics, and of files that are dumps of one. Default:
            input.codec, and files are tables.
        json: Print the summary as one JSON object.
        cluster: Kafka cluster and settings, for topics and dumps.
    """
    started = time.perf_counter()
    budget_per_week = _per_week(budget) if budget else None
    if refine < 0:
        raise UserError(
            f"Epochs are counted from 0. Expected --refine 0 or more. Received: --refine {refine}.",
            exit_code=2,
        )
    settings = cluster.settings(
        input={"codec": codec_of(data, codec)},
        window={
            "mode": window,
            "interval_seconds": interval_seconds,
            "allowed_lateness_seconds": allowed_lateness_seconds,
        },
    )
    flags = [
        ChannelRule(match=pattern, use=use)
        for use, patterns in (("rate", rate), ("value", value))
        for pattern in patterns
    ]
    rules = RowRules(window_spec(settings), (*flags, *settings.channels.rules))
    require_at_least("keys", keys, 0)
    targets = Targets.of(settings, out, profile)
    # So many keys of each profile: they are chosen when all are known.
    reading = records.reading(keys=0 if targets.by_profile else keys)
    dataset = read_data(data, options, lambda: settings, reading, dumps=codec is not None)
    known_incidents = _incidents(exclude, incidents, options, dataset)
    if without_episodes is not None:
        last = max((int(t.time_us.max()) for t in dataset.tables if len(t.time_us)), default=0)
        known_incidents += read_told_episodes(without_episodes, last)
    fitting = partial(
        fit,
        rules=rules,
        seed=seed,
        epochs=epochs,
        budget_per_week=budget_per_week,
        choose=choose,
        refine=refine,
        evidence=evidence,
        calendar=_calendar(calendar_zone or options.time_zone or "UTC", holiday, dataset),
        exclude_labelled=exclude_labelled,
        drop_incidents=drop_incidents,
        levels=levels,
        windows=windows,
        hidden=hidden,
        rbm_hidden=rbm_hidden,
    )
    summaries: dict[str, dict[str, Any]] = {}
    for pattern, folder, part in targets.datasets(dataset, keys):
        if part is None:
            print_remarks([without_keys(pattern)])
            continue
        if targets.by_profile and not json:
            print(f"{pattern or 'other keys'}")
        part_incidents = known_incidents
        if targets.by_profile:
            keys_of_part = {None, *part.keys}
            part_incidents = [i for i in known_incidents if i.key in keys_of_part]
        fit_part = partial(fitting, incidents=part_incidents, name=name or folder.resolve().name)
        model, remarks = _fitted(fit_part, part, rules, backend)
        _save(model, folder)
        print_remarks(remarks)
        seconds = time.perf_counter() - started
        summaries[pattern] = _summary(model, folder, seconds, remarks)
        if not json:
            _print_summary(model, summaries[pattern], choose=choose)
    if not summaries:
        raise UserError("The data have no key of these profiles, and nothing was trained.")
    if json:
        print(json_.dumps({"profiles": summaries} if targets.by_profile else summaries[""]))


def _fitted(
    fitting: Callable[..., FleetModel], dataset: Dataset, rules: RowRules, backend: str | None
) -> tuple[FleetModel, list[Remark]]:
    """Train a model, and return it with the remarks on its data."""
    intervals = rules.window.mode == "time"
    try:
        with (
            _use_backend(backend),
            Progress(
                console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
            ) as bar,
        ):
            model = fitting(dataset, progress=_reporter(bar))
    except UserError:
        # They may say why: rows that were left out, or times that repeat.
        reasons = training_remarks(dataset, MIN_ROWS, intervals=intervals)
        print_remarks(r for r in reasons if r.kind != "constant_channel")  # no model keeps one
        raise
    remarks = training_remarks(dataset, MIN_ROWS, model, intervals=intervals)
    if patterns := unmatched(dataset.channels, rules.channels):
        text = f"no channel is matched by {', '.join(patterns)} of [[channels]], --rate or --value"
        remarks.append(Remark("unmatched_rule", text))
    return model, remarks


def _save(model: FleetModel, folder: Path) -> None:
    try:
        model.save(folder)
    except OSError as error:  # such as a full disk
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.") from None


def _summary(
    model: FleetModel, folder: Path, seconds: float, remarks: list[Remark]
) -> dict[str, Any]:
    return {
        "out": str(folder),
        "name": model.name,
        "sha256": model.sha256,
        "channels": len(model.channels),
        "seconds": round(seconds, 3),
        **model.report,
        "expectations": expectations(model),
        "remarks": [remark.as_json() for remark in remarks],
    }


def _print_summary(model: FleetModel, summary: dict[str, Any], *, choose: bool) -> None:
    print(
        f"{summary['out']}: {summary['keys']} keys, {summary['rows']:,} rows, "
        f"{len(model.channels)} channels in {summary['seconds']:.1f} s; {episode_text(model)}."
    )
    choice = model.report["evidence"]
    print(f"Evidence: {choice['evidence']} ({choice['reason']}).")
    for period in model.report["periods"]:
        print(f"Period: {period_text(period)}.")
    print("\n".join(expectation_lines(model)))
    print("\n".join(history_lines(model.report)))
    if choose:
        print("\n".join(_blocks(model.report.get("blocks", []))))


def _blocks(rows: list[dict[str, Any]]) -> list[str]:
    """Return the gain of each block of features against injected faults, one line each."""
    if not rows:
        return ["Blocks as given: too little history to try them on injected faults."]
    kinds = [n for n in rows[0] if n not in ("block", "auc_pr", "gain", "error", "kept")]
    lines = [f"{'block':14}{'kept':>5}{'gain':>8}{'+-':>7}{'AUC-PR':>8}  by kind of fault"]
    for row in rows:
        by_kind = ", ".join(f"{kind} {row[kind]:.2f}" for kind in kinds if kind in row)
        lines.append(
            f"{row['block']:14}{'yes' if row['kept'] else 'no':>5}{row['gain']:>8.3f}"
            f"{row['error']:>7.3f}{row['auc_pr']:>8.3f}  {by_kind}"
        )
    return lines


@contextmanager
def _use_backend(backend: str | None) -> Iterator[None]:
    """Make arrays on this backend inside the `with` block."""
    # A stack: only errors of the backend are the user's, not those of the training.
    with ExitStack() as stack:
        try:
            stack.enter_context(ops.default_backend(backend or ops.backend_name()))
        except (ImportError, ValueError) as error:
            raise UserError(str(error), exit_code=2) from error
        yield


def _calendar(zone: str, holidays: tuple[str, ...], dataset: Dataset) -> CivilCalendar:
    """Return the calendar of profiles."""
    try:
        return CivilCalendar(zone, holiday_days(holidays, *dataset.span_us))
    except ValueError as error:
        raise UserError(str(error), exit_code=2) from error


def _incidents(
    exclude: tuple[str, ...], path: Path | None, options: DataOptions, dataset: Dataset
) -> list[Incident]:
    """Return the incidents of the command line and of a file; a file may know more keys."""
    reader = options.time_reader()
    windows = [window_of(text, reader) for text in exclude]
    require_keys(windows, dataset.keys)
    return windows if path is None else windows + read_incidents(path, reader)


def _per_week(budget: str) -> float | None:
    """Return the false triggers per week of a budget such as 2/day."""
    try:
        return AlertsSection(budget=budget).budget_per_week
    except ValidationError as error:
        raise UserError(
            "The budget is not understood. Expected NUMBER/PERIOD such as 1/week or 2/day. "
            f"Received: --budget {budget}.",
            exit_code=2,
        ) from error


def _reporter(bar: Progress) -> Callable[[str, float], None]:
    """Return a callback that shows the stage of the training in a progress bar."""
    task = bar.add_task("reading", total=1.0)

    def report(stage: str, share: float) -> None:
        bar.update(task, description=stage, completed=share)

    return report
