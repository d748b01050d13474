"""Choices of a field that has one of a few words, for messages about another word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

_PLACE: Final = re.compile(r"^Invalid enum value .* at `\$((?:\.\w+)+)`$", re.DOTALL)


def with_choices(error: Exception, type_: Any) -> str:
    """Return what an error says, with the words that the field may have.

    Examples:
        >>> import msgspec
        >>> from stream.control.bodies import Feedback
        >>> fields = {"event": "1", "verdict": "great", "key": "a", "topic": "t"}
        >>> try:
        ...     msgspec.convert(fields, Feedback)
        ... except msgspec.ValidationError as error:
        ...     print(with_choices(error, Feedback))
        Invalid enum value 'great' - at `$.verdict`, which is one of false-alarm, normal-now, real

    Args:
        error: Error of `msgspec`, or another one.
        type_: Type that it tried to read.
    """
    text = str(error)
    place = _PLACE.match(text)
    if place is None:
        return text
    words = sorted(set(_words(inspect.type_info(type_), place[1].split(".")[1:])))
    return f"{text}, which is one of {', '.join(words)}" if words else text


def _words(kind: inspect.Type, names: list[str]) -> Iterator[str]:
    """Iterate over the words of the field that a path of names leads to, in every sort of it."""
    if isinstance(kind, inspect.UnionType):
        for sort in kind.types:
            yield from _words(sort, names)
    elif isinstance(kind, inspect.StructType) and names:
        for field in kind.fields:
            if field.encode_name == names[0]:
                yield from _words(field.type, names[1:])
    elif isinstance(kind, inspect.LiteralType) and not names:
        yield from map(str, kind.values)
