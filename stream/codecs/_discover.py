"""Channels in recorded messages, for a training that begins with the messages of a topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stream.errors import UserError
from stream.records import Message
from stream.types import CodecName

from ._channels import ChannelIndex
from ._make import make_codec
from ._refused import Refused
from ._samples import SampleCodec

_Labels = frozenset[tuple[str, str]]

_MOST_CHANNELS = 2_000


class _AllChannels(ChannelIndex):
    """Index that takes every measurement with its labels for a channel of its own."""

    def __init__(self) -> None:
        super().__init__(())
        self.columns: dict[tuple[str, _Labels], int] = {}

    def find(self, name: str, labels: Mapping[str, Any]) -> int:
        """Return the column of the measurement; a new one gets the next."""
        pairs = frozenset((str(label), str(value)) for label, value in labels.items())
        return self.columns.setdefault((name, pairs), len(self.columns))

    def knows(self, name: str) -> bool:
        """Tell that any measurement may be a channel."""
        return True


def find_channels(name: CodecName, messages: Iterable[Message], **options: Any) -> list[str]:
    """Return the names of the channels in messages, in the order of their first values.

    A channel is named like its measurement. Where one stream key has several series of a name, each
    is a channel: its labels that differ are the selector, as in `cpu.usage_idle{cpu="cpu0"}`.

    Args:
        name: Name of the codec.
        messages: The messages.
        options: Arguments of `make_codec`.

    Raises:
        UserError: If the format does not name its channels, or there are none or too many.
    """
    codec = make_codec(name, ["-"], **options)
    if not isinstance(codec, SampleCodec) or not codec.names_channels:
        raise UserError(
            f"The channels of {name} are not told by its messages. Expected their names. "
            f"Received: --codec {name} without --channels."
        )
    index = _AllChannels()
    codec.use_index(index)
    series: dict[str, dict[bytes, dict[_Labels, None]]] = {}
    known: list[tuple[str, _Labels]] = []
    reason = ""
    for message in messages:
        try:
            samples = codec.samples(message)
        except Refused as refused:
            reason = reason or refused.detail
            continue
        known += list(index.columns)[len(known) :]
        for sample in samples:
            try:
                key = codec.key_of(message, sample)
            except Refused as refused:
                reason = reason or refused.detail
                continue
            for column, value in sample.cells.good:
                if value == value:
                    channel, labels = known[column]
                    series.setdefault(channel, {}).setdefault(key, {})[labels] = None
    names: dict[str, None] = {}
    for channel, keys in series.items():
        differing = {label for sets in keys.values() for label in _differing(list(sets))}
        for sets in keys.values():
            for labels in sets:
                names[_selector(channel, differing, dict(labels))] = None
    if not names:
        raise UserError(
            f"No message has a number of a stream key. Expected messages of {name}. Received: "
            f"{reason or 'messages without a number.'}"
        )
    if len(names) > _MOST_CHANNELS:
        raise UserError(
            f"The messages have too many series. Expected at most {_MOST_CHANNELS:,} channels. "
            f"Received: {len(names):,}, such as {next(iter(names))}. Name some with --channels."
        )
    return list(names)


def _differing(sets: list[_Labels]) -> set[str]:
    """Return the labels whose values differ between the series of one key."""
    if len(sets) < 2:
        return set()
    common = frozenset.intersection(*sets)
    return {label for labels in sets for label, _ in labels - common}


def _selector(name: str, labels: Iterable[str], values: Mapping[str, str]) -> str:
    pairs = ", ".join(
        f'{label}="{_escaped(values[label])}"' for label in sorted(labels) if label in values
    )
    return f"{name}{{{pairs}}}" if pairs else name


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
