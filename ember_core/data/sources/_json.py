"""JSON lines: one object per line, flat or with nested objects."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._csv import as_data_error, open_text
from ._errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class JsonFrames:
    """Frames of a JSON lines file.

    A nested object gives columns with dotted names (`tags.host`), but the members of `values`,
    as in the stream's own records, are columns by their own names.
    """

    def __init__(self, path: Path, key: bytes, text: Collection[str], chunk_rows: int) -> None:
        self.name = str(path)
        self.default_key = key
        self._path = path
        self._text = text
        self._chunk_rows = chunk_rows

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows."""
        import pandas as pd

        with as_data_error(self.name), open_text(self._path) as lines:
            records = self._records(enumerate(lines, start=1))
            while part := list(islice(records, self._chunk_rows)):
                names = dict.fromkeys(name for record in part for name in record)
                columns = {name: [record.get(name) for record in part] for name in names}
                yield pd.DataFrame(
                    {
                        # Before pandas makes floats of integers with gaps.
                        name: [_as_text(value) for value in column]
                        if name in self._text
                        else column
                        for name, column in columns.items()
                    }
                )

    def _records(self, lines: Iterator[tuple[int, str]]) -> Iterator[dict[str, Any]]:
        for number, line in lines:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{self.name} line {number} is not JSON. Expected one object per line. "
                    f"Received: {line.strip()[:60]!r} ({error})."
                ) from None
            if not isinstance(record, dict):
                raise DataError(
                    f"{self.name} line {number} is not an object. Expected one object per line. "
                    f"Received: {line.strip()[:60]!r}. One array of objects becomes lines with: "
                    "jq -c '.[]'."
                )
            flat: dict[str, Any] = {}
            _flatten(record, "", flat)
            yield flat


def _flatten(record: Mapping[str, Any], prefix: str, flat: dict[str, Any]) -> None:
    for name, value in record.items():
        if isinstance(value, dict):
            _flatten(value, "" if prefix + name == "values" else f"{prefix}{name}.", flat)
        else:
            flat[prefix + name] = value


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)
