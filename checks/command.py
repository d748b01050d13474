"""Command line of the checks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from checks import language, structure
from checks.figures import broken_limits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the checks.

    Args:
        arguments: Words after `python -m checks`; None reads them from the process.

    Returns:
        Exit code: 0 for a report, 1 where an enforced limit is broken, 2 for wrong use.
    """
    options = _parser().parse_args(arguments)
    try:
        report = (
            language.measure(options.paths)
            if options.command == "language"
            else structure.measure(options.way)
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_json()))
    else:
        print("\n".join(report.lines(options.worst)))
    # A limit is one of the whole repository: a single file may be above an average.
    narrowed = options.command == "language" and bool(options.paths)
    sentence = "" if narrowed else broken_limits(report.figures)
    if sentence:
        print(sentence, file=sys.stderr)
    return 1 if sentence else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    words = commands.add_parser(
        "language",
        help="names, docstrings, comments and documents (docs/glossary.md has the terms)",
    )
    words.add_argument(
        "paths", nargs="*", type=Path, help="files or folders; with them every place is listed"
    )
    layout = commands.add_parser(
        "structure", help="imports, sizes, and how a record gets from the fetch to the cell"
    )
    layout.add_argument("--way", action="store_true", help="list the calls and the words on them")
    for command in (words, layout):
        command.add_argument("--json", action="store_true", help="one JSON object")
        command.add_argument(
            "--worst", type=int, default=10, metavar="N", help="worst files per figure (10)"
        )
    return parser
