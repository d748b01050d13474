"""Files of messages: dumps of a topic, decoded by its codec as the stream decodes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ember_core.data.sources import (
    KEY_COLUMN,
    DataOptions,
    Remark,
    file_key,
    is_dump,
    text_lines,
)

from .codecs import find_channels, make_codec
from .records import Decoded
from .types import CodecName

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 4096
_MILLISECONDS = ("timestamp_ms", "timestamp", "ts")


class RecordedMessage(NamedTuple):
    """A message of a file."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: tuple[tuple[str, bytes], ...] = ()


class MessageFrames:
    """Frames of the samples in a file of messages, one row a sample.

    A line is a message: of a dump (`kcat -J` and others, see `is_dump`), else the value itself.

    Args:
        path: The file.
        codec: Format of the values.
        options: Key expression, channels, times and numbers, as the user gave them.
    """

    is_record = True
    """Each record is read by itself, as on a topic."""

    def __init__(self, path: Path, codec: CodecName, options: DataOptions) -> None:
        self.name = str(path)
        self.default_key = file_key(path)
        self.remarks: tuple[Remark, ...] = ()
        self._path = path
        self._codec: CodecName = codec
        self._options = options

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of the samples of some messages each."""
        options = self._codec_options()
        channels = list(self._options.channels) or find_channels(
            self._codec, self._messages(), **options
        )
        codec = make_codec(self._codec, channels, **options)
        refused: Counter[str] = Counter()
        examples: dict[str, str] = {}
        batch: list[RecordedMessage] = []
        for message in self._messages():
            batch.append(message)
            if len(batch) == _BATCH:
                yield _frame(codec.decode(batch), channels, refused, examples)
                batch = []
        if batch:
            yield _frame(codec.decode(batch), channels, refused, examples)
        self.remarks = tuple(
            Remark(
                "refused_message",
                f"messages were refused ({reason}), as on the stream",
                self.name,
                count=count,
                example=examples[reason],
            )
            for reason, count in refused.items()
        )

    def _codec_options(self) -> dict[str, Any]:
        options = self._options
        unit = "auto" if options.time_unit == "index" else options.time_unit
        return {
            "key": options.key,
            "key_from": "auto" if options.key else "kafka",
            "time": options.time or "ts",
            "time_unit": unit,
            "time_format": options.time_format,
            "time_zone": options.time_zone,
            "decimal": options.decimal,
            "missing": options.missing,
        }

    def _messages(self) -> Iterator[RecordedMessage]:
        for number, line in text_lines(self._path, self._options.encoding):
            if line.strip():
                yield _message(line, number)


def table_options(options: DataOptions) -> DataOptions:
    """Return the options by which the samples' table is read: its key and times are settled."""
    return replace(
        options, time="ts", key="", channels=(), time_unit="auto", time_format="", time_zone=""
    )


def _frame(
    decoded: Decoded, channels: list[str], refused: Counter[str], examples: dict[str, str]
) -> pd.DataFrame:
    import pandas as pd

    for rejected in decoded.rejected:
        if rejected.reason != "no_channels":
            refused[rejected.reason] += 1
            examples.setdefault(rejected.reason, rejected.detail)
    frame = pd.DataFrame(decoded.values, columns=channels)
    times = decoded.time_us.astype("datetime64[us]")
    frame.insert(0, "ts", pd.Series(times).dt.tz_localize("UTC"), allow_duplicates=True)
    keys = [key.decode("utf-8", "surrogateescape") for key in decoded.keys]
    frame.insert(1, KEY_COLUMN, np.array(keys, dtype=object))
    return frame


def _message(line: str, number: int) -> RecordedMessage:
    item: Any = None
    if line.lstrip()[:1] == "{":
        try:
            item = json.loads(line)
        except ValueError:
            item = None
    if not isinstance(item, dict) or not is_dump(item):
        return RecordedMessage(None, line.encode("utf-8", "surrogateescape"), -1, number)
    stamps = [item[name] for name in _MILLISECONDS if isinstance(item.get(name), int)]
    return RecordedMessage(
        _bytes(item, "key"),
        _bytes(item, "payload" if "payload" in item else "value"),
        stamps[0] if stamps else -1,
        number,
    )


def _bytes(item: dict[str, Any], name: str) -> bytes | None:
    """Return a field of a dump's line as bytes: text, hexadecimal digits, or JSON as it stands."""
    if isinstance(item.get(f"{name}_hex"), str):
        return bytes.fromhex(item[f"{name}_hex"])
    value = item.get(name)
    if value is None or isinstance(value, str):
        return None if value is None else value.encode("utf-8", "surrogateescape")
    return json.dumps(value).encode()
