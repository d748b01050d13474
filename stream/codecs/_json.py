"""JSON codec that decodes whole fetches at a time."""

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
"""Messages decoded in one call.

Few enough to fit the cache, and few enough that one bad message slows down few others.
"""

_Group = tuple[list[int], list[Any]]
"""Records of one shape, and the messages they came in."""


class JsonCodec:
    """Codec of `{"ts": .., "values": {..}}`, or of a flat object with the channels beside the time.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time: Path of the event time.
        time_unit: Unit of the event time.
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
        """Decode the messages of one slice; see `Codec.decode`."""
        raws = [message.value for message in messages]
        rejected: list[Rejected] = []
        groups: dict[Layout, _Group] = {}
        for start in range(0, len(raws), _CHUNK):
            chunk = raws[start : start + _CHUNK]
            records = self._decode_together(chunk)
            if records is None:
                self._decode_singly(start, chunk, groups, rejected)
            else:
                indices, group = groups.setdefault(self._preferred, ([], []))
                indices.extend(range(start, start + len(chunk)))
                group.extend(records)
        return self._columns(messages, groups, rejected)

    def _decode_together(self, raws: list[bytes | None]) -> list[Any] | None:
        """Decode messages in one call; return None unless each message is exactly one record.

        The messages are joined by newlines. Raw newlines stand only between them, and each newline
        stands between `}` and `{`, a sequence that no JSON document contains. So every message
        begins and ends at the top level and holds at least one document, and the number of
        documents shows that it holds no second one.
        """
        try:
            document = b"\n".join(raws)  # type: ignore[arg-type]
        except TypeError:
            return None
        sizes = np.fromiter(map(len, raws), dtype=np.int64, count=len(raws))  # type: ignore[arg-type]
        longest = int(sizes.max())
        if longest > self._limits.max_message_bytes or int(sizes.min()) == 0:
            return None
        if longest > 2 * MAX_DEPTH and any(map(too_deep, raws)):  # type: ignore[arg-type]
            return None
        text = np.frombuffer(document, dtype=np.uint8)
        newlines = np.cumsum(sizes + 1)[:-1] - 1
        if (
            np.count_nonzero(text == _NEWLINE) != len(newlines)
            or (text[newlines - 1] != _CLOSE).any()
            or (text[newlines + 1] != _OPEN).any()
            or text[0] != _OPEN
            or text[-1] != _CLOSE
        ):
            return None
        try:
            records = self._preferred.decoder.decode_lines(document)
        except JSON_ERRORS:
            return None
        if len(records) != len(raws) or not self._preferred.conform(records):
            return None
        return records

    def _decode_singly(
        self,
        start: int,
        raws: list[bytes | None],
        groups: dict[Layout, _Group],
        rejected: list[Rejected],
    ) -> None:
        """Decode messages one by one, from `start` on."""
        counts: Counter[Layout] = Counter()
        for i, raw in enumerate(raws, start):
            try:
                layout, record = self._decode_one(check_size(raw, self._limits))
            except Refused as refused:
                rejected.append(Rejected(i, refused.reason, refused.detail))
                continue
            indices, group = groups.setdefault(layout, ([], []))
            indices.append(i)
            group.append(record)
            counts[layout] += 1
        if counts:  # producers rarely mix shapes: the next fetch tries the most frequent one first
            self._preferred = counts.most_common(1)[0][0]

    def _decode_one(self, value: bytes) -> tuple[Layout, Any]:
        """Decode one message by its shape: nested if `values` is an object, else flat.

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
        self, messages: Sequence[Message], groups: dict[Layout, _Group], rejected: list[Rejected]
    ) -> Decoded:
        """Put decoded records into columns, and refuse those with a bad key, time or value."""
        n = len(messages)
        from_kafka = self._key.key_from == "kafka"
        # A Kafka key of zero bytes is no key.
        keys = [message.key or None if from_kafka else None for message in messages]
        times: list[Any] = [0] * n  # refused messages keep the 0
        # The usual fetch has one shape and no refusal: its columns are taken as they are, without
        # a copy into a table of NaNs.
        values = np.full((n, len(self._channels)), NAN) if len(groups) != 1 or rejected else None
        bad: dict[int, Refused] = {}
        for layout, (indices, records) in groups.items():
            if values is None:
                values, times = layout.matrix(records), layout.times(records)
            else:
                values[indices] = layout.matrix(records)
                for index, time in zip(indices, layout.times(records), strict=True):
                    times[index] = time
            if None in keys:
                self._fill_keys(keys, messages, layout, indices, records, bad)
        assert values is not None
        self._check_keys(keys, bad)
        time_us, bad_times = to_micros(times, self._time_unit, self._time_path)
        for i, refused in bad_times.items():
            bad.setdefault(i, refused)
        self._check_values(values, bad)
        refused_messages = {refused.message for refused in rejected}
        rejected += [
            Rejected(i, refused.reason, refused.detail)
            for i, refused in bad.items()
            if i not in refused_messages
        ]
        accepted = np.arange(n, dtype=np.int32)
        if rejected:
            rejected.sort()
            refused_messages.update(bad)
            accepted = np.array([i for i in range(n) if i not in refused_messages], dtype=np.int32)
            keys = [keys[i] for i in accepted.tolist()]
            time_us, values = time_us[accepted], values[accepted]
        return Decoded(cast("list[bytes]", keys), time_us, values, accepted, rejected)

    def _fill_keys(
        self,
        keys: list[bytes | None],
        messages: Sequence[Message],
        layout: Layout,
        indices: list[int],
        records: list[Any],
        bad: dict[int, Refused],
    ) -> None:
        for index, record in zip(indices, records, strict=True):
            if keys[index] is None:
                try:
                    resolve = partial(layout.resolve, record)
                    keys[index] = self._key.choose(messages[index].key, resolve)
                except Refused as refused:
                    bad[index] = refused

    def _check_keys(self, keys: list[bytes | None], bad: dict[int, Refused]) -> None:
        present = [key for key in keys if key is not None]
        longest = max(map(len, present), default=0)
        all_keys = b"".join(present)
        if longest <= self._limits.max_key_bytes and RESERVED_KEY_PREFIX not in all_keys:
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
            for i, column in zip(*(axis.tolist() for axis in np.nonzero(huge)), strict=True):
                path = f"$..{self._channels[column]}"
                detail = out_of_range(float(values[i, column]), path)
                bad.setdefault(i, Refused(Reason.OUT_OF_RANGE, detail))

    def _no_channels(self) -> str:
        examples = ", ".join(self._channels[:5]) + (", ..." if len(self._channels) > 5 else "")
        return (
            f"The record has none of the model's channels ({examples}), neither in "
            f"`{self._values}` nor beside the time. Check input.values and input.fields."
        )
