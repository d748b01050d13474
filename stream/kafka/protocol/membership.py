"""Whether this worker still is who it was when it was given its partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .ports import Clock, FencedError, Membership

_POLL_SECONDS = 0.1


class GroupMembership:
    """The group as a checkpoint sees it: the membership at the last assignment, while it holds.

    Args:
        current: The membership the group's client has now.
        heard: When the group last confirmed this worker, on `clock`.
        clock: Seconds; must go on while the process is suspended.
        session: Seconds without confirmation after which the group takes a worker for dead.
        fenced: Whether the broker refuses what such a worker writes by itself.
    """

    def __init__(
        self,
        current: Callable[[], Membership],
        heard: Callable[[], float],
        clock: Clock,
        session: float,
        *,
        fenced: bool,
    ) -> None:
        self._current = current
        self._heard = heard
        self._clock = clock
        self._session = session
        self._fenced = fenced
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
        silence = self._clock() - self._heard()
        if not self._fenced and silence > self._session:
            raise FencedError(self._unanswered(silence))
        return joined

    async def confirmed(self) -> None:
        """Wait until the group confirms that this worker is still who it was.

        Raises:
            FencedError: If the group has moved on, or does not answer.
        """
        asked = self._clock()
        while self._heard() <= asked:
            self.membership()
            silence = self._clock() - asked
            if silence > self._session:
                raise FencedError(self._unanswered(silence))
            await asyncio.sleep(_POLL_SECONDS)
        self.membership()

    def _unanswered(self, silence: float) -> str:
        return (
            f"the group has not answered for {silence:.1f} s, longer than the session timeout of "
            f"{self._session:g} s: another worker may own the partitions"
        )
