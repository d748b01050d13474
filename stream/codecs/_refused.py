"""The verdict on a message that gives nothing."""

from __future__ import annotations

from stream.records import Reason


class Refused(Exception):  # noqa: N818  # a verdict, not an error
    """A message gives nothing, for this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
