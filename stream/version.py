"""The version of the distribution."""

from __future__ import annotations

from functools import cache

from ember_core.distribution import installed_version


@cache
def version() -> str:
    """For example `0.1.0`; `0+source` when run from a checkout that was never installed."""
    return installed_version() or "0+source"
