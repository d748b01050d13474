"""Re-keying of one worker: its consumer, its producers and the re-keyer between them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

from stream.codecs import Codec, RekeyedCodec
from stream.kafka.client.producer_set import ProducerSet
from stream.kafka.client.source_consumer import SourceConsumer
from stream.kafka.context import Context
from stream.kafka.runtime.dead_letters import DeadLetters
from stream.rekeying import rekey_group

from .rekeyer import Rekeyer

_TRANSACTION_SECONDS = 10.0
"""Short, since what a dead re-keyer has left open holds up all readers of its partitions."""


class RekeyService:
    """Re-keyer of one worker, from its connection to its end.

    Args:
        context: Surroundings of the worker.
        codec: Codec of the input topics.
        channels: Channels of the model.
        partitions: Partitions of the repartition topic.
        transactions: Whether the broker fences transactions.
    """

    def __init__(
        self,
        context: Context,
        codec: Codec,
        channels: Sequence[str],
        *,
        partitions: int,
        transactions: bool,
    ) -> None:
        config = context.config
        group, transactional_id = rekey_group(config.group), ""
        if transactions:
            # Unique per life, unless the member is static: then it fences off its own former life.
            transactional_id = f"{group}-{config.instance_id or uuid.uuid4().hex}"
        self._producers = ProducerSet(
            config.client_settings(),
            transactional_id,
            early_events=False,
            dead_letters=config.dead_letters,
            transaction_seconds=_TRANSACTION_SECONDS,
        )
        self._sources = SourceConsumer(
            {**config.consumer_settings(), "group_id": group}, config.rekeyed
        )
        self._context = replace(context, transactional_id=transactional_id)
        self._partitions = partitions
        self._codecs = codec, RekeyedCodec(channels, config.max_key_bytes)
        self._rekeyer: Rekeyer | None = None

    async def connect(self) -> None:
        """Connect the producers."""
        await self._producers.start()

    def start(self) -> None:
        """Begin to re-key; failures end the process."""
        group = rekey_group(self._context.config.group)
        dead_letters = self._producers.dead_letters
        self._rekeyer = Rekeyer(
            self._context,
            *self._codecs,
            self._sources,
            self._producers.rekeyed_log(group, self._sources.commit),
            partitions=self._partitions,
            dead_letters=None if dead_letters is None else DeadLetters(self._context, dead_letters),
            transactional=bool(self._context.transactional_id),
        )
        self._rekeyer.start()

    def switch_codec(self, codec: Codec, channels: Sequence[str]) -> None:
        """Re-key for the channels of another model from the next fetch on."""
        self._codecs = codec, RekeyedCodec(channels, self._context.config.max_key_bytes)
        if self._rekeyer is not None:
            self._rekeyer.switch_codec(*self._codecs)

    async def is_up_to_date(self) -> bool:
        """Return whether the group has re-keyed everything, on all workers; False if unknown."""
        return self._rekeyer is not None and await self._rekeyer.is_up_to_date()

    async def stop(self, seconds: float) -> None:
        """Finish the transaction in hand, leave the group and close the producers.

        Args:
            seconds: Most time for each of them.

        Raises:
            TimeoutError: If it took longer.
        """
        if self._rekeyer is not None:
            await asyncio.wait_for(self._rekeyer.stop(), seconds)
        await self._producers.stop(seconds)
