"""Answers of the reading endpoints, made of the store. The caller holds its lock."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.control import documents_for_key
from stream.keys import key_of

from . import answers
from .event_views import document_answer, episode_answer
from .numbers import numbers_of, rounded
from .store import HEAT_STEP_US, Series, Store

_LONG_PATTERN = 512

KeySort = Literal["severity", "key", "evidence", "last"]


class NotKnownError(Exception):
    """The store has no such key or event; the message is a sentence."""


def chosen_keys(store: Store, pattern: str, channel: str, firing: bool | None) -> NDArray[np.int64]:
    """Return the numbers of the keys that a filter leaves.

    Args:
        store: The store.
        pattern: Shell pattern of keys; a text without `*`, `?` and `[` is looked for anywhere.
        channel: Leading channel; empty: any.
        firing: Whether the key fires; None: both.
    """
    table = store.table
    keep = np.ones(len(table), np.bool_)
    if pattern not in ("", "*"):
        if not any(letter in pattern for letter in "*?["):
            pattern = f"*{pattern}*"
        fits = re.compile(translate(pattern[:_LONG_PATTERN]), re.IGNORECASE).match
        keep &= np.fromiter((fits(t) is not None for t in table.texts), np.bool_, len(table))
    if channel:
        number = table.find_channel(channel)
        keep &= table.leader[: len(table)] == (-2 if number is None else number)
    if firing is not None:
        keep &= firing_flags(store) == firing
    return np.flatnonzero(keep)


def firing_flags(store: Store) -> NDArray[np.bool_]:
    """Return whether each key fires, `(keys,)`.

    Triggers are what people are told, so they decide. A key that has fired since before the hours
    that are read has none among them: there its newest row decides.
    """
    table = store.table
    flags = table.firing[: len(table)].copy()
    open_keys = store.episodes.firing
    for text in store.episodes.keys:
        number = table.find(key_of(text))
        if number is not None:
            flags[number] = text in open_keys
    return flags


def sorted_keys(store: Store, numbers: NDArray[np.int64], sort: KeySort) -> NDArray[np.int64]:
    """Return keys in an order: the most severe first, those that fire before the others."""
    table = store.table
    if sort == "key":
        texts = table.texts
        return np.array(sorted(numbers.tolist(), key=lambda n: texts[n]), np.int64)
    if sort == "last":
        values = table.last_us[numbers].astype(np.float64)
    elif sort == "evidence":
        values = table.evidence[numbers].astype(np.float64)
    else:
        values = store.scores.worst()[numbers].astype(np.float64)
    values = np.where(np.isfinite(values), values, -np.inf)
    fires = firing_flags(store)[numbers] if sort == "severity" else np.zeros(len(numbers), bool)
    return numbers[np.lexsort((numbers, -values, ~fires))]


def keys_answer(
    store: Store,
    *,
    pattern: str,
    key: str,
    channel: str,
    firing: bool | None,
    sort: KeySort,
    offset: int,
    limit: int,
) -> answers.KeysAnswer:
    """Return a page of keys; with the text of a key, that key alone, if it is among them."""
    chosen = chosen_keys(store, pattern, channel, firing)
    if key:
        number = store.table.find(key_of(key))
        chosen = chosen[chosen == (-1 if number is None else number)]
    numbers = sorted_keys(store, chosen, sort)
    table, worst, fires = store.table, store.scores.worst(), firing_flags(store)
    rows = [
        answers.KeyRow(
            key=table.texts[n],
            last_us=int(table.last_us[n]),
            severity=rounded(table.severity[n]),
            worst=rounded(worst[n]),
            evidence=rounded(table.evidence[n]),
            threshold=rounded(table.threshold[n]),
            firing=bool(fires[n]),
            channel=table.channels[table.leader[n]] if table.leader[n] >= 0 else None,
            partition=int(table.partition[n]),
        )
        for n in numbers[offset : offset + limit].tolist()
    ]
    return answers.KeysAnswer(total=len(numbers), keys=rows)


def fleet_answer(
    store: Store,
    *,
    minutes: float,
    columns: int,
    pattern: str,
    channel: str,
    sort: KeySort,
    offset: int,
    limit: int,
) -> answers.FleetAnswer:
    """Return the heat map of the last minutes.

    A column is a multiple of `HEAT_STEP_US` wide, and at least as wide as rows are apart: narrower
    ones would be empty in between.
    """
    span_us = int(minutes * 60e6)
    least_us = max(span_us // columns, _row_interval_us(store), 1)
    step_us = -(-least_us // HEAT_STEP_US) * HEAT_STEP_US
    columns = max(1, -(-span_us // step_us))
    end_us = (store.scores.last_us // step_us + 1) * step_us
    begin_us = end_us - columns * step_us
    numbers = sorted_keys(store, chosen_keys(store, pattern, channel, None), sort)
    page = numbers[offset : offset + limit]
    cells = store.scores.cells(begin_us, step_us, columns, page.astype(np.int32))
    return answers.FleetAnswer(
        begin_us=begin_us,
        step_us=step_us,
        columns=columns,
        total=len(numbers),
        keys=[store.table.texts[n] for n in page.tolist()],
        firing=firing_flags(store)[page].astype(int).tolist(),
        row_seconds=_row_interval_us(store) / 1e6 or None,
        cells=base64.b64encode(np.ascontiguousarray(cells).tobytes()).decode(),
    )


def _row_interval_us(store: Store) -> int:
    """Return the usual time between two rows of a key, microseconds; 0 where it is unknown."""
    table = store.table
    numbers = np.flatnonzero(table.rows[: len(table)] > 1)
    if not len(numbers):
        return 0
    spans = table.last_us[numbers] - table.first_us[numbers]
    return int(np.median(spans // (table.rows[numbers] - 1)))


def key_answer(store: Store, text: str) -> answers.KeyAnswer:
    """Return one key.

    Raises:
        NotKnownError: If it was never seen.
    """
    number = _number(store, text)
    table = store.table
    series = store.scores.series(number, 2**62, 2**62, 1)
    episodes = store.episodes.of_key(text)
    event_ids = {event_id for episode in episodes for event_id in episode.bodies}
    documents = documents_for_key(store.documents.control, None, text, event_ids)
    return answers.KeyAnswer(
        key=table.texts[number],
        channels=list(series.channels),
        first_us=int(table.first_us[number]),
        last_us=int(table.last_us[number]),
        rows=int(table.rows[number]),
        row_seconds=table.row_seconds(number),
        firing=bool(firing_flags(store)[number]),
        episodes=[episode_answer(store, episode) for episode in episodes],
        documents=[document_answer(document) for document in documents],
        partition=int(table.partition[number]),
    )


def series_answer(
    store: Store, text: str, begin_us: int, end_us: int, points: int, channels: Sequence[str]
) -> answers.SeriesAnswer:
    """Return scored rows of a key between two times.

    Args:
        store: The store.
        text: Text of the key.
        begin_us: Begin; 0 or less: so many microseconds before the end.
        end_us: End, not included.
        points: Largest number of points.
        channels: Channels to return; empty: all.

    Raises:
        NotKnownError: If the key, or a channel, was never seen.
    """
    number = _number(store, text)
    series = store.scores.series(number, begin_us, end_us, points)
    unknown = [name for name in channels if name not in series.channels]
    if unknown:
        raise NotKnownError(
            f"There is no such channel. Expected some of {', '.join(series.channels) or 'none'}. "
            f"Received: channels={unknown[0]!r}."
        )
    rows = series.points
    names = [name for name in series.channels if not channels or name in channels]
    return answers.SeriesAnswer(
        key=store.table.texts[number],
        begin_us=begin_us,
        end_us=end_us,
        step_us=series.step_us,
        time_us=rows.time_us.tolist(),
        score=numbers_of(rows.score),
        severity=numbers_of(rows.severity),
        evidence=numbers_of(rows.evidence),
        threshold=numbers_of(rows.threshold),
        firing=rows.firing.astype(int).tolist(),
        channels={name: _channel(series, name) for name in names},
    )


def _channel(series: Series, name: str) -> answers.ChannelSeries:
    index, points = series.channels.index(name), series.points
    return answers.ChannelSeries(
        value=numbers_of(points.value[:, index]),
        usual=numbers_of(points.usual[:, index]),
        lower=numbers_of(points.lower[:, index]),
        upper=numbers_of(points.upper[:, index]),
        contribution=numbers_of(points.contribution[:, index]),
        value_min=numbers_of(points.low[:, index]),
        value_max=numbers_of(points.high[:, index]),
    )


def _number(store: Store, text: str) -> int:
    number = store.table.find(key_of(text))
    if number is None:
        raise NotKnownError(
            "There is no such key. Expected one that `/api/keys` lists. "
            f"Received: {text[:_LONG_PATTERN]!r}."
        )
    return number
