"""Option `--with`: arguments of training, as the benchmarks of detection take them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.frame import BenchmarkError


def add_with(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--with",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of stream.training.train, its value as JSON; may be given several times",
    )


def training_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments by name.

    Raises:
        BenchmarkError: If one is no name with a value in JSON.
    """
    return dict(_named(text) for text in options.options)


def _named(text: str) -> tuple[str, Any]:
    """`NAME=VALUE` with the value as JSON; a list is a tuple, as settings have it."""
    name, equals, value = text.partition("=")
    try:
        parsed = json.loads(value)
    except ValueError:
        equals = ""
    if not equals:
        raise BenchmarkError(
            f"an argument is not understood. Expected NAME=VALUE such as levels=false or "
            f'windows="dilated". Received: --with {text}.'
        )
    return name, tuple(parsed) if isinstance(parsed, list) else parsed
