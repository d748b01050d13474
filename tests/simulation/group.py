"""A model of the group's coordinator: members, generations, eager rebalances, sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from stream.kafka.protocol.ports import Membership
from stream.types import TP

from .broker import Broker
from .machine import Machine

REBALANCE_SECONDS = 6.0


class Assignment(NamedTuple):
    """What a member is given."""

    generation: int
    member: str
    active: list[TP]
    standby: list[TP]


class _Member:
    def __init__(self) -> None:
        self.seen = 0.0
        self.join: Callable[..., None] | None = None
        self.owned: set[TP] = set()


class Coordinator:
    """One group.

    Args:
        machine: Time and chance.
        broker: Holds the offsets.
        topics: Input topics.
        session_seconds: Silence after which a member is gone.
        standbys: Give every other partition as standby.
    """

    def __init__(
        self,
        machine: Machine,
        broker: Broker,
        topics: list[str],
        session_seconds: float,
        standbys: bool,
    ) -> None:
        self._machine = machine
        self._broker = broker
        self._tps = [(t, p) for t in topics for p in range(broker.partitions)]
        self._session = session_seconds
        self._standbys = standbys
        self._members: dict[str, _Member] = {}
        self._generation = 0
        self._preparing = False
        self._round = 0
        self._names = 0
        broker.accepts = self.accepts

    def accepts(self, who: Membership) -> bool:
        """Whether this member may commit now."""
        return who.generation == self._generation and who.member_id in self._members

    def join(self, member: str, answer: Callable[..., None]) -> None:
        """JoinGroup and SyncGroup: answered when the generation is complete."""
        if member and member not in self._members:
            answer(error=KeyError("unknown member"))
            return
        if not member:
            self._names += 1
            member = f"member-{self._names}"
            self._members[member] = _Member()
            self._watch(member, self._members[member])
        me = self._members[member]
        me.join, me.seen = answer, self._machine.now
        self._prepare()
        self._complete_if_all()

    def heartbeat(self, member: str, generation: int, answer: Callable[..., None]) -> None:
        """Answered `ok`, `rebalance` or `unknown`."""
        me = self._members.get(member)
        if me is None:
            answer("unknown")
            return
        me.seen = self._machine.now
        if self._preparing:
            answer("rebalance")
        else:
            answer("ok" if generation == self._generation else "unknown")

    def leave(self, member: str, answer: Callable[..., None]) -> None:
        """LeaveGroup."""
        self._remove(member)
        answer()

    def commit(
        self, offsets: Mapping[TP, int], who: Membership, answer: Callable[..., None]
    ) -> None:
        """OffsetCommit; refused from anybody but a member of this generation."""
        if not self.accepts(who):
            answer("refused")
            return
        self._broker.offsets.update({tp: (offset, "") for tp, offset in offsets.items()})
        answer("ok")

    def _watch(self, name: str, member: _Member) -> None:
        def look() -> None:
            if self._members.get(name) is not member:
                return
            left = member.seen + self._session - self._machine.now
            if member.join is not None:
                left = self._session  # who waits for the others is not lost
            if left <= 0:
                self._remove(name)
            else:
                self._machine.after(left, look)

        self._machine.after(self._session, look)

    def _remove(self, name: str) -> None:
        if self._members.pop(name, None) is not None:
            self._prepare()
            self._complete_if_all()

    def _prepare(self) -> None:
        if self._preparing:
            return
        self._preparing = True
        self._round += 1
        this = self._round
        self._machine.after(REBALANCE_SECONDS, lambda: self._expire(this))

    def _expire(self, this: int) -> None:
        if self._preparing and this == self._round:
            for name in [n for n, m in self._members.items() if m.join is None]:
                del self._members[name]
            self._complete_if_all()

    def _complete_if_all(self) -> None:
        members = self._members
        if not members:
            self._preparing = False
            return
        if any(member.join is None for member in members.values()):
            return
        self._preparing = False
        self._generation += 1
        names = sorted(members)
        given: dict[str, list[TP]] = {name: [] for name in names}
        share = -(-len(self._tps) // len(names))
        left = []
        for tp in self._tps:
            keeper = next((n for n in names if tp in members[n].owned), "")
            if keeper and len(given[keeper]) < share and self._machine.rng.random() < 0.8:
                given[keeper].append(tp)
            else:
                left.append(tp)
        for tp in left:
            given[min(names, key=lambda n: len(given[n]))].append(tp)
        for name in names:
            member = members[name]
            answer, member.join = member.join, None
            member.owned = set(given[name])
            member.seen = self._machine.now
            others = [tp for tp in self._tps if tp not in member.owned]
            assert answer is not None
            standby = others if self._standbys else []
            answer(Assignment(self._generation, name, given[name], standby))
