"""Refusal of a message."""

from __future__ import annotations

from stream.records import Reason


class Refused(Exception):  # noqa: N818  # an outcome of a message, not an error of the program
    """A message is refused.

    Args:
        reason: Reason, as metrics and dead letters name it.
        detail: Sentence for people.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
