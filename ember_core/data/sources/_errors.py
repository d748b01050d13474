"""The one error that data and its options raise."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from ember_core.distribution import install_command


class DataError(ValueError):
    """Data that cannot be read as asked. The message is one for the user, with the mend in it."""


def unknown_column(where: str, flag: str, name: str, columns: Iterable[str]) -> DataError:
    """Make the error for a missing column, with the present ones and the likely meant one."""
    names = list(columns)
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return DataError(
        f"{where} has no column {name!r}. Expected one of: {listed(names)}. "
        f"Received: {flag} {name}.{hint}"
    )


def listed(names: Collection[str], most: int = 20) -> str:
    """Names in one line, cut after `most`."""
    text = ", ".join(repr(name) for name in list(names)[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def extra(module: str, package: str, name: str, where: str) -> Any:
    """Import an optional module.

    Args:
        module: Module to import.
        package: Name of the package that has the module.
        name: The extra of this distribution that brings it.
        where: The source that needs it.

    Raises:
        DataError: If it is not installed, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise DataError(
            f"{where} needs {package}, which is not installed. "
            f"Install it with: {install_command(name)}."
        ) from None
