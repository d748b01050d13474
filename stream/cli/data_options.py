"""Options of the commands that read recorded telemetry; apart, because they import NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataError, Dataset, read
from ember_core.data.sources import DataOptions as DataOptions
from stream.message_files import MessageFrames, table_options
from stream.types import CodecName

DataFiles = Annotated[list[str], Parameter(required=True)]
DataArgs = Annotated[DataOptions, Parameter(name="*")]


def read_data(
    data: Sequence[str],
    options: DataOptions,
    codec: CodecName | None,
    channels: Sequence[str] = (),
) -> Dataset:
    """Read DATA; with a codec, as files of messages.

    Args:
        data: Files, directories or queries.
        options: Columns and rows of the files.
        codec: Format of the messages; None for tables and JSON.
        channels: Channels of the messages where the options name none; empty: all they have.

    Raises:
        DataError: If they cannot be read as asked.
    """
    if codec is None:
        return read(data, options)
    for path in data:
        if not Path(path).is_file():
            raise DataError(
                "With --codec the data are files of messages. Expected a file with a message per "
                f"line, such as the output of kcat -J. Received: {path}."
            )
    named = replace(options, channels=options.channels or tuple(channels))
    frames = [MessageFrames(Path(path), codec, named) for path in data]
    return read(frames, table_options(options))
