"""The version of the distribution."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    """For example `0.1.0`; `0+source` when run from a checkout that was never installed."""
    try:
        return metadata.version("ember-stream")
    except metadata.PackageNotFoundError:
        return "0+source"
