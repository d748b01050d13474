"""What the edge's protocol classes need from outside: engine, codec, broker, group, clock.

The checkpoint and everything around it know only these, so that a simulation can put a model of
broker, group and clock in the place of the real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from stream.codecs import Codec
from stream.errors import UserError
from stream.records import Decoded, Message
from stream.types import TP

Headers = list[tuple[str, bytes]]


class RefusedError(UserError):
    """The state and the log contradict each other: the start is refused. One sentence."""


class FencedError(Exception):
    """This process is no longer the owner of what it would write. It must end at once."""


class Outgoing(NamedTuple):
    """A message for an output topic; `partition` None leaves it to the partitioner."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None = None
    partition: int | None = None


class Membership(NamedTuple):
    """Who this worker is in its consumer group, as of its last assignment."""

    generation: int
    member_id: str
    instance_id: str | None = None


@runtime_checkable
class LookingUp(Codec, Protocol):
    """A codec whose records name something that has to be asked for: schemas of a registry."""

    def lacks(self, messages: Iterable[Message]) -> Sequence[int]:
        """What should be looked up before these are decoded."""

    def look_up(self, ids: Iterable[int]) -> None:
        """Ask; blocks for seconds."""

    def ready(self, messages: Sequence[Message]) -> int:
        """How many, from the first on, do not wait for an answer."""

    def decode_known(self, messages: Sequence[Message]) -> Decoded:
        """Decode without asking."""

    def retry(self) -> str:
        """Ask again for what was not answered, blocking; why that failed, empty if it did not."""


class EventSink(Protocol):
    """Where messages go that do not wait for a checkpoint."""

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Hand a message over; what it returns completes when the broker has acknowledged it."""


class StateLog(Protocol):
    """Changelog and committed offsets. With transactions, all between `begin` and `commit` is one.

    Every method raises when it did not happen; a plain log's `begin` and `abort` do nothing.
    """

    async def begin(self) -> None:
        """Start a transaction."""

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Send an event within the transaction."""

    async def append(
        self,
        tp: TP,
        keys: Sequence[bytes],
        rows: Sequence[bytes | None],
        last_headers: Headers,
        gone_headers: Headers,
    ) -> int:
        """Write rows to the changelog of `tp`, wait for all acknowledgements.

        Args:
            tp: The input partition.
            keys: Stream keys, and the meta row's.
            rows: Rows; None is a tombstone.
            last_headers: Of the last of them.
            gone_headers: Of each tombstone.

        Returns:
            Changelog offset of the last row; -1 when the broker did not say.
        """

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit input offsets as this member, and the transaction."""

    async def abort(self) -> None:
        """Give the transaction up; best effort, never raises."""


class TopicStatus(NamedTuple):
    """A topic as the broker knows it; `topic_id` is empty where it has none."""

    partitions: int
    topic_id: str


class Administration(Protocol):
    """What is asked of the cluster between an assignment and the first record."""

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        """Describe those of `topics` that exist."""

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        """Seconds for which tombstones stay, by topic; absent where the broker does not say."""

    async def fence_producer(self, transactional_id: str) -> None:
        """End what a former worker left open, and fence it if it should still live."""


class Group(Protocol):
    """The consumer group, seen from a checkpoint."""

    def membership(self) -> Membership:
        """As of the last assignment.

        Raises:
            FencedError: If the group has, or must be assumed to have, moved on without this worker.
        """


class Clock(Protocol):
    """Seconds that never go back."""

    def __call__(self) -> float:
        """Now."""
