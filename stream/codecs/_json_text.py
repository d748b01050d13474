"""Decoding of JSON as producers write it: with a byte-order mark, with NaN, as JSON lines."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from ._base import JSON_ERRORS, json_refusal
from ._depth import too_deep

_MARK = b"\xef\xbb\xbf"
_NO_VALUE = re.compile(rb"[:,\[]\s*[-+]?(?:nan|inf)", re.IGNORECASE)
_STRING_OR_NO_VALUE = re.compile(
    rb'"(?:[^"\\]|\\.)*"|[-+]?\b(?:nan|inf|infinity)\b', re.IGNORECASE | re.DOTALL
)
_HUGE = 10**400
"""Stands for a number that no float can hold; an infinite number would say "no value"."""

_decoder = msgspec.json.Decoder()


def parse_json(value: bytes) -> list[Any]:
    """Decode the documents of a message: one, or several in lines of their own.

    NaN and infinite numbers, which JSON does not have, are null.

    Raises:
        Refused: If it is nested too deep, or is no JSON.
    """
    value = value.removeprefix(_MARK)
    if too_deep(value):
        raise json_refusal(RecursionError(), value)
    if _NO_VALUE.search(value):
        value = _STRING_OR_NO_VALUE.sub(
            lambda match: match[0] if match[0][:1] == b'"' else b"null", value
        )
    try:
        return [_parse(value)]
    except JSON_ERRORS as error:
        lines = [line for line in value.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise json_refusal(error, value) from None
        try:
            return [_parse(line) for line in lines]
        except JSON_ERRORS:  # it may be one damaged document in several lines
            raise json_refusal(error, value) from None


def _parse(value: bytes) -> Any:
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError as error:
        if "out of range" not in str(error):
            raise
    try:  # Python's decoder knows numbers of any size
        return json.loads(value.decode(), parse_int=_integer, parse_float=_float)
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from None


def _integer(text: str) -> int:
    # Python converts at most 4,300 digits.
    return int(text) if len(text) <= 400 else _HUGE


def _float(text: str) -> float | int:
    number = float(text)
    return _HUGE if math.isinf(number) else number
