"""Records of a topic, decoded to the samples that the stream makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stream.codecs import Codec, RekeyedCodec, make_codec
from stream.records import Decoded, Reason, Rejected
from stream.settings import InputSection

from .log_record import LogRecord
from .record_columns import picked


class StreamDecoder:
    """Decoder of records into the samples that the stream makes of them.

    Args:
        section: Section `input`, or the form of re-keyed records.
        channels: The channels.
        is_rekeyed: Whether the records were re-keyed already.
    """

    def __init__(
        self, section: InputSection, channels: tuple[str, ...], *, is_rekeyed: bool
    ) -> None:
        self.rekeys = section.rekey and not is_rekeyed
        self._is_rekeyed = is_rekeyed
        self._future_us = round(section.future_seconds * 1e6)
        self._rekeyed = RekeyedCodec(channels, section.max_key_bytes)
        self._codec: Codec = self._rekeyed
        if not is_rekeyed:
            self._codec = make_codec(section.codec, channels, **section.codec_options())
        self._written: dict[tuple[str, int, str], tuple[int, int]] = {}

    def decode(self, records: Sequence[LogRecord]) -> Decoded:
        """Decode records, in the order of the stream."""
        decoded = self._codec.decode(records)
        refused = decoded.rejected
        if self.rekeys:
            records, decoded = self._rekey(records, decoded)
        decoded = _refuse_future(decoded, records, self._future_us)
        if decoded.positions:
            decoded = self._once(records, decoded)
        return replace(decoded, rejected=[*refused, *decoded.rejected]) if self.rekeys else decoded

    def _rekey(
        self, records: Sequence[LogRecord], decoded: Decoded
    ) -> tuple[Sequence[LogRecord], Decoded]:
        """Write the samples as re-keying does, and read them as the stream does."""
        written = self._rekeyed.encode(decoded)
        copies = [
            replace(records[message], key=key, value=value, headers=())
            for message, key, value in zip(written.message, written.key, written.value, strict=True)
        ]
        return copies, self._rekeyed.decode(copies)

    def _once(self, records: Sequence[LogRecord], decoded: Decoded) -> Decoded:
        """Leave out records that re-keying has written twice."""
        repeated = set()
        for index, position in sorted((decoded.positions or {}).items()):
            source = records[index].topic, records[index].partition, position.sequence
            offset = position.offset, position.number
            if offset <= self._written.get(source, (-1, -1)):
                repeated.add(index)
            else:
                self._written[source] = offset
        return picked(decoded, ~np.isin(decoded.message, list(repeated))) if repeated else decoded


def _refuse_future(decoded: Decoded, records: Sequence[LogRecord], future_us: int) -> Decoded:
    """Refuse the records that the stream refuses for their event time, by Kafka's timestamp.

    Args:
        decoded: Samples of the records.
        records: The records.
        future_us: Longest time by which an event time may lie after Kafka's timestamp.
    """
    # The fields of the engine's own rule: stream/engine/admission.py.
    stamps = np.fromiter((record.timestamp for record in records), np.int64, len(records))
    bound_us = np.where(stamps > 0, np.minimum(stamps, 2**52) * 1000 + future_us, 2**62)
    early = np.unique(decoded.message[decoded.time_us > bound_us[decoded.message]])
    if not len(early):
        return decoded
    detail = "The event time lies too far after Kafka's timestamp (input.future_seconds)."
    refused = [Rejected(message, Reason.FUTURE, detail) for message in early.tolist()]
    later_rows = picked(decoded, ~np.isin(decoded.message, early))
    return replace(later_rows, rejected=sorted([*decoded.rejected, *refused]))
