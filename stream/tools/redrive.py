"""Dead letters on their way back: to the topic they came from, or to another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from stream.errors import UserError
from stream.settings import KafkaSection

from . import clients
from .dead_letters import REPLAYS_HEADER, Choice, DeadLetter, DeadLetterLog

_BATCH: Final = 1_000
_FLUSH_SECONDS: Final = 60.0
_PARTITIONERS: Final = {"murmur2": "murmur2_random", "crc32": "consistent_random"}
"""librdkafka's names; of those that leave records without a key to chance."""


@dataclass
class Outcome:
    """What a replay did: letters sent by reason, refused by why, and older ones left behind."""

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_behind: int = 0


@dataclass(frozen=True)
class Target:
    """Where letters go.

    Attributes:
        partitions: Topics they may go to, with the number of partitions.
        topic: The topic; empty: where each came from.
        partitioner: Chooses the partition by the key; empty: the one each came from.
        max_replays: A letter that has been sent so often stays.
    """

    partitions: Mapping[str, int]
    topic: str = ""
    partitioner: str = ""
    max_replays: int = 3

    def refuses(self, letter: DeadLetter) -> str:
        """Why a letter cannot go; empty if it can."""
        if letter.lacks:
            return letter.lacks
        if letter.replays >= self.max_replays:
            return "replayed_too_often"
        count = self.partitions.get(self.topic or letter.topic)
        if count is None:
            return "not_of_an_input"
        if not self.topic and not self.partitioner and not 0 <= letter.partition < count:
            return "no_such_partition"
        return ""


class Sender:
    """Sends letters, and says when all of them have arrived.

    Args:
        kafka: The cluster.
        target: Where they go.
    """

    def __init__(self, kafka: KafkaSection, target: Target) -> None:
        name = _PARTITIONERS[target.partitioner or "murmur2"]
        self._producer: Producer = clients.open_producer(kafka, partitioner=name)
        self._target = target
        self._failed = ""
        self.waiting = 0

    def put(self, letter: DeadLetter) -> None:
        """Send one, as it was, with one more replay on it."""
        by_key = bool(self._target.topic or self._target.partitioner)
        try:
            clients.put(
                self._producer,
                self._target.topic or letter.topic,
                value=letter.value,
                key=letter.key,
                partition=-1 if by_key else letter.partition,
                timestamp=letter.timestamp_ms,
                headers=[*letter.headers, (REPLAYS_HEADER, b"%d" % (letter.replays + 1))],
                on_delivery=self._delivered,
            )
        except KafkaException as error:
            self._failed = error.args[0].str()
        self.waiting += 1

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed = error.str()

    def settle(self) -> None:
        """Wait until all have arrived.

        Raises:
            UserError: If one did not.
        """
        left = self._producer.flush(_FLUSH_SECONDS)
        if left or self._failed:
            why = self._failed or f"{left} were not acknowledged"
            raise UserError(
                f"Dead letters were not delivered: {why}. Of the last {self.waiting:,} some may "
                "have been; the next replay begins with them."
            )
        self.waiting = 0


def replay(
    log: DeadLetterLog,
    sender: Sender | None,
    target: Target,
    choice: Choice,
    *,
    limit: int | None = None,
    again: bool = False,
) -> Outcome:
    """Send chosen letters once more; each is committed as done after it has arrived.

    Args:
        log: The letters.
        sender: Sends them; None: nobody does, and nothing is committed.
        target: Where they go.
        choice: Which.
        limit: Most letters to send.
        again: Those that are done too.
    """
    outcome = Outcome()
    for at, done in log.progress.items():
        end = begin = 0 if again else done.floor
        try:
            for message, letter in log.read(at, begin):
                offset = message.offset() or 0
                if choice.of_reason(letter) and (again or not done.done(letter.reason, offset)):
                    why = target.refuses(letter)
                    if letter.timestamp_ms < choice.since_ms:
                        outcome.left_behind += 1
                    elif why:
                        outcome.refused[why] += 1
                    elif limit is not None and outcome.sent.total() >= limit:
                        break
                    else:
                        outcome.sent[letter.reason] += 1
                        if sender is not None:
                            sender.put(letter)
                end = offset + 1
                if sender is not None and sender.waiting >= _BATCH:
                    _settle(log, sender, at, choice, end)
        finally:  # also where the rest could not be read: what was sent is done
            if sender is not None and end > begin:
                _settle(log, sender, at, choice, end)
    return outcome


def _settle(
    log: DeadLetterLog, sender: Sender, at: tuple[str, int], choice: Choice, end: int
) -> None:
    """First they arrive, then they are done: a death between the two sends some twice."""
    sender.settle()
    log.progress[at].move(choice.reasons, end)
    log.commit(at)
