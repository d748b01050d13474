"""Formulas of computed channels: a grammar so small that a settings file can hold it safely.

    formula = term  (("+" | "-") term)*
    term    = sign  (("*" | "/") sign)*
    sign    = "-" sign | number | name | "(" formula ")" | function "(" formula ("," formula)* ")"

A name is a channel: plain (letters, digits, `_`, `.` and `:`), or within backquotes or quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

FUNCTIONS = {"min": (1, 64), "max": (1, 64), "abs": (1, 1), "log": (1, 1), "sqrt": (1, 1)}
"""Functions, each with the fewest and the most arguments."""
_DEEPEST = 50
_LONGEST = 2_000
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.:]*)"
    r"|`(?P<back>[^`]+)`|\"(?P<double>(?:\\.|[^\"\\])+)\"|'(?P<single>(?:\\.|[^'\\])+)'"
    r"|(?P<sign>[-+*/(),]))"
)
_ESCAPED = re.compile(r"\\(.)")
Node = tuple[Any, ...]
"""`("number", x)`, `("channel", name)`, or an operation: its name, and a node per argument."""


class FormulaError(ValueError):
    """Text that is no formula; the message says where and why."""


@dataclass(frozen=True)
class Formula:
    r"""A formula over channels.

    Args:
        text: The formula.

    Raises:
        FormulaError: If it is none.

    Examples:
        >>> Formula("errors / `http.requests{code=\"5xx\"}`").names
        ('errors', 'http.requests{code="5xx"}')
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse a text that is no formula."""
        if not self.names:
            raise FormulaError(f"the formula {self.text!r} names no channel")

    @cached_property
    def root(self) -> Node:
        """The formula as a tree."""
        return _Parser(self.text).parse()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Channels that it reads, in order of appearance."""
        return tuple(dict.fromkeys(_channels(self.root)))


def _channels(node: Node) -> Iterator[str]:
    if node[0] == "channel":
        yield node[1]
    elif node[0] != "number":
        for argument in node[1:]:
            yield from _channels(argument)


class _Parser:
    """Parser of one formula, by recursive descent."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise FormulaError(f"a formula has at most {_LONGEST} characters, not {len(text)}")
        self._text, self._tokens, self._next = text, list(_tokens(text)), 0

    def parse(self) -> Node:
        node = self._sum(0)
        if self._peek() is not None:
            raise self._error("expected an operator or the end")
        return node

    def _peek(self) -> str | None:
        """Return the next sign; another kind of token gives its kind; None at the end."""
        if self._next == len(self._tokens):
            return None
        kind, value, _ = self._tokens[self._next]
        return str(value) if kind == "sign" else kind

    def _take(self) -> Any:
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _sum(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise FormulaError(f"a formula has at most {_DEEPEST} brackets within each other")
        node = self._product(depth)
        while self._peek() in ("+", "-"):
            node = (self._take(), node, self._product(depth))
        return node

    def _product(self, depth: int) -> Node:
        node = self._factor(depth)
        while self._peek() in ("*", "/"):
            node = (self._take(), node, self._factor(depth))
        return node

    def _factor(self, depth: int) -> Node:
        minus = False
        while self._peek() in ("-", "+"):
            minus ^= self._take() == "-"
        node = self._operand(depth)
        return ("neg", node) if minus else node

    def _operand(self, depth: int) -> Node:
        kind = self._peek()
        if kind == "number":
            return ("number", float(self._take()))
        if kind == "channel":
            return ("channel", self._take())
        if kind == "(":
            self._take()
            node = self._sum(depth + 1)
            self._expect(")")
            return node
        if kind == "name":
            name = self._take()
            return self._call(name, depth) if self._peek() == "(" else ("channel", name)
        raise self._error("expected a number, a channel or a bracket")

    def _call(self, name: str, depth: int) -> Node:
        if name not in FUNCTIONS:
            raise FormulaError(
                f"there is no function {name!r} in the formula {self._text!r}; "
                f"expected one of {', '.join(FUNCTIONS)}"
            )
        self._take()
        arguments = [self._sum(depth + 1)]
        while self._peek() == ",":
            self._take()
            arguments.append(self._sum(depth + 1))
        self._expect(")")
        min_count, max_count = FUNCTIONS[name]
        if not min_count <= len(arguments) <= max_count:
            raise FormulaError(f"{name} takes {max_count} argument, not {len(arguments)}")
        return (name, *arguments)

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._error(f"expected {sign!r}")
        self._take()

    def _error(self, expected: str) -> FormulaError:
        at_end = self._next == len(self._tokens)
        position = "at its end" if at_end else f"at {self._text[self._tokens[self._next][2] :]!r}"
        return FormulaError(f"the formula {self._text!r} cannot be read {position}: {expected}")


def _tokens(text: str) -> Iterator[tuple[str, Any, int]]:
    """Yield kind, value and place of each token."""
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise FormulaError(
                f"the formula {text!r} cannot be read at {text[position:].lstrip()!r}: expected a "
                "number, a channel (in backquotes where it is not plain), or one of + - * / ( ) ,"
            )
        kind, value = match.lastgroup or "", match[match.lastgroup or 0]
        if kind in ("double", "single"):
            value = _ESCAPED.sub(r"\1", value)
        quoted = kind in ("back", "double", "single")
        yield "channel" if quoted else kind, value, match.start(match.lastgroup or 0)
        position = match.end()
