"""Remarks of `train` and `backtest` on columns, rows and keys not used as they stand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Dataset, Remark, Rows
from ember_core.pipeline import FleetModel
from stream.engine import Profiles

from .backtest import Backtest
from .counts import plural
from .key_difference import key_difference
from .keys import key_text
from .records import MAX_ABS_VALUE

_SHOWN = 5  # keys or channels named in one remark


def training_remarks(
    dataset: Dataset, min_rows: int, model: FleetModel | None = None, *, intervals: bool = False
) -> list[Remark]:
    """Return what a training leaves out or changes, and what it can learn nothing from.

    Args:
        dataset: The history.
        min_rows: Rows that a key needs.
        model: What it was trained to; says how channels are used.
        intervals: Rows are intervals of time, so that samples may share a time.
    """
    remarks = [*dataset.remarks, *_row_remarks(dataset, "train", "sorted by time")]
    if intervals:
        remarks = [remark for remark in remarks if remark.kind != "repeated_time"]
    remarks += _counter_remarks(model)
    remarks += _incident_remarks(model)
    rows = {table.key: len(_usable(dataset, i)) for i, table in enumerate(dataset.tables)}
    short = [key for key, count in rows.items() if count < min_rows]
    if short and len(short) < len(rows):
        text = (
            f"{plural(len(short), 'key')} left out, with less than {min_rows} usable training "
            f"rows: {_named(short)}"
        )
        remarks.append(Remark("short_key", text, count=sum(rows[key] for key in short)))
    return [*remarks, *_channel_remarks(dataset)]


def backtest_remarks(
    model: FleetModel | Profiles, given: Dataset, result: Backtest, *, files: bool
) -> list[Remark]:
    """Return what a backtest left out, and why rows were not scored or may not fire.

    Args:
        model: The model, or those of profiles.
        given: The data as they were read, with all their channels.
        result: The backtest of them.
        files: The keys are names of files.
    """
    remarks = [*given.remarks, *_model_channels(model, given)]
    # In a row of an interval, samples of one time belong together.
    if result.window.mode == "count":
        remarks += _row_remarks(given, "scored", "not scored: they are late, as in the stream")
    if result.open_intervals:
        text = (
            f"{result.open_intervals:,} intervals are open at the end of the data and were not "
            "scored: in the stream the next record of a key closes them, or its silence"
        )
        remarks.append(Remark("open_interval", text))
    remarks += _key_remarks(model, given, files)
    if not isinstance(model, Profiles):
        return [*remarks, *_waiting(model, result, given.keys)]
    if lost_keys := [key for key in given.keys if model.model_of(key) is None]:
        text = (
            f"{plural(len(lost_keys), 'key')} of no profile were not scored: {_named(lost_keys)}. "
            "model.path would be the bundle of such keys"
        )
        remarks.append(Remark("no_profile", text))
    number_of = model.find(given.keys).tolist()
    for number, own_model in enumerate(model.models):
        keys = [key for key, i in zip(given.keys, number_of, strict=True) if i == number]
        remarks += _waiting(own_model, result, keys)
    return remarks


def _counter_remarks(model: FleetModel | None) -> list[Remark]:
    """Return a remark that names the channels that are used as rates, as they are counters."""
    names = [] if model is None else model.report.get("counters", [])
    if not names:
        return []
    one = len(names) == 1
    text = (
        f"{len(names):,} {'channel is a counter' if one else 'channels are counters'} and used as "
        f"{'its rate' if one else 'rates'}: {', '.join(names)}. --value PATTERN keeps a channel as "
        "it is"
    )
    return [Remark("counter", text)]


def _incident_remarks(model: FleetModel | None) -> list[Remark]:
    """Return a remark on incidents in which no row of the history lies."""
    marked = {} if model is None else model.report.get("incidents", {})
    if not marked.get("outside"):
        return []
    example = marked["outside_examples"][0]
    scope = "all keys" if example["key"] is None else f"key {example['key']!r}"
    text = (
        f"{marked['outside']:,} of {marked['windows']:,} incidents have no row of a trained key in "
        f"them, and change nothing: {scope} from {example['start']} to {example['end']}"
    )
    return [Remark("incident_outside", text)]


def _row_remarks(dataset: Dataset, which: Rows, older: str) -> list[Remark]:
    """Return remarks on rows that fall, repeat a time or have no usable value, over all keys."""
    tables = [(table, dataset.rows(i, which)) for i, table in enumerate(dataset.tables)]
    total = sum(rows.size for _, rows in tables)
    noun = "training rows" if which == "train" else "rows"
    unsorted = repeated = empty = too_large = 0
    example = ""
    for table, rows in tables:
        times, values = table.time_us[rows], table.values[rows]
        unsorted += int(np.count_nonzero(times[1:] < np.maximum.accumulate(times)[:-1]))
        _, first, counts = np.unique(times, return_index=True, return_counts=True)
        repeated += int((counts - 1).sum())
        if not example and (counts > 1).any():
            (time_text,) = table.texts(rows[[first[int(counts.argmax())]]])
            example = f"{counts.max():,} rows of key {key_text(table.key)!r} at {time_text}"
        with np.errstate(invalid="ignore"):
            large = np.abs(values) > MAX_ABS_VALUE
        too_large += int(large.sum())
        empty += int((~(np.isfinite(values) & ~large).any(axis=1)).sum())
    remarks = []
    if unsorted:
        text = f"{unsorted:,} of {total:,} {noun} were older than one before them, and {older}"
        remarks.append(Remark("unsorted_row", text))
    if repeated:
        text = (
            f"{repeated:,} of {total:,} {noun} were left out, as they repeat a time of their key: "
            f"the first row of a time counts ({example}). Give the times their full precision "
            "(both columns of date and time: --time DATE+TIME), or name the column that tells "
            "the rows apart with --key"
        )
        remarks.append(Remark("repeated_time", text))
    if too_large:
        text = f"{too_large:,} values were left out, as they are infinite or above {MAX_ABS_VALUE}"
        remarks.append(Remark("large_value", text))
    if empty:
        text = f"{empty:,} of {total:,} {noun} were left out, as no channel has a value in them"
        remarks.append(Remark("empty_row", text))
    return remarks


def _channel_remarks(dataset: Dataset) -> list[Remark]:
    """Return remarks on channels of a history that stand still, or that some keys lack.

    Channels of which the same is said share a remark.
    """
    values = [table.values[dataset.rows(i, "train")] for i, table in enumerate(dataset.tables)]
    constant: list[str] = []
    absent: dict[tuple[bytes, ...], list[str]] = {}
    for c, channel in enumerate(dataset.channels):
        columns = [table[:, c][np.isfinite(table[:, c])] for table in values]
        absent_keys = [
            t.key for t, column in zip(dataset.tables, columns, strict=True) if not len(column)
        ]
        firsts = [float(column[0]) for column in columns if len(column)]
        if firsts and all((column == column[:1]).all() for column in columns):
            one = f"{firsts[0]:g}" if len(set(firsts)) == 1 else "another value in each key"
            constant.append(f"{channel} ({one})")
        if absent_keys and len(absent_keys) < len(values):
            absent.setdefault(tuple(absent_keys), []).append(channel)
    remarks = []
    if constant:
        text = (
            f"{plural(len(constant), 'channel')} kept, though constant in the training rows, since "
            f"any change will be unusual: {', '.join(constant)}"
        )
        remarks.append(Remark("constant_channel", text))
    for keys, channels in absent.items():
        text = (
            f"{plural(len(channels), 'channel')} without a value in {plural(len(keys), 'key')} "
            f"({_named(keys)}): {', '.join(channels)}"
        )
        remarks.append(Remark("channel_of_some_keys", text))
    return remarks


def _model_channels(model: FleetModel | Profiles, given: Dataset) -> list[Remark]:
    """Return remarks on channels of one side that the other does not have."""
    valued = np.zeros(len(given.channels), bool)
    for table in given.tables:
        valued |= np.isfinite(table.values).any(axis=0)
    present = {name for name, is_present in zip(given.channels, valued, strict=True) if is_present}
    absent_channels = [name for name in model.sources if name not in present]
    other_channels = [name for name in given.channels if name not in model.sources]
    remarks = []
    if absent_channels:
        close = {name: get_close_matches(name, other_channels, n=1) for name in absent_channels}
        hints = [f"{name!r} may be {match[0]!r}" for name, match in close.items() if match]
        hint = f". In the data, {', '.join(hints[:_SHOWN])}" if hints else ""
        text = (
            f"{len(absent_channels):,} of the model's {len(model.sources):,} channels have no "
            f"value in the data, and count as missing: {_listed(absent_channels)}{hint}"
        )
        remarks.append(Remark("missing_channel", text))
    if other_channels:
        text = f"{plural(len(other_channels), 'channel')} left out, unknown to the model"
        text += f": {_listed(other_channels)}"
        remarks.append(Remark("unknown_channel", text))
    return remarks


def _key_remarks(model: FleetModel | Profiles, given: Dataset, files: bool) -> list[Remark]:
    """Return a remark on keys that the model does not know."""
    model_keys = set(model.keys)
    foreign = [key for key in given.keys if key not in model_keys]
    if not foreign or not model_keys:
        return []
    if len(foreign) < len(given.keys):
        text = (
            f"The model knows {len(given.keys) - len(foreign):,} of {len(given.keys):,} keys; the "
            f"others warm up like new ones: {_named(foreign)}"
        )
        return [Remark("unknown_key", text)]
    text = "The model knows none of the keys of the data"
    if files:
        text += (
            f": without --key the key is the file's name, here {_named(foreign)}; the model has "
            f"{_named(sorted(model_keys))}. Score a file as one of them with --as-key KEY, or name "
            "the column of the key with --key COL"
        )
    else:
        difference = key_difference(foreign, model_keys)
        text += f". The difference: {difference.sentence.rstrip('.')}"
    return [Remark("foreign_keys", text)]


def _waiting(model: FleetModel, result: Backtest, keys: Collection[bytes]) -> list[Remark]:
    """Return remarks on keys that warm up or are quiet for half of their rows or more.

    Args:
        model: The model.
        result: A backtest.
        keys: Keys that the model is for.
    """
    config, model_keys, asked_keys = model.pipeline.config, set(model.keys), set(keys)
    fires = model.pipeline.fires_from
    unscored: dict[bytes, int] = {}
    silent: dict[bytes, int] = {}
    quiet: dict[bytes, int] = {}
    for i, table in enumerate(result.dataset.tables):
        if table.key not in asked_keys:
            continue
        rows = _rows(result, i, "scored")
        before = _rows(result, i, "train") if result.warm else 0
        # Told only where it concerns half of the rows: every start has some quiet ones.
        if table.key in model_keys:
            if before + rows // 2 < config.quiet_rows:
                quiet[table.key] = rows
        elif before + rows <= config.warmup_score:
            unscored[table.key] = rows
        elif before + rows // 2 < fires:
            silent[table.key] = rows
    unknown = "a key that the model does not know"
    scored_from, quiet_rows = config.warmup_score + 1, config.quiet_rows
    texts = {
        "warming": f"not scored: {unknown} warms up until row {config.warmup_score:,}, and may "
        f"fire after row {fires:,}",
        "silent": f"scored from row {scored_from:,} on, but {unknown} may fire only after row "
        f"{fires:,}",
        "quiet": f"scored, but after a start no key may fire for {quiet_rows:,} rows; --warm feeds "
        "the training rows first",
    }
    rows_by_state = {"warming": unscored, "silent": silent, "quiet": quiet}
    return [
        Remark(
            kind,
            f"{sum(rows.values()):,} rows of {plural(len(rows), 'key')} ({_named(list(rows))}) "
            f"are {texts[kind]}",
        )
        for kind, rows in rows_by_state.items()
        if rows
    ]


def _rows(result: Backtest, number: int, which: Rows) -> int:
    """Return how many rows the records of a key make."""
    table = result.dataset.tables[number]
    rows = result.dataset.rows(number, which)
    times = table.time_us[rows][np.isfinite(table.values[rows]).any(axis=1)]
    if result.window.mode == "time":
        times = times - times % result.window.interval_us
    return len(np.unique(times))


def _usable(dataset: Dataset, number: int) -> NDArray[np.int64]:
    """Return the different times of a key's training rows that have a value."""
    table, rows = dataset.tables[number], dataset.rows(number, "train")
    return np.unique(table.time_us[rows][np.isfinite(table.values[rows]).any(axis=1)])


def _named(keys: Sequence[bytes]) -> str:
    return _listed([key_text(key) for key in keys])


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + rest
