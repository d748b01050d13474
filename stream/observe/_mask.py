"""Masking of secrets in log lines: by type, by name, and by their form in a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from structlog.types import EventDict, WrappedLogger

_MASK = "**********"
_NAMES = r"passw(?:or)?d|passphrase|secret|token|credentials?|api[_.-]?key|private[_.-]?key"
_NAMES += r"|routing[_.-]?key|webhook[_.-]?url"
_SECRET = re.compile(
    r"passw|passphrase|secret|token|credential|api[_.-]?key|authorization|routing[_.-]?key"
    r"|webhook[_.-]?url",
    re.I,
)
# A name counts by its end (`sasl_plain_password`), and only before a value: "token bucket" and
# "password refused" stay. The value is the text in quotes or brackets, else everything up to the
# next space. Quantifiers are possessive, so that the search is linear.
_IN_TEXT = re.compile(
    rf"""
    (
      (?:{_NAMES}) (?:\d++|[_.-]?(?:access[_.-]?)?key|[_.-]?value)?+ \\*+["']?+ [ \t]*+ (?:=>|[:=])
      | authorization \\*+["']?+ [ \t]*+ [:=,]  # , within a pair of a list of headers
    )
    [ \t]*+
    (?:
      [bru]?+ (?P<quote> \\*+["']) (?: (?!(?P=quote)) (?:\\++.|[^\n]) )*+ (?P=quote)
      | [bru]?+ \\*+["'] [^\n]++  # a quoted text whose end was cut off
      | [\[({{] [^\n\])}}]*+ [\])}}]
      | (?:(?:bearer|basic|digest|negotiate)[ \t]++)?+ \S++
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SCHEME = re.compile(r"\b((?:bearer|basic)[ \t]++)(?=[\w.~+/-]*\d)[\w.~+/-]{20,}+=*+", re.I)
_LOGIN = re.compile(r"(://[^\s/:@\"']*+:)[^\s/@\"']++(?=@)")


def mask_secrets(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Mask values that are secrets by type, by name, or by their form in a text.

    A processor of structlog. It comes after the formatting of exceptions, whose text is searched
    like any other.
    """
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, SecretStr) or (_SECRET.search(key) and value):
        return _MASK
    if isinstance(value, str):
        return in_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {name: _masked(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str | bytes):  # a header: name and value
            return [_masked("", value[0]), _masked(str(value[0]), value[1])]
        return [_masked("", item) for item in value]
    text = repr(value)  # as a renderer will write it
    hidden = in_text(text)
    return value if hidden == text else hidden


def in_text(text: str) -> str:
    """Mask the values of secrets that are named in a text."""
    text = _IN_TEXT.sub(rf"\1{_MASK}", text)
    return _LOGIN.sub(rf"\1{_MASK}", _SCHEME.sub(rf"\1{_MASK}", text))
