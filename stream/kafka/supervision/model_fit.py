"""Check that the model fits the records of the topics, before the first one is consumed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import numpy as np

from stream.codecs import Codec
from stream.kafka.client.newest import newest
from stream.kafka.context import Context
from stream.records import Message, Reason

NEWEST = 500
"""Records that are checked."""
_AGAIN_SECONDS = 10.0

log = logging.getLogger(__name__)


async def wait_for_fit(
    context: Context, current: Callable[[], tuple[Codec, Sequence[str]]]
) -> None:
    """Wait while a topic's newest records hold none of the model's channels.

    Nothing is consumed meanwhile: with the right model the same records can still be scored.

    Args:
        context: Surroundings of the worker.
        current: Function that returns the codec from bytes to columns, and the model's channels.
    """
    while True:
        codec, channels = current()  # a model that fits may have come meanwhile
        for topic in context.config.rekeyed or context.config.topics:
            records = await newest(context.config.client_settings(), topic, NEWEST)
            # In a thread: the codec may have to ask for schemas.
            sentence = await asyncio.to_thread(misfit, topic, records, codec, channels)
            if sentence:
                break
        else:
            return
        context.lifecycle.refuse_model(sentence)
        log.error("%s", sentence)
        await asyncio.sleep(_AGAIN_SECONDS)


def misfit(
    topic: str, records: Sequence[Message], codec: Codec, channels: Sequence[str]
) -> str | None:
    """Return a sentence where records are there and none has any of the model's channels.

    Args:
        topic: Name of the topic.
        records: Newest records of the topic.
        codec: Codec from bytes to columns.
        channels: Channels of the model.
    """
    if not records:
        return None
    decoded = codec.decode(records)
    fitting = len(decoded) and not bool(np.isnan(decoded.values).all())
    undecodable = [r for r in decoded.rejected if r.reason is not Reason.NO_CHANNELS]
    if fitting or len(undecodable) == len(records):
        return None  # undecodable records are a matter for the dead letters
    names = ", ".join(channels[:5]) + (", ..." if len(channels) > 5 else "")
    return (
        f"The model does not fit topic {topic!r}: none of its newest {len(records)} records has "
        f"any of the model's channels. Expected some of: {names}. Use a model trained on this "
        "telemetry, or map the channels under `[input] fields`."
    )
