"""Places that a command writes to, checked before the work that fills them."""

from __future__ import annotations

import os
from pathlib import Path

from stream.errors import UserError


def require_file(flag: str, path: Path | None) -> None:
    """Refuse a file that cannot be written.

    Args:
        flag: Flag that names it, such as --report.
        path: The file; None: none is asked for.

    Raises:
        UserError: If its folder is not there, or it may not be written.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        expected = "a folder that exists"
    elif path.is_dir():
        expected = "a file, and this is a folder"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        expected = "a file that this user may write"
    else:
        return
    noun = flag.lstrip("-")
    text = "The file" if noun == "out" else f"The {noun}"
    raise UserError(
        f"{text} cannot be written. Expected {expected}. Received: {flag} {path}.", exit_code=2
    )


def require_folder(flag: str, path: Path) -> None:
    """Refuse a folder that cannot be made, or that files cannot be written to.

    Args:
        flag: Flag that names it, such as --out.
        path: The folder.

    Raises:
        UserError: If a file is in its place or above it, or it may not be written.
    """
    nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        expected = f"a folder, and {nearest} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        expected = f"a folder that this user may write, unlike {nearest}"
    else:
        return
    raise UserError(
        f"The folder cannot be written. Expected {expected}. Received: {flag} {path}.",
        exit_code=2,
    )
