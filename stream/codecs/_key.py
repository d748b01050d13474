"""Expressions of the stream key where the Kafka key is null: a small grammar without `eval`.

    expression = part { "+" part }
    part       = string | path
    path       = name { "." name | "[" string "]" }
    name       = letter, digit, "_", "@", "$", ":" or "-", one or more
    string     = "..." or '...', in which a backslash takes the next character as it is

A path names a field of the record, from its root. A string stands for itself. The parts are joined:
`tags.host`, `labels["instance"]`, `labels["job"] + "/" + labels["instance"]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from stream.errors import UserError
from stream.records import Reason
from stream.types import KeyFrom

from ._refused import Refused

Path = tuple[str, ...]

_NAME = re.compile(r"[\w@$:-]+")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_SPACE = re.compile(r"\s*")


class KeyExpression:
    """Parsed expression of a stream key, and the choice between it and the Kafka key.

    Args:
        text: The expression; empty refuses every record without a Kafka key.
        example: Expression that the refusal suggests when the text is empty.
        key_from: `kafka` takes the Kafka key, and the expression where there is none; `record`
            takes the expression alone; `auto` takes the expression, and the Kafka key where the
            record lacks its fields. A Kafka key of zero bytes is no key.

    Raises:
        UserError: If the text is no expression, or is empty where the record has to name the key.

    Examples:
        >>> expression = KeyExpression('tags.host + "/" + name')
        >>> expression.paths
        [('tags', 'host'), ('name',)]
        >>> record = {"tags": {"host": "web-1"}, "name": "cpu"}
        >>> expression.evaluate(lambda path: walk(record, path))
        b'web-1/cpu'
    """

    def __init__(self, text: str, *, example: str = "host", key_from: KeyFrom = "kafka") -> None:
        self.text = text
        self.key_from = key_from
        self._example = example
        self._parts: list[str | Path] = _parse(text) if text.strip() else []
        if key_from != "kafka" and not self._parts:
            raise UserError(
                "The record has to name its stream key, but `input.key` is empty. Expected fields "
                f"of the record. Received: input.key='', input.key_from={key_from!r}. Set "
                f"input.key, for example to `{example}`, or set input.key_from to `kafka`.",
                exit_code=2,
            )

    @property
    def paths(self) -> list[Path]:
        """Paths of the fields that the expression reads."""
        return [part for part in self._parts if isinstance(part, tuple)]

    @property
    def lone_path(self) -> Path | None:
        """The path of an expression that is nothing else; None for another."""
        part = self._parts[0] if len(self._parts) == 1 else None
        return part if isinstance(part, tuple) else None

    def choose(self, kafka_key: bytes | None, resolve: Callable[[Path], Any]) -> bytes:
        """Return the stream key of one record.

        Args:
            kafka_key: Key of the Kafka record.
            resolve: Function that returns the value at a path, or None when there is none.

        Raises:
            Refused: If neither gives a key, as in `evaluate`.
        """
        if self.key_from == "kafka" and kafka_key:
            return kafka_key
        try:
            return self.evaluate(resolve)
        except Refused as refused:
            if self.key_from == "auto" and kafka_key and refused.reason is Reason.NO_KEY:
                return kafka_key
            raise

    def evaluate(self, resolve: Callable[[Path], Any]) -> bytes:
        """Return the key that the expression gives for one record.

        Args:
            resolve: Function that returns the value at a path, or None when there is none.

        Returns:
            The parts joined, as UTF-8. Texts and integers are used as they are.

        Raises:
            Refused: `NO_KEY` when a field is missing or empty, `BAD_KEY` when it is neither a text
                nor an integer.
        """
        if not self._parts:
            raise Refused(
                Reason.NO_KEY,
                "The Kafka key is null or empty, and input.key is not set. Set input.key to a "
                f"field, for example `{self._example}`, or key the topic.",
            )
        texts = []
        for part in self._parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = resolve(part)
            name = ".".join(part)
            if value is None or value == "":
                raise Refused(
                    Reason.NO_KEY,
                    f"The record has no `{name}` (input.key)"
                    + (
                        ", and the Kafka key is null or empty."
                        if self.key_from != "record"
                        else "."
                    ),
                )
            if isinstance(value, UUID):  # of Avro
                value = str(value)
            if type(value) is not str and type(value) is not int:
                raise Refused(
                    Reason.BAD_KEY,
                    f"Expected `str` or `int`, got `{type(value).__name__}` - at `{name}` "
                    "(input.key).",
                )
            texts.append(str(value))
        try:
            return "".join(texts).encode()
        except UnicodeEncodeError:
            raise Refused(Reason.BAD_KEY, "The stream key is no valid Unicode.") from None


def walk(root: Any, path: Path) -> Any:
    """Return the value at a path of nested mappings; None when there is none."""
    for name in path:
        if not isinstance(root, Mapping):
            return None
        root = root.get(name)
    return root


def prefixes(paths: Iterable[Path]) -> set[str]:
    """Return the dotted names of paths and of the objects that they lead through."""
    return {".".join(path[:end]) for path in paths for end in range(1, len(path) + 1)}


def parse_path(text: str, setting: str) -> Path:
    """Parse a single path, for example that of the time field.

    Raises:
        UserError: If the text is not exactly one path.
    """
    parts = _parse(text, setting)
    if len(parts) != 1 or not isinstance(parts[0], tuple):
        raise UserError(
            f"`{setting}` must be one field. Expected a path such as `meta.ts`. "
            f"Received: {setting}={text!r}.",
            exit_code=2,
        )
    return parts[0]


def _parse(text: str, setting: str = "input.key") -> list[str | Path]:
    def fail(position: int, expected: str) -> UserError:
        return UserError(
            f"`{setting}` cannot be read at character {position + 1}. Expected {expected}. "
            f"Received: {setting}={text!r}. Write fields joined by `+`, for example "
            '`tags.host` or `labels["job"] + "/" + labels["instance"]`.',
            exit_code=2,
        )

    def skip(position: int) -> int:
        match = _SPACE.match(text, position)
        return match.end() if match else position

    def string(position: int) -> tuple[str, int] | None:
        match = _STRING.match(text, position)
        if match is None:
            return None
        raw = match[1] if match[1] is not None else match[2]
        return re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL), match.end()

    parts: list[str | Path] = []
    position = 0
    while True:
        position = skip(position)
        literal = string(position)
        if literal is not None:
            parts.append(literal[0])
            position = literal[1]
        else:
            name = _NAME.match(text, position)
            if name is None:
                raise fail(position, "a field or a quoted text")
            path = [name[0]]
            position = name.end()
            while position < len(text) and text[position] in ".[":
                if text[position] == ".":
                    name = _NAME.match(text, position + 1)
                    if name is None:
                        raise fail(position + 1, "a field name")
                    path.append(name[0])
                    position = name.end()
                    continue
                quoted = string(skip(position + 1))
                if quoted is None:
                    raise fail(position + 1, "a quoted field name")
                position = skip(quoted[1])
                if text[position : position + 1] != "]":
                    raise fail(position, "`]`")
                path.append(quoted[0])
                position += 1
            parts.append(tuple(path))
        position = skip(position)
        if position == len(text):
            return parts
        if text[position] != "+":
            raise fail(position, "`+` or the end")
        position += 1
