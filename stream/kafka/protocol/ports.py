"""What the edge's protocol classes need from outside: engine, codec, broker, group, clock.

The checkpoint and everything around it know only these, so that a simulation can put a model of
broker, group and clock in the place of the real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from stream.engine import Fetch, RowBlock, SnapshotScan, Tombstone
from stream.errors import UserError
from stream.records import Decoded, Event, Message, Reason, Rejected

TP = tuple[str, int]
"""Topic and partition; Faust's `TP` and aiokafka's `TopicPartition` compare equal to it."""

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


class MetaRow(Protocol):
    """The engine's row about a whole input partition."""

    topic_id: str
    changelog_id: str
    partition_count: int

    @property
    def events_from(self) -> int:
        """Offset from which on records may give events."""

    @property
    def absorbed(self) -> int:
        """Highest absorbed source offset; -1 none."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of every message."""


class DirtyRows(Protocol):
    """Copies of changed rows; the last one is the meta row."""

    @property
    def keys(self) -> list[bytes]:
        """Changelog keys."""

    @property
    def rows(self) -> Sequence[bytes | None]:
        """Changelog values; None is a tombstone."""


class LoadReport(Protocol):
    """What became of changelog rows offered to the engine."""

    @property
    def accepted(self) -> int:
        """Rows taken."""

    @property
    def stale(self) -> int:
        """Rows older than what was there."""

    @property
    def damaged(self) -> Sequence[tuple[bytes, str]]:
        """Rows that could not be read: key and why."""


class StepResult(Protocol):
    """What one step of the engine gave."""

    @property
    def events(self) -> list[Event]:
        """In arrival order."""

    @property
    def sources(self) -> Sequence[int]:
        """The message that brought each event about, by index in the slice."""

    @property
    def rejected(self) -> list[Rejected]:
        """Messages refused by codec or engine."""

    @property
    def late(self) -> Sequence[int]:
        """Messages with a late sample, by index in the slice."""


class Engine(Protocol):
    """The pure engine: `stream.engine.Engine`."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The model's channels, in the order of `Decoded.values`."""

    def attach(self, tp: TP) -> None:
        """Begin to own a partition; no-op when attached."""

    def detach(self, tp: TP) -> None:
        """Free a partition's slots."""

    def open(self, tp: TP, position: int, events_from: int) -> bool:
        """Say where absorbing goes on; whether the meta row must be written first."""

    def schedule_switch(self, tp: TP, offset: int, model: Any) -> None:
        """Note in the meta row that from an offset on a model judges."""

    def switch_model(self, model: Any, written_by_us: Collection[TP] = ()) -> None:
        """Let it judge from the next record on."""

    def step_all(
        self, shares: Sequence[tuple[TP, int]], batch: Decoded, fetch: Fetch
    ) -> StepResult:
        """Absorb a slice whole: so many messages of each of these partitions of one topic."""

    def take_dirty(self, tp: TP, limit: int | None = None) -> DirtyRows:
        """Copy the dirty rows and mark them clean."""

    def load(self, tp: TP, keys: list[bytes], values: list[bytes | Tombstone | None]) -> LoadReport:
        """Merge changelog rows."""

    def newer(self, tp: TP) -> int:
        """Layout version of loaded rows that this engine does not read; 0: there are none."""

    def migrate(self, tp: TP, limit: int | None = None) -> LoadReport:
        """After all rows are loaded: take over some of another layout or model."""

    def unmigrated(self, tp: TP) -> int:
        """Rows that wait for `migrate`; at most so many."""

    def meta(self, tp: TP) -> MetaRow:
        """The partition's meta row."""

    def keys(self, tp: TP) -> int:
        """Number of keys held."""

    def attached(self) -> Sequence[TP]:
        """Partitions owned."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""

    def row_kind(self) -> tuple[str, list[tuple[str, str, tuple[int, ...]]]]:
        """Digest of the model of the rows, and their fields."""

    def walk(self, tp: TP) -> SnapshotScan:
        """Begin to copy the rows of a partition."""

    def load_block(self, tp: TP, block: RowBlock) -> LoadReport:
        """Merge rows of such a copy."""

    def unwritten_bytes(self) -> int:
        """Bytes of rows that the next checkpoint has to write."""

    def room(self) -> int:
        """New keys that find room now; a checkpoint makes more."""


class Codec(Protocol):
    """Bytes to columns: `stream.codecs`."""

    def decode(self, messages: Sequence[Message]) -> Decoded:
        """Decode the messages of one slice."""


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


class Observer(Protocol):
    """What the outside may want to know; `app.py` joins it to metrics and health."""

    def stepped(
        self, tps: Sequence[TP], decoded: Decoded, result: Any, messages: int, seconds: float
    ) -> None:
        """One slice was processed, of partitions of one topic."""

    def timed(self, stage: str, seconds: float) -> None:
        """A stage within a slice (decode, engine) took so long."""

    def fetched(self, tp: TP, next_offset: int, highwater: int | None) -> None:
        """The position in an input partition, and the end of its log."""

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        """A checkpoint is done: its whole duration, and how long it held the stream up."""

    def dead_letters(self, outcome: str, reason: Reason | None, count: int) -> None:
        """`outcome`: written, cut, coordinates, dropped or failed."""

    def loaded(self, tp: TP, accepted: int, stale: int, damaged: int) -> None:
        """Changelog rows were merged."""

    def phase(self, phase: str, detail: str) -> None:
        """What the worker is doing: waiting, joining, recovering, running, stopping, failed."""

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """The partitions owned after a rebalance."""


class Silent:
    """An observer that ignores everything; a base for those that care about little."""

    def stepped(
        self, tps: Sequence[TP], decoded: Decoded, result: Any, messages: int, seconds: float
    ) -> None:
        """Ignore."""

    def timed(self, stage: str, seconds: float) -> None:
        """Ignore."""

    def fetched(self, tp: TP, next_offset: int, highwater: int | None) -> None:
        """Ignore."""

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        """Ignore."""

    def dead_letters(self, outcome: str, reason: Reason | None, count: int) -> None:
        """Ignore."""

    def loaded(self, tp: TP, accepted: int, stale: int, damaged: int) -> None:
        """Ignore."""

    def phase(self, phase: str, detail: str) -> None:
        """Ignore."""

    def assigned(self, active: Sequence[TP], standby: Sequence[TP]) -> None:
        """Ignore."""
