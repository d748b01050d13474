"""Output of the commands: data on stdout, messages on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_REMARKS = 30
"""Remarks that are printed; data of many columns may have hundreds."""

if TYPE_CHECKING:
    from ember_core.data.sources import Remark


def message(sentence: str) -> None:
    """Print a message on stderr; stdout is for data."""
    print(sentence, file=sys.stderr)


def print_remarks(remarks: Iterable[Remark]) -> None:
    """Print remarks on data on stderr, a sentence each; their names come from foreign files."""
    from ember_core.data.sources import summed

    lines = summed(remarks)
    for remark in lines[:_REMARKS]:
        message(clean(remark.sentence()))
    if len(lines) > _REMARKS:
        message(f"And {len(lines) - _REMARKS:,} more remarks: --json lists all of them.")


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_fields(lines: Iterable[tuple[str, str]]) -> None:
    """Print names in bold beside their values; a long value is folded."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, Text(value))  # `Text`: mark-up in a foreign value is not read
    Console(highlight=False, soft_wrap=True).print(table)


def clean(text: Any) -> str:
    """Replace control characters: those of a foreign key or value must not reach the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(text))


def shortened(names: list[str], most: int) -> str:
    """Return the first names, without control characters, and the number of the others."""
    suffix = f", and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(clean(name) for name in names[:most]) + suffix
