"""Replay of one key's records by the engine of the service, for its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ember_core.data.sources import DataOptions, Dataset
from ember_core.pipeline import FleetModel
from stream.backtest import Backtest, backtest
from stream.configure import engine_settings, load_models
from stream.control import NO_CONTROL, ControlSet
from stream.engine import DetailedScores, Profiles
from stream.errors import UserError
from stream.keys import key_text, quoted
from stream.records import rfc3339
from stream.settings import Settings
from stream.tools.record_source import RecordReading
from stream.tools.topic_records import Period

from .control.topic import read as read_control
from .data_options import has_scheme, read_data
from .output import message

_DAY_MS = 86_400_000
_SCHEMES = ("kafka", "kcat", "lines")
"""Data that are records of a log."""
_MICROSECONDS = 1_000


@dataclass(frozen=True)
class KeyRequest:
    """Key to replay, and the time to show.

    Attributes:
        key: Stream key.
        data: Files, topics and dumps that hold its records.
        since_ms: Begin of the time shown, milliseconds since the epoch; None: a day before the
            key's newest row, and all of a file.
        until_ms: End of the time shown; None: that of the records.
        lead_ms: Time before that which is replayed and not shown, so that averages settle.
        read_all: Read records of the last day too, and to the end: event times and the times at
            which records were written may differ.
    """

    key: bytes
    data: tuple[str, ...]
    since_ms: int | None = None
    until_ms: int | None = None
    lead_ms: int = _DAY_MS
    read_all: bool = False


@dataclass(frozen=True)
class KeyReplay:
    """Replay of one key.

    Attributes:
        result: The replay.
        model: Model of the key.
        rows: Its scored rows in the time shown.
        begin_us: Begin of the time shown, event time.
        end_us: Its end.
        topic: Name of the stream in events.
        control: Documents that the replay follows.
        source: Name of the data.
    """

    result: Backtest
    model: FleetModel
    rows: DetailedScores
    begin_us: int
    end_us: int
    topic: str
    control: ControlSet
    source: str


def replay_key(
    request: KeyRequest,
    settings: Settings,
    *,
    model: Path | None = None,
    options: DataOptions = DataOptions(),
    now_ms: Callable[[], int],
) -> KeyReplay:
    """Read the records of a key, and replay them by the engine of the service.

    Args:
        request: The key, and the time to show.
        settings: Settings of the service.
        model: Folder of the bundle. Default: those of the settings.
        options: Columns of files.
        now_ms: Clock, milliseconds since the epoch.

    Raises:
        UserError: If there is no model, no record of the key, or none of them is scored.
    """
    fleet = load_models(settings, model)
    key_model = fleet.model_of(request.key) if isinstance(fleet, Profiles) else fleet
    if key_model is None:
        raise UserError(
            f"No model is for key {quoted(request.key)}. Expected a key of one of the profiles "
            f"{', '.join(fleet.patterns) if isinstance(fleet, Profiles) else ''}. Such keys are "
            "counted, and not scored."
        )
    data = request.data
    is_live = any(has_scheme(item, ("kafka",)) for item in data)
    control = _control(settings) if is_live else NO_CONTROL
    dataset = _read(request, data, settings, options, key_model.sources, now_ms)
    topic = _topic_of(data, settings)
    spec, limits = engine_settings(settings)
    result = backtest(
        fleet,
        dataset,
        topic=topic,
        stream_names=settings.stream_names,
        window=spec,
        limits=replace(limits, detailed=("*",)),
        control=control,
    )
    rows = _rows_of(result, request.key)
    begin_us, end_us = _shown(request, rows)
    stream = settings.stream_names.get(topic, topic)
    rows = _between(rows, begin_us, end_us, request.key)
    return KeyReplay(result, key_model, rows, begin_us, end_us, stream, control, ", ".join(data))


def _control(settings: Settings) -> ControlSet:
    """Return the documents in force; none where nobody follows any, or none can be read."""
    if not settings.control_topic:
        return NO_CONTROL
    try:
        return read_control(settings).current
    except UserError as error:
        message(f"The replay follows no documents of operators. {error.message}")
        return NO_CONTROL


def _read(
    request: KeyRequest,
    data: Sequence[str],
    settings: Settings,
    options: DataOptions,
    channels: tuple[str, ...],
    now_ms: Callable[[], int],
) -> Dataset:
    period, is_log = Period(), any(has_scheme(item, _SCHEMES) for item in data)
    if is_log:
        day_ago_ms = now_ms() - _DAY_MS
        since_ms = day_ago_ms if request.since_ms is None else request.since_ms
        if request.read_all:
            since_ms = min(since_ms, day_ago_ms)
        until_ms = None if request.read_all else request.until_ms
        period = Period(since_ms - request.lead_ms, until_ms)
    reading = RecordReading(period, channels, only=frozenset((request.key,)))
    dataset = read_data(data, options, lambda: settings, reading if is_log else RecordReading())
    return _with_key(dataset, request.key, is_named=bool(options.key) or is_log)


def _with_key(dataset: Dataset, key: bytes, *, is_named: bool) -> Dataset:
    """Return the table of the key; that of a file without keys is the only one."""
    tables = [table for table in dataset.tables if table.key == key]
    if not tables and not is_named and len(dataset.tables) == 1:
        tables = [replace(dataset.tables[0], key=key)]
    if not tables:
        examples = ", ".join(key_text(name) for name in dataset.keys[:5])
        raise UserError(
            f"The data have no record of this key. Expected one of their {len(dataset.keys):,} "
            f"keys, such as {examples}. Received: {key_text(key)}.",
            exit_code=2,
        )
    return replace(dataset, tables=tuple(tables[:1]))


def _topic_of(data: Sequence[str], settings: Settings) -> str:
    """Return the topic that the engine of the service reads these records from."""
    names = [item.partition(":")[2] for item in data if has_scheme(item, ("kafka",))]
    if names and settings.input.rekey:
        return settings.engine_topics[0]
    return next((name.partition(",")[0] for name in names if name), settings.input.topics[0])


def _rows_of(result: Backtest, key: bytes) -> DetailedScores:
    rows = result.scores[0].details
    if rows is None:
        counts = ", ".join(f"{n:,} {name}" for name, n in sorted(result.counts.items()))
        raise UserError(
            f"No row of key {quoted(key)} was scored. Expected records past its warm-up. "
            f"Received: {counts}. Replay more of them: --lead 7d, or an earlier --since."
        )
    return rows


def _shown(request: KeyRequest, rows: DetailedScores) -> tuple[int, int]:
    """Return begin and end of the time shown, in event time."""
    newest = int(rows.time_us[-1])
    end_us = newest if request.until_ms is None else request.until_ms * _MICROSECONDS
    if request.since_ms is not None:
        return request.since_ms * _MICROSECONDS, end_us
    if any(not has_scheme(item, _SCHEMES) for item in request.data):
        return int(rows.time_us[0]), end_us
    return min(newest, end_us) - _DAY_MS * _MICROSECONDS, end_us


def _between(rows: DetailedScores, begin_us: int, end_us: int, key: bytes) -> DetailedScores:
    is_shown = (rows.time_us >= begin_us) & (rows.time_us <= end_us)
    if not is_shown.any():
        raise UserError(
            f"No row of key {quoted(key)} lies in this time. Expected one between its first and "
            f"its last, {rfc3339(int(rows.time_us[0]))} and {rfc3339(int(rows.time_us[-1]))}. "
            "Choose it with --since and --until.",
            exit_code=2,
        )
    return rows.take(is_shown.nonzero()[0])


def input_topic(settings: Settings, topic: str | None) -> str:
    """Return the input topic whose records are replayed.

    Args:
        settings: Settings of the service.
        topic: Topic of the command line; None: that of the settings.

    Raises:
        UserError: If the settings name several.
    """
    topics = settings.input.topics
    if topic is not None or len(topics) == 1:
        return topic or topics[0]
    if settings.input.rekey:
        return ",".join(topics)  # the records of a key may be in all of them
    raise UserError(
        "A replay is of one topic. Expected --topic with one of the input topics. Received: none "
        f"of {', '.join(topics)}.",
        exit_code=2,
    )
