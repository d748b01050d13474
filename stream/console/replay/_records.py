"""Records of the input topics as data, for some keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from ember_core.data.sources import DataOptions, Dataset, read
from stream.errors import UserError
from stream.keys import key_text
from stream.settings import Settings
from stream.tools.record_schemes import record_schemes
from stream.tools.record_source import Progress, RecordReading
from stream.tools.topic_records import Period

OnStep = Callable[[str, float], None]
_EVERY_SECONDS: Final = 0.5


def read_records(
    settings: Settings,
    channels: tuple[str, ...],
    keys: Collection[bytes],
    since_ms: int | None,
    on_step: OnStep,
) -> Dataset:
    """Read the records of the input topics, as `ember backtest kafka:TOPIC` reads them.

    Args:
        settings: Settings of the service.
        channels: Channels of the model.
        keys: Stream keys to keep; empty: all.
        since_ms: Kafka timestamp of the first record; None: all that Kafka keeps.
        on_step: Function told of the progress.

    Raises:
        UserError: If there are no records of these keys.
    """
    told_at = 0.0

    def progress(done: Progress) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _EVERY_SECONDS:
            told_at = time.monotonic()
            half = 0.5 if done.stage == "decoded" else 0.0
            on_step("reading", half + 0.5 * done.records / max(done.total, done.records, 1))

    reading = RecordReading(Period(since_ms), channels, progress=progress)
    options = DataOptions()
    schemes = record_schemes(lambda: settings, reading, options)
    dataset = read([f"kafka:{','.join(settings.engine_topics)}"], options, schemes=schemes)
    if not keys:
        return dataset
    chosen_keys = set(keys)
    tables = tuple(table for table in dataset.tables if table.key in chosen_keys)
    if not tables:
        names = ", ".join(key_text(key) for key in sorted(chosen_keys)[:5])
        raise UserError(
            "The input topic has no records of these keys in this time. Expected keys that have "
            f"sent. Received: {names}. Ask for more hours."
        )
    return replace(dataset, tables=tables)
