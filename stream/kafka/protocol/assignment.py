"""Assignment of partitions to this worker, from an assign to the next revoke."""

from __future__ import annotations

from .positions import Positions


class AssignmentClosed(Exception):  # noqa: N818  # an end, not an error
    """End of an assignment while something was still being done for it."""


class Assignment:
    """Claim on the assigned partitions; their positions live as long as it does.

    A rebalance can come at every await. Whoever opens partitions calls `check_open` after each
    one, and the session catches `AssignmentClosed` in one place.

    Args:
        positions: Positions of the partitions that are processed; emptied by `close`.
    """

    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self._open = True

    def check_open(self) -> None:
        """Raise where the partitions were given back meanwhile.

        Raises:
            AssignmentClosed: If a later assignment owns them, or another worker does.
        """
        if not self._open:
            raise AssignmentClosed

    def close(self) -> None:
        """Give the partitions back: none of them is processed any more."""
        self._open = False
        for tp in self.positions:
            self.positions.drop(tp)
