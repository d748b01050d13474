"""Tables in Markdown, for all pages that are made of kept results."""

from __future__ import annotations

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table.

    Args:
        head: Titles of the columns.
        rows: Cells of each row, as many as there are columns.

    Returns:
        Lines of Markdown, each with its line break.

    Examples:
        >>> print(table(("key", "rows"), [("web-1", "3")]), end="")
        | key | rows |
        | --- | --- |
        | web-1 | 3 |
    """
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
