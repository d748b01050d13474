"""Paragraphs and sentences of Markdown pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from checks.files import Hit

_FENCE: Final = re.compile(r"^\s*(```|~~~)")
_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_SKIPPED: Final = re.compile(
    r"^\s*(?:\||#{1,6}\s|</?[a-z]+[\s>]|:::|!!!|\?\?\?|\[[^\]]+\]:\s)|^\s*[-=*_]{3,}\s*$"
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])[\"”’)*_]*\s+(?=[\"“‘(*_]*[A-Z0-9])")
_ABBREVIATION: Final = re.compile(r"\b(?:e\.g|i\.e|etc|cf|vs|al|St|Fig|No)\.$")


def paragraphs(path: str, text: str) -> list[Hit]:
    """Return the paragraphs of a page, each in one line.

    A list item is a paragraph of its own. Code, tables, headings and HTML are left out.
    """
    blocks: list[Hit] = []
    open_, in_list, fenced, in_comment = False, False, False, False
    for number, line in enumerate(text.splitlines(), 1):
        if in_comment or line.lstrip().startswith("<!--"):
            in_comment, open_ = "-->" not in line, False
        elif _FENCE.match(line):
            fenced, open_ = not fenced, False
        elif fenced:
            continue
        elif not line.strip():
            open_ = False
        elif _ITEM.match(line) and (in_list or not line.startswith("    ")):
            blocks.append(Hit(path, number, _ITEM.sub("", line)))
            open_, in_list = True, True
        elif open_ and not _SKIPPED.match(line):
            blocks[-1] = blocks[-1]._replace(text=f"{blocks[-1].text} {line.strip()}")
        elif _SKIPPED.match(line):
            open_, in_list = False, False
        elif line.startswith("    ") and not in_list:
            continue  # an indented block of code
        else:
            in_list = in_list and line.startswith(" ")
            blocks.append(Hit(path, number, line.strip(" >")))
            open_ = True
    plain = [hit._replace(text=_plain(hit.text)) for hit in blocks]
    return [hit for hit in plain if words(hit.text)]  # a picture alone has none


def _plain(text: str) -> str:
    """Text as it is read: links by their words, a piece of code as one word."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"``?([^`]+)``?", lambda code: re.sub(r"\s+", "_", code[1]), text)
    return " ".join(text.split())


def sentences(paragraph: str) -> Iterator[str]:
    """Split a paragraph into sentences."""
    pending = ""
    for piece in _SENTENCE.split(paragraph):
        pending = f"{pending} {piece}".strip()
        if not _ABBREVIATION.search(pending):
            yield pending
            pending = ""
    if pending:
        yield pending


def words(text: str) -> int:
    """Count words: whatever holds a letter or a digit between two spaces."""
    return sum(1 for word in text.split() if re.search(r"\w", word))
