"""Whether this worker still is who it was when it was given its partitions."""

from __future__ import annotations

from collections.abc import Callable

from ._ports import Clock, FencedError, Membership


class GroupView:
    """The group as a checkpoint sees it: the membership at the last assignment, while it holds.

    Args:
        current: The membership the group's client has now.
        heard: When the group last confirmed this worker, on `clock`.
        clock: Seconds; must go on while the process is suspended.
        lease: Seconds without confirmation after which the group must be assumed to have moved
            on; None where the broker fences by itself.
    """

    def __init__(
        self,
        current: Callable[[], Membership],
        heard: Callable[[], float],
        clock: Clock,
        lease: float | None,
    ) -> None:
        self._current = current
        self._heard = heard
        self._clock = clock
        self._lease = lease
        self._joined: Membership | None = None

    def joined(self) -> None:
        """An assignment came: this is who owns it."""
        self._joined = self._current()

    def membership(self) -> Membership:
        """Who to commit as.

        Raises:
            FencedError: If the group has moved on, or may have.
        """
        joined = self._joined
        if joined is None:
            raise FencedError("this worker has no assignment")
        current = self._current()
        if current != joined:
            raise FencedError(
                f"the group has moved on: generation {joined.generation} was missed "
                f"(now {current.generation})"
            )
        if self._lease is not None:
            silence = self._clock() - self._heard()
            if silence > self._lease:
                raise FencedError(
                    f"the group has not answered for {silence:.1f} s, longer than the session "
                    f"timeout of {self._lease:g} s: another worker may own the partitions"
                )
        return joined
