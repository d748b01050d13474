"""Interfaces that a test replaces: log, sinks, cluster admin, group, consumer, clock, schemas.

The protocol classes know nothing else of Kafka, so a simulation can drive the production code with
a model of broker, group and clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from stream.codecs import Codec
from stream.errors import UserError
from stream.records import Decoded, Message
from stream.types import TP

Headers = list[tuple[str, bytes]]


class RefusedError(UserError):
    """Contradiction between state and log, for which the start is refused. One sentence."""


class FencedError(Exception):
    """Loss of the ownership of what this process would write. It must end at once."""


class Outgoing(NamedTuple):
    """Message for an output topic; `partition` None leaves it to the partitioner."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None = None
    partition: int | None = None


LogEntry = tuple[int, bytes, bytes, Headers]
"""Kafka timestamp in milliseconds, key, value and headers of a record of a partition."""


class Membership(NamedTuple):
    """Identity of this worker in its consumer group, as of its last assignment."""

    generation: int
    member_id: str
    instance_id: str | None = None


class LogStatus(NamedTuple):
    """Ends of a partition's log, and the group's offset in it (-1 none) with its metadata."""

    start: int
    end: int
    committed: int
    writer: str


class TopicStatus(NamedTuple):
    """Topic as the broker describes it; `topic_id` is empty where it has none."""

    partitions: int
    topic_id: str


@runtime_checkable
class LookupCodec(Codec, Protocol):
    """Codec whose records name schemas that have to be looked up in a registry."""

    def lacks(self, messages: Iterable[Message]) -> Sequence[int]:
        """Return the ids to look up before these messages are decoded."""

    def look_up(self, ids: Iterable[int]) -> None:
        """Ask the registry; blocks for seconds."""

    def ready(self, messages: Sequence[Message]) -> int:
        """Count the messages, from the first on, that wait for no answer."""

    def decode_known(self, messages: Sequence[Message]) -> Decoded:
        """Decode without asking."""

    def retry(self) -> str:
        """Ask again for missing answers; blocks. Returns the reason of a failure, else empty."""


class EventSink(Protocol):
    """Destination of messages that do not wait for a checkpoint."""

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        """Hand a message over; the result completes when the broker has acknowledged it."""


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
            tp: Input partition.
            keys: Stream keys, and the key of the meta row.
            rows: Rows; None is a tombstone.
            last_headers: Headers of the last row.
            gone_headers: Headers of each tombstone.

        Returns:
            Changelog offset of the last row; -1 when the broker did not say.
        """

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit input offsets as this member, and the transaction."""

    async def abort(self) -> None:
        """Give the transaction up; best effort, never raises."""


class ClusterAdmin(Protocol):
    """Questions to the cluster between an assignment and the first record."""

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        """Describe those of `topics` that exist."""

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        """Return the seconds for which tombstones stay; topics without an answer are absent."""

    async def delete_records(self, offsets: Mapping[TP, int]) -> None:
        """Delete the records below an offset of each partition."""

    async def fence_producer(self, transactional_id: str) -> None:
        """End the open transaction of a former worker, and fence the worker if it still lives."""


class Group(Protocol):
    """Consumer group, as a checkpoint sees it."""

    def membership(self) -> Membership:
        """Return the membership of the last assignment.

        Raises:
            FencedError: If the group has, or must be assumed to have, moved on without this worker.
        """


class GroupClient(Protocol):
    """Member of the consumer group, and its questions to the brokers."""

    last_heartbeat: float

    def note_heartbeat(self) -> None:
        """Note that the group has confirmed this worker just now."""

    def membership(self) -> Membership:
        """Return the membership that the group's client has now."""

    def fetch_position(self, tp: TP) -> int | None:
        """Return the next offset to hand out; None where it is not known."""

    def highwater(self, tp: TP) -> int | None:
        """Return the end of the log as of the last fetch; None where it is not known."""

    async def log_status(self, tps: Iterable[TP]) -> Mapping[TP, LogStatus]:
        """Ask for log ends (committed reads) and the group's offsets."""

    async def log_bounds(self, tps: Iterable[TP]) -> Mapping[TP, tuple[int, int]]:
        """Ask for log starts and ends (committed reads)."""

    async def uncommitted_ends(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Ask for log ends that include open transactions."""

    async def offsets_for_time(self, tps: Iterable[TP], timestamp_ms: int) -> Mapping[TP, int]:
        """Ask for the first offsets that are not older by Kafka's timestamp."""

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit input offsets as a member of the group.

        Raises:
            FencedError: If the group has moved on.
        """

    async def ping(self) -> None:
        """Return once the client's own event loop has turned."""


class FetchControl(Protocol):
    """Control of the fetches of one worker."""

    @property
    def generation(self) -> int:
        """Number of the assignments so far."""

    @property
    def is_open(self) -> bool:
        """True where fetches may be processed now."""

    async def wait_for_fetch(self) -> None:
        """Wait until no fetch is on its way: only then may positions be set."""

    async def seek(self, positions: Mapping[TP, int]) -> None:
        """Set the next offsets to fetch."""

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no more."""

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions again."""


class Recovery(Protocol):
    """Progress of a recovery by changelog partition, kept by Faust and filled in here."""

    in_recovery: bool

    @property
    def active_offsets(self) -> MutableMapping[Any, Any]:
        """Offsets reached by the active partitions."""

    @property
    def standby_offsets(self) -> MutableMapping[Any, Any]:
        """Offsets reached by the standby partitions."""

    @property
    def active_tps(self) -> Collection[TP]:
        """Changelog partitions whose input partitions this worker processes."""

    @property
    def standby_tps(self) -> Collection[TP]:
        """Changelog partitions that this worker only keeps a copy of."""

    @property
    def active_highwaters(self) -> Mapping[Any, int]:
        """Last offsets that the active partitions have to reach."""

    @property
    def signal_recovery_end(self) -> Any:
        """Event that ends the recovery."""

    def need_recovery(self) -> bool:
        """Return whether an active partition has not reached its last offset."""


class Clock(Protocol):
    """Monotonic clock, in seconds."""

    def __call__(self) -> float:
        """Return the time now."""
