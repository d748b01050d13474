"""Version of the distribution."""

from __future__ import annotations

from functools import cache

from ember_core.distribution import installed_version


@cache
def version() -> str:
    """Return the version, for example `0.1.0`; `0+source` in a checkout that is not installed."""
    return installed_version() or "0+source"
