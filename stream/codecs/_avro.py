"""Avro in Confluent's wire format."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

from ember_core.distribution import install_command
from stream.errors import UserError
from stream.records import Reason

from ._base import json_refusal
from ._framed import HEADER_BYTES, FramedCodec
from ._refused import Refused


class AvroCodec(FramedCodec):
    """Codec of Avro; its own timestamps and decimals need no settings. See `FramedCodec`."""

    _kind = "Avro"

    def _parser(self) -> Callable[[Any], Any]:
        try:
            self._avro = importlib.import_module("fastavro")
        except ImportError:
            raise UserError(
                f"The avro codec needs fastavro. Install it with: {install_command('avro')}.",
                exit_code=2,
            ) from None
        return self._parse

    def _parse(self, raw: Any) -> Any:
        """Parse a schema, or one together with those that it refers to."""
        if not isinstance(raw, dict) or "references" not in raw:
            return self._avro.parse_schema(raw)
        types_by_name: dict[str, Any] = {}
        for reference in raw["references"]:
            self._avro.parse_schema(reference, types_by_name)
        return self._avro.parse_schema(raw["schema"], types_by_name)

    def _record(self, schema: Any, value: bytes) -> Any:
        body = io.BytesIO(value)
        body.seek(HEADER_BYTES)
        try:
            record = self._avro.schemaless_reader(body, schema)
        except RecursionError as error:
            raise json_refusal(error, value) from None
        except Exception as error:  # noqa: BLE001  # fastavro raises whatever bad bytes lead it to
            # fastavro's own words are left out: some of them hold memory addresses, and the
            # details of a refusal must be the same on every replay.
            detail = f"The value does not fit its schema ({type(error).__name__})."
            raise Refused(Reason.NOT_JSON, detail) from None
        if body.tell() != len(value):
            raise Refused(Reason.NOT_JSON, "Bytes are left over after the record.")
        return record
