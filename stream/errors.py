"""Errors that the user can fix: one sentence on stderr, never a traceback."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can fix.

    The command line prints `message` on stderr and ends with `exit_code`. Messages follow one
    template: the problem. Expected .... Received: name=value. The remedy.

    Args:
        message: Text shown to the user.
        exit_code: 1 when the work failed, 2 for wrong use (a flag, a setting, an argument).
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
