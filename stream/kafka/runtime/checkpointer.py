"""Checkpoints at the interval, and early where there is much to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream.kafka.client.errors import is_too_large
from stream.kafka.context import Context
from stream.kafka.protocol.checkpoint import Checkpoint, CheckpointError
from stream.kafka.protocol.ports import FencedError

_MESSAGE_BYTES = 1_048_588
"""Kafka's default; batches of rows are smaller."""


class Checkpointer:
    """Makes checkpoints, or ends the process where one fails.

    Args:
        context: Surroundings of the worker.
        checkpoint: Checkpoints of this worker.
        wake: Event that asks for an early checkpoint.
    """

    def __init__(self, context: Context, checkpoint: Checkpoint, wake: asyncio.Event) -> None:
        self._context = context
        self._checkpoint = checkpoint
        self._wake = wake

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Make checkpoints until `stopped`.

        Args:
            stopped: Function that says whether the worker stops.
        """
        while not stopped():
            try:
                await asyncio.wait_for(self._wake.wait(), self._context.config.interval_seconds)
                reason = "full"
            except TimeoutError:
                reason = "interval"
            # Cleared before the checkpoint: a wish that comes during it is for the next one.
            self._wake.clear()
            await self.run(reason)

    async def run(self, reason: str) -> None:
        """Make a checkpoint, or end the process: memory is ahead of the log where it fails.

        Args:
            reason: Reason for logs and metrics.
        """
        try:
            await self._checkpoint.run(reason)
        except CheckpointError as error:
            cause = error.__cause__
            if isinstance(cause, FencedError):
                self._context.fail(f"This worker is fenced: {cause}.")
            if cause is not None and is_too_large(cause):
                self._context.fail(
                    f"The broker refused what a checkpoint ({reason}) wrote as too large. Expected "
                    f"max.message.bytes of at least {_MESSAGE_BYTES} on the changelogs "
                    f"({', '.join(self._context.config.sources)}) and the output topics. Raise it; "
                    "nothing is lost."
                )
            self._context.fail(f"{error}", cause)
