"""Avro in Confluent's wire format: a zero byte, the schema's id, the record."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from stream.errors import UserError
from stream.records import Reason

from ._base import Limits, Sample, SampleCodec, json_refusal, number
from ._key import KeyExpression, Path, walk
from ._refused import Refused
from ._time import TimeUnit, one_to_micros

_HEADER_BYTES = 5
_MAX_UNKNOWN = 10_000
_ASK_AGAIN_AFTER = 1_000  # messages of an unknown id, so that garbage cannot flood the registry


class AvroCodec(SampleCodec):
    """Records shaped like the JSON codec's, nested or flat.

    Args:
        channels: `C` channel names, in the model's order.
        key: Stream key where the Kafka key is null.
        limits: Sizes.
        fetch: Schema of an id, None when there is none; may raise `RegistryUnavailable`.
        time: Path of the time.
        time_unit: Its unit; Avro's own timestamps need none.
        values: Name of the record that holds the channels.
        fields: Name of a channel's field where it differs.

    Raises:
        UserError: If the package fastavro is missing.
    """

    def __init__(
        self,
        channels: Sequence[str],
        key: KeyExpression,
        limits: Limits,
        *,
        fetch: Callable[[int], Any],
        time: Path = ("ts",),
        time_unit: TimeUnit = "auto",
        values: str = "values",
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(channels, key, limits)
        try:
            self._avro = importlib.import_module("fastavro")
        except ImportError:
            raise UserError(
                'The avro codec needs fastavro. Install it with: pip install "ember-stream[avro]".',
                exit_code=2,
            ) from None
        self._fields = [(fields or {}).get(channel, channel) for channel in channels]
        self._fetch = fetch
        self._schemas: dict[int, Any] = {}
        self._unknown: dict[int, int] = {}
        self._time = time
        self._time_unit: TimeUnit = time_unit
        self._values = values

    def _samples(self, value: bytes) -> list[Sample]:
        if len(value) < _HEADER_BYTES or value[0] != 0:
            raise Refused(
                Reason.NOT_JSON,
                "The value is not in Confluent's wire format. Expected a zero byte and the id of "
                "a schema.",
            )
        schema = self._schema(int.from_bytes(value[1:_HEADER_BYTES], "big"))
        body = io.BytesIO(value)
        body.seek(_HEADER_BYTES)
        try:
            record = self._avro.schemaless_reader(body, schema)
        except RecursionError as error:
            raise json_refusal(error, value) from None
        except Exception as error:  # noqa: BLE001  # fastavro raises whatever bad bytes lead it to
            # Without fastavro's own words: some of them hold addresses, and details must not vary.
            detail = f"The value does not fit its schema ({type(error).__name__})."
            raise Refused(Reason.NOT_JSON, detail) from None
        if body.tell() != len(value):
            raise Refused(Reason.NOT_JSON, "Bytes are left over after the record.")
        if not isinstance(record, dict):
            raise Refused(Reason.WRONG_TYPE, f"Expected a record, got `{type(record).__name__}`.")
        return [self._sample(record)]

    def _schema(self, schema_id: int) -> Any:
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        if self._unknown.get(schema_id, 0) > 0:
            self._unknown[schema_id] -= 1
        else:
            raw = self._fetch(schema_id)
            try:
                if raw is not None:
                    return self._schemas.setdefault(schema_id, self._avro.parse_schema(raw))
            except Exception:  # noqa: BLE001, S110  # no schema of fastavro's: like none at all
                pass
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.pop(next(iter(self._unknown)))
            self._unknown[schema_id] = _ASK_AGAIN_AFTER
        raise Refused(Reason.NOT_JSON, f"The schema registry has no Avro schema {schema_id}.")

    def _sample(self, record: dict[str, Any]) -> Sample:
        nested = record.get(self._values)
        where, holder = (f"$.{self._values}", nested) if isinstance(nested, dict) else ("$", record)
        cells = [
            (column, number(holder[name], f"{where}.{name}"))
            for column, name in enumerate(self._fields)
            if name in holder
        ]
        path = "$." + ".".join(self._time)
        time_us = one_to_micros(walk(record, self._time), self._time_unit, path)
        return Sample(time_us, cells, partial(walk, record))
