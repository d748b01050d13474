"""InfluxDB line protocol: what Telegraf writes unless it is told otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from stream.records import MAX_ABS_VALUE, Reason

from ._base import NAN, Limits, Sample, SampleCodec, out_of_range
from ._channels import ChannelIndex
from ._key import KeyExpression, walk
from ._refused import Refused
from ._time import TimeUnit, one_to_micros

_NAME = re.compile(r"(?:\\.|[^\\, ])+", re.DOTALL)
"""A measurement ends at the first comma or space without a backslash before it."""
_TAG = re.compile(r",((?:\\.|[^\\,= ])+)=((?:\\.|[^\\,= ])+)", re.DOTALL)
_FIELD = re.compile(
    r'((?:\\.|[^\\,= ])+)=("(?:\\.|[^"\\])*"|[^",\s]+)(?=[, \r\n]|$)(,?)', re.DOTALL
)
_TIME = re.compile(r"[ ]+(-?\d+)[ \r]*(?:\n|$)")
_NO_TIME = re.compile(r"[ \r]*(?:\n|$)")
_ESCAPE = re.compile(r"\\([,= \\])")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)([iu]?)")
_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}


class Line(NamedTuple):
    """One line: measurement, tags, fields as they are written, and the timestamp."""

    name: str
    tags: Mapping[str, str]
    fields: Mapping[str, str]
    timestamp: int | None


def parse_lines(text: str) -> Iterator[Line]:
    """Read line protocol.

    The grammar is that of https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol.

    Args:
        text: Lines; a text field may hold a line break. Comments and empty lines are skipped.

    Raises:
        Refused: `NOT_JSON`, with the number of the line, where the text is no line protocol.

    Examples:
        >>> next(parse_lines(r"cpu,host=web-1 usage=0.5,cores=4i 1700000000000000000"))
        Line(name='cpu', tags={'host': 'web-1'}, fields={'usage': '0.5', 'cores': '4i'}, \
timestamp=1700000000000000000)
    """
    position, number = 0, 1
    while position < len(text):
        begin = position
        if text[position] in " \t\r\n":
            position += 1
        elif text[position] == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end + 1
        else:
            line, position = _line(text, position, number)
            yield line
        number += text.count("\n", begin, position)


def _line(text: str, position: int, number: int) -> tuple[Line, int]:
    name = _NAME.match(text, position)
    if name is None:
        raise _refused(number, "a measurement", text, position)
    position, tags = name.end(), {}
    while tag := _TAG.match(text, position):
        tags[_unescape(tag[1])], position = _unescape(tag[2]), tag.end()
    if text[position : position + 1] != " ":
        raise _refused(number, "a space before the fields", text, position)
    while text[position : position + 1] == " ":
        position += 1
    fields: dict[str, str] = {}
    comma = ","
    while comma:
        field = _FIELD.match(text, position)
        if field is None:
            raise _refused(number, "a field such as `usage=0.5`", text, position)
        fields[_unescape(field[1])], comma, position = field[2], field[3], field.end()
    time = _TIME.match(text, position)
    if time is not None:
        return Line(_unescape(name[0]), tags, fields, int(time[1])), time.end()
    end = _NO_TIME.match(text, position)
    if end is None:
        raise _refused(number, "a whole number as timestamp", text, position)
    return Line(_unescape(name[0]), tags, fields, None), end.end()


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def _refused(number: int, expected: str, text: str, position: int) -> Refused:
    return Refused(
        Reason.NOT_JSON,
        f"Line {number} is no InfluxDB line protocol. Expected {expected}. "
        f"Received: {text[position : position + 40]!r}.",
    )


def field_value(text: str, where: str) -> float:
    """Value of a field: numbers, and booleans as 0 and 1; a text or NaN is no value and gives NaN.

    Raises:
        Refused: If it is none of these, or too large.
    """
    if text.startswith('"'):
        return NAN
    boolean = _BOOLEANS.get(text)
    if boolean is not None:
        return boolean
    if text.lower() == "nan":
        return NAN
    number = _NUMBER.fullmatch(text)
    if number is None:
        raise Refused(Reason.WRONG_TYPE, f"Expected a number, got {text[:40]!r} - at `{where}`")
    value = float(number[1])
    if abs(value) > MAX_ABS_VALUE:
        raise Refused(Reason.OUT_OF_RANGE, out_of_range(value, where))
    return value


class InfluxCodec(SampleCodec):
    """One sample per line. The field `f` of measurement `m` is the channel `m.f`, or else `f`.

    Fields the model does not know are ignored, whatever they hold. A text in a known channel is no
    value. A message of several lines is taken whole or refused whole. The key expression sees
    `name`, `tags`, `fields` and `timestamp`.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        time_unit: Unit of the timestamp; line protocol has nanoseconds unless its writer rounds.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        limits: Limits,
        *,
        time_unit: TimeUnit = "auto",
    ) -> None:
        super().__init__(channels, key, limits)
        self._index = ChannelIndex(channels)
        self._time_unit: TimeUnit = time_unit

    def _samples(self, value: bytes) -> list[Sample]:
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise Refused(Reason.NOT_JSON, f"Line protocol is UTF-8: {error}.") from None
        if not text.strip():
            raise Refused(Reason.NOT_JSON, "The value is empty. Expected InfluxDB line protocol.")
        samples = (self._sample(line) for line in parse_lines(text))
        return [sample for sample in samples if sample is not None]

    def _sample(self, line: Line) -> Sample | None:
        cells = []
        for field, text in line.fields.items():
            column = self._index.find(f"{line.name}.{field}", line.tags)
            if column is None:
                column = self._index.find(field, line.tags)
            if column is not None:
                cells.append((column, field_value(text, f"{line.name}.{field}")))
        if not cells:
            return None
        if line.timestamp is None:
            raise Refused(Reason.NO_TIME, f"The line of {line.name!r} has no timestamp.")
        time_us = one_to_micros(line.timestamp, self._time_unit, f"{line.name} timestamp")
        record: dict[str, Any] = line._asdict()
        return Sample(time_us, cells, partial(walk, record))
