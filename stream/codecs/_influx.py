"""Codec of the InfluxDB line protocol, Telegraf's default format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from stream.records import Message, Reason

from ._key import walk
from ._measurements import MeasurementCodec
from ._refused import Refused
from ._samples import Sample, kafka_time

_NAME = re.compile(r"(?:\\.|[^\\, ])+", re.DOTALL)
"""A measurement ends at the first comma or space without a backslash before it."""
_TAG = re.compile(r",((?:\\.|[^\\,= ])+)=((?:\\.|[^\\,= ])+)", re.DOTALL)
_FIELD = re.compile(
    r'((?:\\.|[^\\,= ])+)=("(?:\\.|[^"\\])*"|[^",\s]+)(?=[, \r\n]|$)(,?)', re.DOTALL
)
_TIME = re.compile(r"[ ]+(-?\d+)[ \r]*(?:\n|$)")
# Without a timestamp a line ends after its fields.
_NO_TIME = re.compile(r"[ \r]*(?:\n|$)")
_ESCAPE = re.compile(r"\\([,= \\])")
_INTEGER = re.compile(r"[-+]?\d+[iu]", re.ASCII)
_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}


class Line(NamedTuple):
    """A line: measurement, tags, fields as written, and timestamp."""

    name: str
    tags: Mapping[str, str]
    fields: Mapping[str, str]
    timestamp: int | None


def parse_lines(text: str) -> Iterator[Line]:
    """Parse line protocol.

    The grammar is that of https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol.

    Args:
        text: Lines; a text field may contain a line break. Comments and empty lines are skipped.

    Raises:
        Refused: `NOT_JSON`, with the number of the line, if the text is not line protocol.

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


def field_value(text: str) -> bool | str | None:
    """Return a field's value as a number's text or a Boolean; None for a text."""
    if text.startswith('"'):
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return text[:-1] if _INTEGER.fullmatch(text) else text


class InfluxCodec(MeasurementCodec):
    """Codec with one sample per line.

    The field `f` of measurement `m` is the channel `m.f`, or else `f`. Fields that the model does
    not know are ignored, whatever they hold. A text in a known channel is no value. Timestamps
    are in nanoseconds unless the writer rounds them; a line without one has Kafka's, as a server
    takes the time of its arrival. The key expression reads `name`, `tags`, `fields` and
    `timestamp`.
    """

    def _samples(self, message: Message, value: bytes) -> list[Sample]:
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise Refused(Reason.NOT_JSON, f"Line protocol is UTF-8: {error}.") from None
        if not text.strip():
            raise Refused(Reason.NOT_JSON, "The value is empty. Expected InfluxDB line protocol.")
        samples = (self._sample(line, message.timestamp) for line in parse_lines(text))
        return [sample for sample in samples if sample is not None]

    def _sample(self, line: Line, timestamp_ms: int) -> Sample | None:
        cells = self._cells()
        for field, text in line.fields.items():
            column = self._column(line.name, field, line.tags)
            if column is not None:
                cells.read(column, field_value(text), f"{line.name}.{field}")
        if not cells:
            return None
        if line.timestamp is None:
            time = kafka_time(timestamp_ms)
        else:
            time = self._time(line.timestamp, f"{line.name} timestamp")
        record: dict[str, Any] = line._asdict()
        return Sample(time, cells, partial(walk, record))
