"""Remarks: what a source holds that is not used as it stands, for reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Remark:
    """Something in the data that was left out or changed, once per source, kind and column.

    Examples:
        >>> remark = Remark("text_column", "left out: text", "a.csv", "note", 7, 3, "warm")
        >>> remark.sentence()
        "a.csv: column 'note': left out: text (7 values, first in row 3: 'warm')."
    """

    kind: str
    """Short name for programs, such as `text_column`, `empty_column` or `missing_word`."""
    text: str
    """The treatment and its reason, for people; without a full stop."""
    source: str = ""
    """Name of the file or table."""
    column: str = ""
    """Name of the column; empty where it concerns whole rows."""
    count: int = 0
    """How many rows or values it concerns; 0 where it concerns the column as such."""
    first_row: int = 0
    """Number of the first such row, counted from 1; 0 where unknown."""
    example: str = ""
    """The value that stood there first."""

    def sentence(self) -> str:
        """The remark in one sentence."""
        where = f"{self.source}: " if self.source else ""
        where += f"column {self.column!r}: " if self.column else ""
        details = []
        if self.count:
            unit = "value" if self.column else "row"
            details.append(f"{self.count:,} {unit}{'' if self.count == 1 else 's'}")
        if self.first_row:
            value = f": {self.example[:40]!r}" if self.example else ""
            details.append(f"first in row {self.first_row:,}{value}")
        elif self.example:
            details.append(f"such as {self.example[:40]!r}")
        suffix = f" ({', '.join(details)})" if details else ""
        return f"{where}{self.text}{suffix}."

    def as_json(self) -> dict[str, Any]:
        """The fields that say something, for a report."""
        return {name: value for name, value in asdict(self).items() if value}


def summed(remarks: Iterable[Remark]) -> list[Remark]:
    """Return one remark for all sources that have the same, their counts added up.

    Examples:
        >>> remarks = [Remark("empty_column", "left out", f"{n}.csv", "fan") for n in "abc"]
        >>> [remark.sentence() for remark in summed(remarks)]
        ["a.csv and 2 others: column 'fan': left out."]
    """
    groups: dict[tuple[str, str, str], list[Remark]] = {}
    for remark in remarks:
        groups.setdefault((remark.kind, remark.text, remark.column), []).append(remark)
    out = []
    for first, *others in groups.values():
        if others:
            plural = "other" if len(others) == 1 else "others"
            count = first.count + sum(remark.count for remark in others)
            # A row number is one of the first source only, and would be taken for the total's.
            source = f"{first.source} and {len(others):,} {plural}"
            first = replace(first, source=source, count=count)
        out.append(first)
    return out


class Remarks:
    """Remarks of one pass over a source; those of one kind, text and column are added up.

    Args:
        source: Name of the source.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._known: dict[tuple[str, str, str], Remark] = {}

    def __iter__(self) -> Iterator[Remark]:
        """The remarks in order of first appearance."""
        return iter(self._known.values())

    def add(
        self,
        kind: str,
        text: str,
        *,
        column: str = "",
        count: int = 0,
        first_row: int = 0,
        example: object = "",
    ) -> None:
        """Add a remark; `first_row` and `example` of an earlier equal one are kept."""
        identity = (kind, text, column)
        known = self._known.get(identity)
        if known is not None:
            self._known[identity] = replace(known, count=known.count + count)
            return
        self._known[identity] = Remark(
            kind, text, self._source, column, count, first_row, str(example)
        )

    def extend(self, remarks: Iterable[Remark]) -> None:
        """Add remarks that another reader of the same source made."""
        for remark in remarks:
            self.add(
                remark.kind,
                remark.text,
                column=remark.column,
                count=remark.count,
                first_row=remark.first_row,
                example=remark.example,
            )
