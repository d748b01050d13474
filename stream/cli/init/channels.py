"""Look at every channel of a sample: how often it comes, its kind, and its use in the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream.history import KeySamples, counters_of
from stream.records import Decoded
from stream.tools.record_columns import together

Kind = Literal[
    "gauge",
    "counter",
    "counter?",
    "flag",
    "constant",
    "clock",
    "sequence",
    "identifier",
    "time",
    "unknown",
]

USES: Final[dict[Kind, str]] = {
    "counter": "rate",
    "clock": "ignore",
    "sequence": "ignore",
    "identifier": "ignore",
    "time": "ignore",
}
"""Value of `use` that a rule of the channel has; kinds that are not here need no rule."""

MEANINGS: Final[dict[Kind, str]] = {
    "gauge": "used as it is",
    "counter": "rises: used as a rate",
    "counter?": "never falls: training makes it a rate if all of the history says so",
    "flag": "0 or 1: used as it is",
    "constant": "does not change in the sample: used, since it may",
    "clock": "runs like a clock: left out",
    "sequence": "counts the records: left out",
    "identifier": "names a thing: left out",
    "time": "is a date: left out",
    "unknown": "too few values to tell: used as training finds",
}

_IDENTIFIER: Final = re.compile(
    r"(p?pid|uid|gid|uuid|guid|id|ids|serial|checksum|lsn|xid|txid|inode|port|zip|postcode|phone|"
    r"version)"
)
_TIME: Final = re.compile(
    r"(ts|time|timestamp|date|datetime|epoch|at|since|created|modified|updated|expires|expiry|boot|"
    r"boottime|start|started|until|seen|now)"
)
_FIRST, _LAST = 978_307_200.0, 4_102_444_800.0
"""Seconds since 1970 of the years 2001 and 2100."""
_UNITS: Final = (1.0, 1e3, 1e6, 1e9)
_FEWEST_STEPS: Final = 3
_FEWEST_RISES: Final = 8
_RISES: Final = 0.25


@dataclass(frozen=True)
class ChannelFacts:
    """Facts about one channel.

    Attributes:
        name: Name as the stream will have it.
        share: Share of the rows that it is in.
        kind: Kind of its values.
        example: Its last value.
    """

    name: str
    share: float
    kind: Kind
    example: float

    @property
    def use(self) -> str:
        """Value of `use` of its rule; empty: it needs none."""
        return USES.get(self.kind, "")


def samples_by_key(decoded: Decoded) -> list[KeySamples]:
    """Return the samples of each key in order of time."""
    merged = together(decoded)
    lines: dict[bytes, list[int]] = {}
    for line, key in enumerate(merged.keys):
        lines.setdefault(key, []).append(line)
    samples = []
    for key, numbers in lines.items():
        order = np.array(numbers)[np.argsort(merged.time_us[numbers], kind="stable")]
        kinds, starts = merged.temporality, merged.start_us
        samples.append(
            KeySamples(
                key,
                merged.time_us[order],
                merged.values[order],
                None if kinds is None else kinds[order],
                None if starts is None else starts[order],
            )
        )
    return samples


def examine_channels(
    channels: Sequence[str], keys: Sequence[KeySamples], interval_seconds: float | None
) -> list[ChannelFacts]:
    """Return the facts about each channel, in order of the names.

    Args:
        channels: Names of the channels.
        keys: Samples of each key.
        interval_seconds: Length of a row; None: a sample is a row.
    """
    counters = set(counters_of(channels, keys))
    row_shares = _row_shares(keys, len(channels), interval_seconds)
    facts = []
    for column, name in enumerate(channels):
        series = [one for key in keys if (one := _Series(key, column)).values.size]
        if not series:
            continue
        kind: Kind = "counter" if name in counters else _kind(name, series)
        facts.append(
            ChannelFacts(name, float(row_shares[column]), kind, float(series[-1].values[-1]))
        )
    return facts


class _Series:
    """Values of a channel of one key, with their times in seconds."""

    def __init__(self, key: KeySamples, column: int) -> None:
        present = np.flatnonzero(np.isfinite(key.values[:, column]))
        later = present[1:][np.diff(key.time_us[present]) > 0]
        present = np.concatenate([present[:1], later])
        self.values: NDArray[np.float64] = key.values[present, column]
        self.seconds: NDArray[np.float64] = np.diff(key.time_us[present]) / 1e6
        self.steps: NDArray[np.float64] = np.diff(self.values)


def _kind(name: str, series: Sequence[_Series]) -> Kind:
    values = np.concatenate([of_key.values for of_key in series])
    steps = np.concatenate([of_key.steps for of_key in series])
    seconds = np.concatenate([of_key.seconds for of_key in series])
    words = _words(name)
    is_whole = bool((values == np.floor(values)).all())
    is_constant = not steps.size or not steps.any()
    if is_whole and words and _IDENTIFIER.fullmatch(words[-1]) and values.min() >= 0:
        return "identifier"
    is_clock = _is_clock(steps, seconds)
    if (is_constant or is_clock) and _is_date(words, values):
        return "time"
    # Before flags and constants: one step of a clock looks like either.
    if is_clock or "uptime" in words:
        return "clock"
    if set(np.unique(values).tolist()) == {0.0, 1.0}:
        return "flag"
    if steps.size < _FEWEST_STEPS:
        return "unknown"
    if is_constant:
        return "constant"
    if is_whole and _is_sequence(steps):
        return "sequence"
    # The sample is short: what rose all along may be a level, so training decides by more.
    rises = int(np.count_nonzero(steps > 0))
    falls = steps < 0
    never_falls = not falls.any() and values.min() >= 0
    if never_falls and rises >= _FEWEST_RISES and rises >= _RISES * steps.size:
        return "counter?"
    return "gauge"


def _words(name: str) -> list[str]:
    """Return the words of a channel's name, without its labels, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.partition("{")[0])
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def _is_date(words: Sequence[str], values: NDArray[np.float64]) -> bool:
    """Tell if all values are seconds, or smaller units, since 1970, of a channel of such a name."""
    if not any(_TIME.fullmatch(word) for word in words):
        return False
    return any(bool(((values / unit > _FIRST) & (values / unit < _LAST)).all()) for unit in _UNITS)


def _is_clock(steps: NDArray[np.float64], seconds: NDArray[np.float64]) -> bool:
    """Tell if values rise as time passes, in seconds or smaller units."""
    if steps.size < _FEWEST_STEPS:
        return False
    # A clock that was set back or began anew is still one.
    rates = steps / seconds
    return any(np.mean(np.abs(rates - unit) < 0.05 * unit) > 0.9 for unit in _UNITS)


def _is_sequence(steps: NDArray[np.float64]) -> bool:
    """Tell if values rise by the same whole step each time."""
    if steps.size < _FEWEST_RISES:
        return False
    step = float(np.median(steps))
    return step > 0 and bool((steps == step).mean() > 0.95)


def _row_shares(
    keys: Sequence[KeySamples], channels: int, interval_seconds: float | None
) -> NDArray[np.float64]:
    """Return the share of rows that each channel is in, `(C,)`."""
    present, total = np.zeros(channels), 0
    for key in keys:
        finite = np.isfinite(key.values)
        rows = np.arange(len(finite))
        if interval_seconds is not None:
            _, rows = np.unique(key.time_us // round(interval_seconds * 1e6), return_inverse=True)
        count = int(rows.max()) + 1 if rows.size else 0
        filled = np.zeros((count, channels), bool)
        np.logical_or.at(filled, rows, finite)
        # A sample begins and ends in the middle of an interval.
        inner = filled[1:-1] if interval_seconds is not None and count > 2 else filled
        present += inner.sum(axis=0)
        total += len(inner)
    return present / max(1, total)
