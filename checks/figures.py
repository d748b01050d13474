"""Figures with their aims, and the limits that may not be broken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

BEFORE: Final = Path(__file__).with_name("before.json")
"""Figures of the code before its words and folders were changed."""


COLUMNS: Final = ("by hand", "before", "now", "aim")
"""Columns of a figure in the table, after its title."""


@dataclass(frozen=True)
class Aim:
    """Goal of one figure.

    Attributes:
        title: Name of the figure in the table.
        most: Largest value that reaches the aim; None for a figure that is only reported.
        least: Smallest value that reaches the aim.
        by_hand: Value that people counted in the same code, where their count differs.
        unit: Text after the value, such as `" %"`.
        enforced: True makes a value outside the aim fail the command.
    """

    title: str
    most: float | None = None
    least: float | None = None
    by_hand: float | None = None
    unit: str = ""
    enforced: bool = False

    def reached_by(self, value: float) -> bool:
        """Return whether a value lies inside the aim."""
        too_large = self.most is not None and value > self.most
        too_small = self.least is not None and value < self.least
        return not too_large and not too_small

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}{self.unit}"
        return "" if self.most is None else f"at most {self.most:g}{self.unit}"


# The switch: `enforced=True` once a figure has reached its aim.
LANGUAGE: Final[Mapping[str, Aim]] = {
    "vague_names": Aim("vague local names per 1,000 assignments", 10, by_hand=105, enforced=True),
    "docstring_openers": Aim(
        "docstrings that open with a question word or `of`",
        1,
        by_hand=9.5,
        unit=" %",
        enforced=True,
    ),
    "what_lines": Aim("lines with `what is`, `what came`, ...", 20, by_hand=478, enforced=True),
    "argument_openers": Aim(
        "argument descriptions that open with a preposition or question word",
        10,
        by_hand=310,
        enforced=True,
    ),
    "sentence_words": Aim(
        "docs: words in a sentence, 90th percentile", 25, by_hand=40, enforced=True
    ),
    "paragraph_words": Aim(
        "docs: words in a paragraph, 90th percentile", 70, by_hand=142, enforced=True
    ),
    "comments": Aim("comments per 1,000 lines of code", 40, least=25, by_hand=13),
    "private_words": Aim("private terms that still name something", 0),
    "private_names": Aim("names by private words (glossary)", 0),
}

STRUCTURE: Final[Mapping[str, Aim]] = {
    "circles": Aim("import circles", 0, enforced=True),
    "circles_with_types": Aim(
        "import circles, with imports for types only", 0, by_hand=4, enforced=True
    ),
    "private_imports": Aim(
        "imports of private files and names from another folder", 0, by_hand=33, enforced=True
    ),
    "long_signatures": Aim("functions with more than nine arguments", 6, by_hand=13),
    "call_depth": Aim("calls from the fetch to the liquid cell", 11, by_hand=17, enforced=True),
    "way_files": Aim("files of these calls"),
    "way_files_around": Aim("files of these calls and what they import", by_hand=38),
    "way_words": Aim("private terms in files of these calls"),
    "way_words_around": Aim(
        "private terms in these files and what they import", 25, by_hand=55, enforced=True
    ),
    "files": Aim("files"),
    "file_median": Aim("lines of a file, median", 140, enforced=True),
    "file_p90": Aim("lines of a file, 90th percentile", 300),
    "files_over_300": Aim("files over 300 lines"),
    "files_over_500": Aim("files over 500 lines"),
    "lines": Aim("lines of all files"),
    "code_lines": Aim("lines of code (no blanks, comments, docstrings)"),
}


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        aim: Its goal.
        now: Value in the files that were read.
        before: Value in `before.json`; None where the figure is new, or only some files were read.
    """

    aim: Aim
    now: float
    before: float | None = None

    def row(self) -> list[str]:
        """Cells of the table: figure, by hand, before, now, aim."""
        aim, unit = self.aim, self.aim.unit
        values = (aim.by_hand, self.before, self.now)
        cells = ["" if value is None else f"{_number(value)}{unit}" for value in values]
        return [aim.title, *cells, f"{aim}{' (held)' if aim.enforced else ''}"]


def _number(value: float) -> str:
    rounded = float(value).is_integer() or abs(value) >= 100
    return f"{value:,.0f}" if rounded else f"{value:.1f}"


def figures_of(
    aims: Mapping[str, Aim], values: Mapping[str, float], group: str
) -> dict[str, Figure]:
    """Join measured values with aims and with the values of `before.json`.

    Args:
        aims: Aims of the group.
        values: Measured values, by the same names.
        group: `"language"` or `"structure"`; empty leaves the former values out.
    """
    former = read_before().get(group, {})
    return {name: Figure(aim, values[name], former.get(name)) for name, aim in aims.items()}


@cache
def read_before() -> dict[str, dict[str, float]]:
    """Return the kept figures by group."""
    groups: dict[str, dict[str, float]] = json.loads(BEFORE.read_text(encoding="utf-8"))
    return groups


def as_json(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Return figures as plain values."""
    return {
        name: {
            "before": figure.before,
            "now": figure.now,
            "aim": str(figure.aim) or None,
            "enforced": figure.aim.enforced,
            "reached": figure.aim.reached_by(figure.now),
        }
        for name, figure in figures.items()
    }


def broken_limits(figures: Mapping[str, Figure]) -> str:
    """Name the enforced figures outside their aim in one sentence; empty where there is none."""
    broken = [
        f"{aim.title}: expected {aim}, received {_number(value)}{aim.unit}"
        for aim, value in ((figure.aim, figure.now) for figure in figures.values())
        if aim.enforced and not aim.reached_by(value)
    ]
    return f"A limit of the checks is broken ({'; '.join(broken)})." if broken else ""


def percentile(values: Iterable[int], share: float) -> int:
    """Return the smallest value that at least `share` of all values do not exceed; 0 of none.

    Args:
        values: Values in any order.
        share: Share of the values, 0 to 1.

    Examples:
        >>> percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9)
        9
    """
    ordered = sorted(values)
    if not ordered:
        return 0
    index = max(0, -int(-share * len(ordered) // 1) - 1)  # rounded up: nearest-rank percentile
    return ordered[index]


def table(rows: Iterable[list[str]]) -> list[str]:
    """Align the cells of a table in columns.

    Args:
        rows: Header first. The first column is aligned left, the others right.
    """
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
