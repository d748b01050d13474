"""Check that this worker is still the group member that owns its partitions."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .ports import Clock, FencedError, Membership

_POLL_SECONDS = 0.1


class Member(Protocol):
    """Group's client, as far as a membership is concerned."""

    @property
    def last_heartbeat(self) -> float:
        """Time at which the group last confirmed this worker, on the clock."""

    def membership(self) -> Membership:
        """Return the membership that the client has now."""


class GroupMembership:
    """Membership of the last assignment, while it holds.

    Args:
        member: Group's client.
        clock: Monotonic clock, which must go on while the process is suspended.
        session_timeout: Seconds without confirmation after which the group takes a worker for dead.
        fenced: Whether the broker itself refuses the writes of such a worker.
    """

    def __init__(
        self, member: Member, clock: Clock, session_timeout: float, *, fenced: bool
    ) -> None:
        self._member = member
        self._clock = clock
        self._session_timeout = session_timeout
        self._fenced = fenced
        self._joined: Membership | None = None

    def on_joined(self) -> None:
        """Keep the membership of an assignment that has come."""
        self._joined = self._member.membership()

    def membership(self) -> Membership:
        """Return the membership to commit as.

        Raises:
            FencedError: If the group has moved on, or may have.
        """
        joined = self._joined
        if joined is None:
            raise FencedError("this worker has no assignment")
        current = self._member.membership()
        if current != joined:
            raise FencedError(
                f"the group has moved on: generation {joined.generation} was missed "
                f"(now {current.generation})"
            )
        silence = self._clock() - self._member.last_heartbeat
        if not self._fenced and silence > self._session_timeout:
            raise FencedError(self._unanswered(silence))
        return joined

    async def confirmed(self) -> None:
        """Wait until the group confirms the membership.

        Raises:
            FencedError: If the group has moved on, or does not answer.
        """
        started = self._clock()
        while self._member.last_heartbeat <= started:
            self.membership()
            silence = self._clock() - started
            if silence > self._session_timeout:
                raise FencedError(self._unanswered(silence))
            await asyncio.sleep(_POLL_SECONDS)
        self.membership()

    def _unanswered(self, silence: float) -> str:
        return (
            f"the group has not answered for {silence:.1f} s, longer than the session timeout of "
            f"{self._session_timeout:g} s: another worker may own the partitions"
        )
