"""Names in bold beside their values: how `ember` shows one thing to a person."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_named(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines of name and value; a long value is folded, and no mark-up in it is read."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, Text(value))
    Console(highlight=False, soft_wrap=True).print(table)
