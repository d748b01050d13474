"""Layout of a delimited text file: separator, header, comments, units."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ember_core.data.cells import NumberReader, TimeReader, Unreadable, order_of

from ._bytes import Scan, comment_lines, open_text
from ._errors import DataError
from ._remarks import Remarks

_SEPARATORS = (",", ";", "\t", "|")
BLANKS = r"\s+"
"""Separator of columns that stand below one another."""
_SAMPLE_LINES = 40
_MOST_LINES = 10_000
_SEP_LINE = re.compile(r"\s*\"?sep=(.|\\t)\"?\s*$", re.IGNORECASE)
_NUMBERS = NumberReader()
_DECIMAL_COMMA = NumberReader(decimal=",")
_TIMES = TimeReader()


@dataclass(frozen=True)
class Dialect:
    """Layout of one file."""

    sep: str
    names: tuple[str, ...]
    """Names of the columns, each once; nameless ones are `Unnamed: N`."""
    skip: frozenset[int]
    """Lines that are no data, counted from 0."""


def sniff(path: Path, file_scan: Scan, sep: str, remarks: Remarks) -> Dialect | None:
    """Find the layout of a file; None where it is empty.

    Args:
        path: The file.
        file_scan: Its encoding.
        sep: Separator that the user named; empty: told from the first lines.
        remarks: Remarks to add to.

    Raises:
        DataError: If the first line holds no names.
    """
    sample = _sample(path, file_scan.encoding)
    start = 0
    while start < len(sample) and not sample[start].strip():
        start += 1
    if start < len(sample) and (match := _SEP_LINE.match(sample[start])):
        sep = sep or match[1].replace("\\t", "\t")
        start += 1
    skip = set(range(start))
    first_data = [i for i in range(start, len(sample)) if _is_data(sample[i])]
    if not first_data:
        return None
    sep = sep or _separator([sample[i] for i in first_data])
    split = _splitter(sep)
    header_line = first_data[0]
    header = split(sample[header_line])
    commented = [i for i in range(start, header_line) if sample[i].startswith("#")]
    if commented and _is_record(header):
        # The header itself may be a comment: `# ts temp`.
        names = split(sample[commented[-1]].lstrip("#"))
        if len(names) == len(header) and not _is_record(names):
            header, header_line = names, header_line - 1
    if _is_record(header):
        raise DataError(
            f"{path} has no header line. Expected the names of the columns in the first line. "
            f"Received: {sample[header_line][:60]!r}."
        )
    skip |= set(range(header_line + 1))
    rows = [(i, split(sample[i])) for i in first_data if i > header_line]
    if len(rows) > 1 and _are_units(rows[0][1], rows[1][1]):
        skip |= set(range(rows[0][0] + 1))
        remarks.add(
            "units_line",
            "a line of units under the header was left out",
            example=sample[rows[0][0]],
        )
        del rows[0]
    if not rows and len(first_data) < _SAMPLE_LINES:
        return None
    width = max([len(header), *(_width(cells) for _, cells in rows)])
    longest = max([len(header), *(len(cells) for _, cells in rows)])
    if width <= len(header) < longest:  # a separator at the end of each line
        header = [*header, *[""] * (longest - len(header))]
    if file_scan.comments or commented:
        comments = comment_lines(path, file_scan.encoding)
        skip |= set(comments)
        remarks.add("comment_lines", "comment lines were left out", count=len(comments))
    return Dialect(sep, _names(header, remarks), frozenset(skip))


def short_lines(path: Path, dialect: Dialect, encoding: str) -> list[int]:
    """Return the numbers of the lines with too few cells, from 1.

    Args:
        path: The file.
        dialect: Its layout.
        encoding: Its encoding.
    """
    with open_text(path, encoding) as lines:
        if dialect.sep == BLANKS:
            rows = ((number, line.split()) for number, line in enumerate(lines, start=1))
            return [number for number, row in rows if 0 < len(row) < len(dialect.names)]
        reader = csv.reader(lines, delimiter=dialect.sep, skipinitialspace=True)
        width = len([name for name in dialect.names if not _is_nameless_end(name, dialect.names)])
        return [
            reader.line_num
            for row in reader
            if 0 < len(row) < width and reader.line_num - 1 not in dialect.skip
        ]


def _is_nameless_end(name: str, names: Sequence[str]) -> bool:
    """Test for the column that a separator at the end of each line makes."""
    return name == names[-1] and name.startswith("Unnamed: ")


def _sample(path: Path, encoding: str) -> list[str]:
    """Return the first lines, until enough of them are no comments."""
    sample: list[str] = []
    data = 0
    with open_text(path, encoding) as lines:
        for line in islice(lines, _MOST_LINES):
            sample.append(line.rstrip("\r\n"))
            data += _is_data(line)
            if data == _SAMPLE_LINES:
                break
    return sample


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that cuts the most lines into as many cells as the header."""
    best, best_score = "", (0.0, 0)
    for sep in _SEPARATORS:
        widths = [len(cells) for cells in map(_splitter(sep), lines)]
        if widths[0] < 2:
            continue
        share = sum(width == widths[0] for width in widths) / len(widths)
        if (share, widths[0]) > best_score:
            best, best_score = sep, (share, widths[0])
    if best:
        return best
    widths = [len(line.split()) for line in lines]
    if widths[0] > 1 and len(set(widths)) == 1:
        return BLANKS
    return ","


def _splitter(sep: str) -> Callable[[str], list[str]]:
    if sep == BLANKS:
        return str.split
    return lambda line: next(csv.reader([line], delimiter=sep, skipinitialspace=True), [])


def _width(cells: Sequence[str]) -> int:
    """Number of cells up to the last that is not empty."""
    return max((i + 1 for i, cell in enumerate(cells) if cell.strip()), default=0)


def _reads(cell: str) -> bool:
    """Test for a number or a time; a missing value is neither."""
    for reader in (_NUMBERS, _DECIMAL_COMMA):
        try:
            number = reader.text(cell)
        except Unreadable:
            continue
        return number == number and any(c.isdigit() for c in cell)
    if order_of(cell) is not None:
        return True
    try:
        _TIMES.read(cell)
    except Unreadable:
        return False
    return True


def _is_record(cells: Sequence[str]) -> bool:
    """Test for a line of values where names should stand: nothing but numbers and times."""
    present = [cell for cell in cells if cell.strip()]
    return len(present) > 1 and all(map(_reads, present))


def _are_units(first: Sequence[str], second: Sequence[str]) -> bool:
    """Test for a line of units: no value in it, while the next one has some in the same places."""
    present = [cell for cell in first if cell.strip()]
    if not present or any(map(_reads, present)):
        return False
    values = [_reads(cell) for cell in second]
    return sum(values) > 1 and sum(
        reads and (not cell.strip() or not _is_missing(cell))
        for cell, reads in zip(first, values, strict=False)
    ) == sum(values)


def _is_missing(cell: str) -> bool:
    try:
        number = _NUMBERS.text(cell)
    except Unreadable:
        return False
    return number != number


def _names(header: Sequence[str], remarks: Remarks) -> tuple[str, ...]:
    """Return names that differ: a second column of a name gets a number behind it."""
    names: dict[str, None] = {}
    for i, cell in enumerate(header):
        name = cell.strip().strip("\ufeff\u200b").strip() or f"Unnamed: {i}"
        unique, number = name, 0
        while unique in names:
            number += 1
            unique = f"{name}.{number}"
        if unique != name:
            remarks.add(
                "duplicate_column",
                f"a second column of this name, read as {unique!r}",
                column=name,
            )
        names[unique] = None
    return tuple(names)
