"""Summary of a key's series: a few numbers a channel, and when it left its usual band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ._text import number, time_text

Numbers = Sequence[float | None]

_MOST_SPANS: Final = 20


def summarise(series: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary of an answer of `/api/keys/{key}/series`.

    Args:
        series: The answer.
    """
    times: Sequence[int] = series["time_us"]
    return {
        "key": series["key"],
        "begin": time_text(times[0] if times else series["begin_us"]),
        "end": time_text(times[-1] if times else series["end_us"]),
        "points": len(times),
        "seconds_of_a_point": series["step_us"] / 1_000_000 or None,
        "severity": _peak(times, series["severity"]),
        "evidence": _peak(times, series["evidence"]),
        "threshold": number(_last(series["threshold"])),
        "firing": _spans(times, [bool(flag) for flag in series["firing"]]),
        "channels": {
            name: _channel(times, columns) for name, columns in series["channels"].items()
        },
    }


def _channel(times: Sequence[int], columns: Mapping[str, Numbers]) -> dict[str, Any]:
    """Return the summary of one channel; a point's least and greatest values count too."""
    value = columns["value"]
    values = _known(value)
    rows = list(zip(value, columns["lower"], columns["upper"], strict=True))
    departures = [_departure(*row) for row in rows]
    row_count = sum(departure is not None for departure in departures)
    outside_count = sum(bool(departure) for departure in departures)
    answer: dict[str, Any] = {
        "points": len(values),
        "least": number(min(_known(columns["value_min"]), default=None)),
        "greatest": number(max(_known(columns["value_max"]), default=None)),
        "mean": number(_mean(values)),
        "last": number(_last(value)),
        "usual_mean": number(_mean(_known(columns["usual"]))),
        "usual_last": number(_last(columns["usual"])),
        "last_band": [number(_last(columns["lower"])), number(_last(columns["upper"]))],
        "share_outside_band": number(outside_count / row_count, 3) if row_count else None,
        "outside_band": _spans(times, [bool(departure) for departure in departures]),
    }
    if outside_count:
        worst = max(range(len(departures)), key=lambda index: abs(departures[index] or 0.0))
        answer["greatest_departure"] = {
            "band_widths": number(departures[worst], 3),
            "time": time_text(times[worst]),
            "value": number(value[worst]),
        }
    return answer


def _departure(value: float | None, lower: float | None, upper: float | None) -> float | None:
    """Return how far a value is outside its band, in widths of the band; None: not known."""
    if value is None or lower is None or upper is None:
        return None
    width = (upper - lower) or 1.0
    return max(0.0, value - upper) / width - max(0.0, lower - value) / width


def _peak(times: Sequence[int], values: Numbers) -> dict[str, Any] | None:
    """Return the greatest value with its time, and the last one."""
    indexes = [index for index, value in enumerate(values) if value is not None]
    if not indexes:
        return None
    top = max(indexes, key=lambda index: values[index] or 0.0)
    return {
        "greatest": number(values[top]),
        "time": time_text(times[top]),
        "last": number(values[indexes[-1]]),
    }


def _spans(times: Sequence[int], flags: Sequence[bool]) -> list[dict[str, Any]]:
    """Return the spans of points with a flag, the newest ones where there are many."""
    spans = list(_all_spans(flags))
    return [
        {"from": time_text(times[first]), "to": time_text(times[last]), "points": last - first + 1}
        for first, last in spans[-_MOST_SPANS:]
    ]


def _all_spans(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    begin = None
    for index, flag in enumerate(flags):
        if flag and begin is None:
            begin = index
        if not flag and begin is not None:
            yield begin, index - 1
            begin = None
    if begin is not None:
        yield begin, len(flags) - 1


def _known(values: Numbers) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _last(values: Numbers) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
