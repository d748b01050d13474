"""Docstrings, argument descriptions and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from checks.files import Hit, Source, is_text
from checks.words import ARGUMENT_OPENERS, DOCSTRING_OPENERS, WHAT_LINE

_ENTRY: Final = re.compile(r"^(\s+)(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:\s+(\S.*)$")
_SECTION: Final = re.compile(r"^\s*[A-Z]\w+:$")


class Docstring(NamedTuple):
    """A docstring as it stands in its file.

    Attributes:
        line: First line, from 1.
        lines: Lines with their indentation; the quotes are taken off.
    """

    line: int
    lines: list[str]


def docstrings(source: Source) -> Iterator[Docstring]:
    """Read the docstrings of a file."""
    for node in source.definitions:
        statement = node.body[0] if node.body else None
        if statement is not None and is_text(statement):
            end = statement.end_lineno or statement.lineno
            lines = source.lines[statement.lineno - 1 : end]
            lines[0] = re.sub(r'^\s*[rR]?("""|\'\'\'|"|\')', "", lines[0])
            lines[-1] = re.sub(r'("""|\'\'\'|"|\')\s*$', "", lines[-1])
            yield Docstring(statement.lineno, lines)


def first_word(text: str) -> str:
    """Return the first word in lower case; a name in backticks is none."""
    match = re.match(r"\W*?([A-Za-z']+)", text) if not text.lstrip().startswith("`") else None
    return match[1].lower() if match else ""


def docstring_openers(source: Source) -> list[Hit]:
    """Return docstrings that open with a question word, `from`, `of` or `whether`."""
    return [
        Hit(source.path, line, next((text for text in lines if text.strip()), "").strip())
        for line, lines in docstrings(source)
        if first_word(" ".join(lines)) in DOCSTRING_OPENERS
    ]


def arguments(source: Source) -> list[Hit]:
    """Return the descriptions in all `Args:` sections, each as `name: description`."""
    hits = []
    for start, lines in docstrings(source):
        margin, indentation = None, None
        for number, text in enumerate(lines, start):
            if not text.strip():
                continue
            depth = len(text) - len(text.lstrip())
            if text.strip() == "Args:":
                margin, indentation = depth, None
            elif margin is not None and (depth <= margin or _SECTION.match(text)):
                margin = None
            elif margin is not None:
                indentation = depth if indentation is None else indentation
                entry = _ENTRY.match(text)
                if entry and depth == indentation:
                    hits.append(Hit(source.path, number, f"{entry[2]}: {entry[3]}"))
    return hits


def argument_openers(source: Source) -> list[Hit]:
    """Return argument descriptions that open with a preposition or a question word."""
    return [
        hit
        for hit in arguments(source)
        if first_word(hit.text.partition(": ")[2]) in ARGUMENT_OPENERS
    ]


def what_lines(path: str, text: str) -> list[Hit]:
    """Return lines with `what is`, `what was`, `what came`, `what has` and the like."""
    return [
        Hit(path, number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(WHAT_LINE, line, re.IGNORECASE)
    ]
