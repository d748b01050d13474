"""`ember backtest`: recorded telemetry, scored by the engine of the service."""

from __future__ import annotations

import csv
import json as json_
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ember_core.data.sources import Dataset, Remark
from ember_core.pipeline import FleetModel
from stream.backtest import Backtest
from stream.backtest import backtest as run
from stream.configure import engine_settings, load_models
from stream.control import NO_CONTROL
from stream.control.known_times import spanning
from stream.engine import Profiles
from stream.errors import UserError
from stream.keys import key_of, key_text
from stream.remarks import backtest_remarks
from stream.report import render
from stream.rule_trial import change_lines, compare, unmatched_rules
from stream.settings import Settings
from stream.tools.record_schemes import topics_of
from stream.types import CodecName

from .backtest_alerts import alert_lines, page_figures, page_line
from .data_options import (
    DataArgs,
    DataFiles,
    DataOptions,
    RecordArgs,
    RecordOptions,
    codec_of,
    has_scheme,
    read_data,
)
from .destinations import require_file
from .document_files import read_documents
from .options import ClusterArgs, ClusterOptions
from .output import clean, print_remarks

_BAND_CELLS = 10_000_000
"""Values, rows times channels, up to which a report has the band of every row: 400 MB."""
COLUMNS = ("key", "time", "score", "probability", "severity", "anomaly", "trigger")


def backtest(
    data: DataFiles,
    /,
    *,
    model: Path | None = None,
    options: DataArgs = DataOptions(),
    records: RecordArgs = RecordOptions(),
    scores: Path | None = None,
    events: Path | None = None,
    report: Path | None = None,
    topic: str | None = None,
    window: str | None = None,
    interval_seconds: float | None = None,
    allowed_lateness_seconds: float | None = None,
    warm: bool = False,
    as_key: str = "",
    rules: Path | None = None,
    buffer: int = 100,
    batch_rows: int = 4096,
    codec: CodecName | None = None,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Score the rows not used for training as the service would, and evaluate labelled ones.

    Scores and events are those of the service: engine and order of the records are the same.

    Args:
        data: CSV (also .gz), Parquet, JSON lines, a directory, a query, kafka:TOPIC, kcat:FILE or
            prometheus:URL.
        model: Folder of the bundle, which judges all keys. Default: those of the settings,
            model.path and model.profiles.
        options: Columns and rows of the files.
        records: Records of topics, and series of prometheus:URL.
        scores: File to write one row per scored record to, .csv or .parquet.
        events: File to write anomalies and triggers to, one JSON object per line, as published.
        report: File to write a page of episodes, channels and thresholds to, .html.
        topic: Name of the input topic in the events; part of their ids. Default: that of
            kafka:TOPIC, else telemetry.
        window: count (each record is a row) or time (a row per interval). Default: window.mode.
        interval_seconds: Length of an interval. Default: window.interval_seconds.
        allowed_lateness_seconds: Largest lateness of a sample. Default:
            window.allowed_lateness_seconds.
        warm: Feed the training rows first.
        as_key: Score the one key of the data as this key of the model, such as a file of another
            month. Default: the model's only key, where the data have one key and no --key.
        rules: File of rules, calendars and feedback, such as `ember control export` prints: score
            with them, and print what they change.
        buffer: Buffer of VUS-PR, in records.
        batch_rows: Number of rows per step; no result depends on it.
        codec: Format of the records of topics, and of files that are dumps of one. Default:
            input.codec, and files are tables.
        json: Print the summary as one JSON object.
        cluster: Settings file, and Kafka cluster for topics.
    """
    for flag, path in (("--report", report), ("--scores", scores), ("--events", events)):
        require_file(flag, path)
    if report and report.suffix not in (".html", ".htm"):
        raise UserError(
            f"The report is a page of HTML. Expected a name ending in .html. Received: --report "
            f"{report}.",
            exit_code=2,
        )
    if scores and scores.suffix not in (".csv", ".parquet"):
        raise UserError(
            f"Scores are written as CSV or Parquet. Expected a name ending in .csv or .parquet. "
            f"Received: --scores {scores}.",
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
    fleet = load_models(settings, model)
    if report and isinstance(fleet, Profiles):
        raise UserError(
            "The report is of one model. Expected --model with the bundle of a profile, and data "
            f"of its keys. Received: --report {report} with model.profiles.",
            exit_code=2,
        )
    spec, limits = engine_settings(settings)
    reading = records.reading(channels=fleet.sources)
    dataset = read_data(data, options, lambda: settings, reading, dumps=codec is not None)
    if not set(dataset.channels) & set(fleet.sources):
        raise UserError(
            "The data have none of the model's channels. "
            f"Expected some of: {', '.join(fleet.sources[:8])}. "
            f"Received: {', '.join(dataset.channels[:8])}."
        )
    files = not options.key and set(dataset.keys) <= _file_keys(data)
    dataset, renamed = _with_key(dataset, fleet, as_key, files=files)
    control = NO_CONTROL if rules is None else spanning(read_documents(rules), *_span(dataset))
    input_topic = topic or _topic_of(data, settings)
    stream = settings.stream_names.get(input_topic, input_topic)
    if report and _cells(dataset, fleet) <= _BAND_CELLS:
        limits = replace(limits, detailed=("*",))
    replay = partial(
        run,
        fleet,
        dataset,
        topic=input_topic,
        stream_names=settings.stream_names,
        window=spec,
        limits=limits,
        warm=warm,
        batch_rows=batch_rows,
    )
    result = replay(control=control)
    changed = None if rules is None else compare(replay().events, result.events, control)
    if scores:
        write_scores(scores, result)
    if events:
        with events.open("wb") as file:
            for e in result.events:
                key = key_text(e.key)
                head = json_.dumps({"id": e.id, "kind": e.kind, "key": key})
                file.write(head[:-1].encode() + b', "body": ' + e.body + b"}\n")
    remarks = [*renamed, *backtest_remarks(fleet, dataset, result, files=files)]
    keys = [key_text(key) for key in dataset.keys]
    remarks += unmatched_rules(control, stream, keys, fleet.channels, dataset.span_us)
    print_remarks(remarks)
    summary: dict[str, Any] = {
        "records": sum(result.counts.values()),
        "scored": sum(len(s.score) for s in result.scores),
        "anomalies": result.anomalies(),
        "triggers": result.triggers(),
        "counts": result.counts,
        "known_keys": sum(key in set(fleet.keys) for key in dataset.keys),
        "keys": len(dataset.keys),
        "remarks": [remark.as_json() for remark in remarks],
        **result.figures(buffer=buffer),
    }
    if changed is not None:
        summary["rules"] = changed.as_json()
        summary["planned"] = {"rows": result.planned, "in_grace": result.in_grace}
    if settings.alerts.pages is not None:
        summary["fleet"] = page_figures(result, settings)
    if "mean" in summary:
        summary["baselines"] = result.baseline_figures(buffer=buffer)
    if report and not isinstance(fleet, Profiles):
        page = render(
            result,
            fleet,
            figures=summary if "mean" in summary else None,
            baselines=summary.get("baselines"),
            sources=data,
        )
        report.write_bytes(page.encode("utf-8", "backslashreplace"))
    if json:
        print(json_.dumps(summary))
    else:
        _print_summary(summary)
        for line in alert_lines(result.events):
            print(line)
        if settings.alerts.pages is not None:
            print(page_line(summary["fleet"], settings.alerts.pages))
        for line in [] if changed is None else change_lines(changed):
            print(clean(line))
        if control.calendars:
            print(f"Planned work: {result.planned:,} rows, and {result.in_grace:,} in its grace")


def _span(dataset: Dataset) -> tuple[datetime, datetime]:
    """Return begin and end of some telemetry."""
    first, last = (datetime.fromtimestamp(us / 1e6, UTC) for us in dataset.span_us)
    return first - timedelta(days=1), last + timedelta(days=1)


def _cells(dataset: Dataset, fleet: FleetModel | Profiles) -> int:
    """Return the number of values that are scored."""
    rows = sum(len(dataset.rows(number, "scored")) for number in range(len(dataset.tables)))
    return rows * len(fleet.channels)


def _topic_of(data: Sequence[str], settings: Settings) -> str:
    """Return the topic that the engine of the service reads these data from."""
    addresses = [item.partition(":")[2] for item in data if has_scheme(item, ("kafka",))]
    names = [name for address in addresses for name in topics_of(address)]
    if addresses and settings.input.rekey:
        return settings.engine_topics[0]
    return names[0] if names else settings.input.topics[0] if addresses else "telemetry"


def _file_keys(data: Sequence[str]) -> set[bytes]:
    """Return the keys that files without a column of keys have: their names up to the first dot."""
    names = [
        path.name
        for item in data
        for path in (Path(item).rglob("*") if os.path.isdir(item) else [Path(item)])  # noqa: PTH112
    ]
    return {os.fsencode(name.partition(".")[0] or name) for name in names}


def _with_key(
    dataset: Dataset, fleet: FleetModel | Profiles, as_key: str, *, files: bool
) -> tuple[Dataset, list[Remark]]:
    """Return the data under the key of the model that was asked for, or that is the only one.

    Args:
        dataset: The data.
        fleet: The model.
        as_key: Key of the model; empty: its only one, where the key is a file's name.
        files: The keys are names of files.

    Raises:
        UserError: If the model does not know the key, or the data have several.
    """
    wanted = key_of(as_key)
    if as_key and (wanted not in fleet.keys or len(dataset.tables) > 1):
        raise UserError(
            "The data cannot be scored as this key. Expected data of one key, and a key of the "
            f"model such as {', '.join(map(key_text, fleet.keys[:5]))}. Received: "
            f"--as-key {as_key}, {len(dataset.tables)} keys in the data.",
            exit_code=2,
        )
    # A key of a column was chosen by somebody; the name of a file was not.
    if not as_key and files and len(dataset.tables) == len(fleet.keys) == 1:
        wanted = fleet.keys[0]
    if not wanted or dataset.keys == (wanted,):
        return dataset, []
    (table,) = dataset.tables
    reason = "" if as_key else ", the only key of the model"
    name_of_table = key_text(table.key)
    text = (
        f"The data are scored as {key_text(wanted)!r}{reason}; their own key is {name_of_table!r}"
    )
    tables = (replace(table, key=wanted),)
    return replace(dataset, tables=tables), [Remark("renamed_key", text)]


def write_scores(path: Path, result: Backtest) -> None:
    """Write one row per scored record, in the order of keys and of each key's records.

    Args:
        path: File to write; Parquet if it ends in .parquet, else CSV.
        result: Result of the backtest.
    """
    rows = list(_rows(result))
    if path.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows, columns=COLUMNS).to_parquet(path, index=False)
        return
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _rows(result: Backtest) -> Any:
    """Yield the rows of the file, with the times as the input has them."""
    for i, (table, s) in enumerate(zip(result.dataset.tables, result.scores, strict=True)):
        # Reversed, so that of two rows at one time `text` has the first, which is the scored one.
        rows = result.dataset.rows(i, "scored")[::-1]
        text = dict(zip(table.time_us[rows].tolist(), table.texts(rows), strict=True))
        name = key_text(table.key)
        for t, score, p, severity, anomaly, trigger in zip(
            s.time_us.tolist(),
            s.score.tolist(),
            s.probability.tolist(),
            s.severity.tolist(),
            s.anomaly.tolist(),
            s.trigger.tolist(),
            strict=True,
        ):
            yield name, text.get(t, t), score, p, severity, int(anomaly), trigger


def _print_summary(summary: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(
        f"{summary['records']:,} records, {summary['scored']:,} scored, "
        f"{summary['anomalies']:,} anomalies, {summary['triggers']:,} triggers"
    )
    if "mean" not in summary:
        return
    columns = ("vus_pr", "auc_pr", "best_f1", "f1", "ef1", "false_episodes_per_1000")
    print(f"{'':24}" + "".join(f"{name:>12.12}" for name in columns))
    lines = {**summary["per_key"], "mean": summary["mean"]}
    lines |= {f"mean: {name}": row for name, row in summary["baselines"].items()}
    for name, row in lines.items():
        values = [row.get(column) for column in columns]
        cells = ["-" if v is None else f"{v:.3f}" for v in values]
        print(f"{name:24.24}" + "".join(f"{cell:>12}" for cell in cells))
