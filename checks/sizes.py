"""Sizes of files and of signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from checks.files import Hit, Source, parameters

MOST_ARGUMENTS: Final = 9
COMMANDS: Final = "stream/cli/"
"""Folder of the commands, whose arguments are the options that a user types."""


class Package(NamedTuple):
    """Size of one folder, without the folders below it."""

    name: str
    files: int
    lines: int
    code_lines: int


def long_signatures(code: Sequence[Source]) -> list[Hit]:
    """Return functions with more than nine arguments, `self` and `cls` not counted.

    Commands are left out: each of their arguments is an option of the command line.

    Args:
        code: All files.
    """
    hits = []
    for source in code:
        if source.path.startswith(COMMANDS):
            continue
        for function in source.functions:
            count = sum(1 for p in parameters(function) if p.arg not in ("self", "cls"))
            if count > MOST_ARGUMENTS:
                hits.append(Hit(source.path, function.lineno, f"{function.name} ({count})"))
    return hits


def packages(code: Sequence[Source]) -> list[Package]:
    """Sum files and lines up by folder.

    Args:
        code: All files.
    """
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    code_lines: Counter[str] = Counter()
    for source in code:
        files[source.folder] += 1
        lines[source.folder] += len(source.lines)
        code_lines[source.folder] += len(source.code_lines)
    return [Package(name, files[name], lines[name], code_lines[name]) for name in sorted(files)]


def over(code: Sequence[Source], lines: int) -> list[Source]:
    """Return files with more than so many lines, the longest first.

    Args:
        code: All files.
        lines: Number of lines that is still allowed.
    """
    long = [source for source in code if len(source.lines) > lines]
    return sorted(long, key=lambda source: -len(source.lines))
