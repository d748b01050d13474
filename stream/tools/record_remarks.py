"""Remarks on records that are left out, and refusals of options that they have no use for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ember_core.data.sources import DataError, DataOptions, Remark
from stream.records import Reason

_SHOWN = 5
"""Channels named in one remark."""


def refusals(name: str, refused: Counter[Reason], count: int, example: str) -> Iterator[Remark]:
    """Yield the remarks on records that gave no sample."""
    channelless = refused.pop(Reason.NO_CHANNELS, 0)
    if channelless:
        text = f"{channelless:,} of {count:,} records have none of these channels"
        yield Remark("record_without_channels", text, name)
    if refused:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.most_common())
        text = f"{refused.total():,} of {count:,} records were refused: {reasons}"
        yield Remark("refused_record", text, name, example=example)


def unknown_channels(
    name: str, found: Sequence[str], channels: Sequence[str]
) -> tuple[Remark, ...]:
    """Return a remark on channels in the first records of which a model knows no measurement.

    Args:
        name: Name of the source.
        found: Channels in the records.
        channels: Channels of the model.
    """
    # A label more or less makes another name of the same measurement.
    known = {channel.partition("{")[0] for channel in channels}
    others = [channel for channel in found if channel.partition("{")[0] not in known]
    if not others:
        return ()
    rest = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
    text = f"{len(others):,} channels left out, unknown to the model: "
    text += ", ".join(map(repr, others[:_SHOWN])) + rest
    return (Remark("unknown_channel", text, name),)


def partial_records(name: str, partial: int, rows: int) -> tuple[Remark, ...]:
    """Return a remark on records that only have a part of a row, where each record is one."""
    if not partial:
        return ()
    text = (
        f"{partial:,} of {rows:,} samples have the time of the one before them and other channels: "
        "here only the first of a time is a row. Set window.mode to 'time' to have them in one"
    )
    return (Remark("partial_record", text, name),)


def refuse_table_options(name: str, options: DataOptions) -> None:
    """Refuse options about columns: the settings say how a record is read."""
    values = {
        "--time": options.time,
        "--key": options.key,
        "--split": options.split,
        "--label": options.label,
        "--time-format": options.time_format,
        "--time-zone": options.time_zone,
        "--decimal": options.decimal,
        "--missing": ",".join(options.missing),
    }
    settings = {
        "--time": "input.time",
        "--key": "input.key",
        "--time-format": "input.time_format",
        "--time-zone": "input.time_zone",
        "--decimal": "input.decimal",
        "--missing": "input.missing",
    }
    for flag, value in values.items():
        if value:
            hint = f" Set {settings[flag]}." if flag in settings else ""
            raise DataError(
                f"Records have no columns. Expected {name} without {flag}. "
                f"Received: {flag} {value}.{hint}"
            )
