"""Name of the user of this process."""

from __future__ import annotations

import getpass


def current_user() -> str:
    """Return the user's name; `unknown` where the system has none for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"
