"""Name of the distribution that pip installs, its version, and the command for its extras."""

from __future__ import annotations

from importlib import metadata

NAME = "ember-anomaly"
"""The same name as in `pyproject.toml`, which is not there once the wheel is installed."""


def installed_version() -> str | None:
    """Version of the installed distribution; None in a checkout that was never installed."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return None


def install_command(extra: str) -> str:
    """Command that installs the distribution with one of its extras.

    Args:
        extra: Name of the extra, as `pyproject.toml` declares it.
    """
    return f'pip install "{NAME}[{extra}]"'
