"""Plain JSON, whole fetches at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.records import (
    MAX_ABS_VALUE,
    RESERVED_KEY_PREFIX,
    Decoded,
    Message,
    Reason,
    Rejected,
)

from ._base import (
    JSON_ERRORS,
    NAN,
    Limits,
    check_key,
    check_size,
    decode_json,
    json_refusal,
    out_of_range,
)
from ._depth import MAX_DEPTH, too_deep
from ._json_layout import Layout
from ._key import KeyExpression, Path
from ._refused import Refused
from ._time import TimeUnit, to_micros

_NEWLINE, _OPEN, _CLOSE = b"\n{}"

_CHUNK = 256
"""Messages decoded in one call: few enough for the cache, and for one bad one not to slow many."""

_Group = tuple[list[int], list[Any]]
"""Records of one shape, and the messages they came in."""


class JsonCodec:
    """`{"ts": .., "values": {..}}`, or a flat object with the channels beside the time.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time: Path of the time.
        time_unit: Its unit.
        values: Name of the object that holds the channels.
        fields: Name of a channel's field where it differs.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        limits: Limits,
        *,
        time: Path = ("ts",),
        time_unit: TimeUnit = "auto",
        values: str = "values",
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self._channels = tuple(channels)
        self._key = key
        self._limits = limits
        self._time_unit: TimeUnit = time_unit
        self._time_name = ".".join(time)
        self._time_path = "$." + self._time_name
        self._values = values
        self._layouts = [
            Layout(channels, fields or {}, time, key.paths, values, nested=nested)
            for nested in (False, True)
        ]
        self._preferred = self._layouts[True]
        probe = [("v", msgspec.Raw, msgspec.field(name=values, default=msgspec.Raw()))]
        self._probe: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Probe", probe)
        )

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """See `Codec.decode`."""
        raws = [message.value for message in messages]
        rejected: list[Rejected] = []
        found: dict[Layout, _Group] = {}
        for start in range(0, len(raws), _CHUNK):
            chunk = raws[start : start + _CHUNK]
            records = self._decode_together(chunk)
            if records is None:
                self._decode_singly(start, chunk, found, rejected)
            else:
                places, group = found.setdefault(self._preferred, ([], []))
                places.extend(range(start, start + len(chunk)))
                group.extend(records)
        return self._columns(messages, found, rejected)

    def _decode_together(self, raws: list[bytes | None]) -> list[Any] | None:
        """Decode messages in one call; None unless each of them is one record, and only one.

        The messages are joined by newlines. Raw newlines are nowhere but between them, and each of
        those stands between `}` and `{`, which inside a document no JSON allows. So every message
        begins and ends at the top level, holds at least one document, and the count says that it
        holds no second one.
        """
        try:
            joined = b"\n".join(raws)  # type: ignore[arg-type]
        except TypeError:
            return None
        sizes = np.fromiter(map(len, raws), dtype=np.int64, count=len(raws))  # type: ignore[arg-type]
        longest = int(sizes.max())
        if longest > self._limits.max_message_bytes or int(sizes.min()) == 0:
            return None
        if longest > 2 * MAX_DEPTH and any(map(too_deep, raws)):  # type: ignore[arg-type]
            return None
        text = np.frombuffer(joined, dtype=np.uint8)
        ends = np.cumsum(sizes + 1)[:-1] - 1
        if (
            np.count_nonzero(text == _NEWLINE) != len(ends)
            or (text[ends - 1] != _CLOSE).any()
            or (text[ends + 1] != _OPEN).any()
            or text[0] != _OPEN
            or text[-1] != _CLOSE
        ):
            return None
        try:
            records = self._preferred.decoder.decode_lines(joined)
        except JSON_ERRORS:
            return None
        if len(records) != len(raws) or not self._preferred.conform(records):
            return None
        return records

    def _decode_singly(
        self,
        start: int,
        raws: list[bytes | None],
        found: dict[Layout, _Group],
        rejected: list[Rejected],
    ) -> None:
        """Decode messages one by one, from `start` on."""
        seen: Counter[Layout] = Counter()
        for i, raw in enumerate(raws, start):
            try:
                layout, record = self._decode_one(check_size(raw, self._limits))
            except Refused as refused:
                rejected.append(Rejected(i, refused.reason, refused.detail))
                continue
            places, group = found.setdefault(layout, ([], []))
            places.append(i)
            group.append(record)
            seen[layout] += 1
        if seen:  # what most of them look like is tried first from now on
            self._preferred = seen.most_common(1)[0][0]

    def _decode_one(self, value: bytes) -> tuple[Layout, Any]:
        """Decode one message by the shape it has: nested if `values` is an object, else flat.

        Raises:
            Refused: If it is no such record.
        """
        if too_deep(value):
            raise json_refusal(RecursionError(), value)
        layout = self._preferred
        try:
            record = layout.decoder.decode(value)
            if layout.conform([record]):
                return layout, record
        except JSON_ERRORS:
            pass  # it may be of the other shape
        raw = bytes(decode_json(self._probe, value).v)
        layout = self._layouts[raw[:1] == b"{"]
        try:
            return layout, layout.decoder.decode(value)
        except JSON_ERRORS as error:
            raise json_refusal(error, value, self._time_path) from None

    def _columns(
        self, messages: Sequence[Message], found: dict[Layout, _Group], rejected: list[Rejected]
    ) -> Decoded:
        """Put decoded records into columns, and refuse those whose content is no use."""
        n = len(messages)
        keys = [message.key for message in messages]
        times: list[Any] = [0] * n  # refused messages keep the 0
        values = np.full((n, len(self._channels)), NAN) if len(found) != 1 or rejected else None
        bad: dict[int, Refused] = {}
        for layout, (places, records) in found.items():
            if values is None:
                values, times = layout.matrix(records), layout.times(records)
            else:
                values[places] = layout.matrix(records)
                for place, time in zip(places, layout.times(records), strict=True):
                    times[place] = time
            if None in keys:
                self._fill_keys(keys, layout, places, records, bad)
        assert values is not None
        self._check_keys(keys, bad)
        time_us, bad_times = to_micros(times, self._time_unit, self._time_path)
        for i, refused in bad_times.items():
            bad.setdefault(i, refused)
        self._check_values(values, bad)
        gone = {refused.message for refused in rejected}
        rejected += [
            Rejected(i, refused.reason, refused.detail)
            for i, refused in bad.items()
            if i not in gone
        ]
        index = np.arange(n, dtype=np.int32)
        if rejected:
            rejected.sort()
            gone.update(bad)
            index = np.array([i for i in range(n) if i not in gone], dtype=np.int32)
            keys = [keys[i] for i in index.tolist()]
            time_us, values = time_us[index], values[index]
        return Decoded(cast("list[bytes]", keys), time_us, values, index, rejected)

    def _fill_keys(
        self,
        keys: list[bytes | None],
        layout: Layout,
        places: list[int],
        records: list[Any],
        bad: dict[int, Refused],
    ) -> None:
        for place, record in zip(places, records, strict=True):
            if keys[place] is None:
                try:
                    keys[place] = self._key.evaluate(partial(layout.resolve, record))
                except Refused as refused:
                    bad[place] = refused

    def _check_keys(self, keys: list[bytes | None], bad: dict[int, Refused]) -> None:
        present = [key for key in keys if key is not None]
        longest = max(map(len, present), default=0)
        joined = b"".join(present)
        if longest <= self._limits.max_key_bytes and RESERVED_KEY_PREFIX not in joined:
            return
        for i, key in enumerate(keys):
            try:
                if key is not None:
                    check_key(key, self._limits)
            except Refused as refused:
                bad[i] = refused

    def _check_values(self, values: NDArray[np.float64], bad: dict[int, Refused]) -> None:
        missing = np.isnan(values)
        if missing.any():
            for i in np.flatnonzero(missing.all(axis=1)).tolist():
                bad.setdefault(i, Refused(Reason.NO_CHANNELS, self._no_channels()))
        huge = np.abs(values) > MAX_ABS_VALUE
        if huge.any():
            for i, column in zip(*(found.tolist() for found in np.nonzero(huge)), strict=True):
                where = f"$..{self._channels[column]}"
                detail = out_of_range(float(values[i, column]), where)
                bad.setdefault(i, Refused(Reason.OUT_OF_RANGE, detail))

    def _no_channels(self) -> str:
        some = ", ".join(self._channels[:5]) + (", ..." if len(self._channels) > 5 else "")
        return (
            f"The record has none of the model's channels ({some}), neither in `{self._values}` "
            "nor beside the time. Check input.values and input.fields."
        )
