"""JSON: objects in lines or in one array, and dumps of a topic with one record a line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ember_core.data.cells import cells_of

from ._bytes import open_text, scan
from ._csv import as_data_error
from ._errors import DataError
from ._interpret import KEY_COLUMN
from ._options import DataOptions, is_text
from ._remarks import Remark, Remarks

if TYPE_CHECKING:
    import pandas as pd

_DUMP_FIELDS = {"partition", "offset"}
_PAYLOADS = ("payload", "value")


class JsonFrames:
    """Frames of a file of JSON records.

    A nested object gives columns with dotted names (`tags.host`), but the members of `values`,
    as in the stream's own records, are columns by their own names. The lines of `kcat -J` and of
    other dumps of a topic are opened: their payload is the record, their key the stream key.

    Args:
        path: The file.
        key: Key of its records where no column is the key.
        text: Columns whose cells stay as they stand.
        options: Encoding.
        chunk_rows: Most rows of a frame.
    """

    is_record = True
    """Each record is read by itself, as on a topic."""

    def __init__(
        self, path: Path, key: bytes, text: Collection[str], options: DataOptions, chunk_rows: int
    ) -> None:
        self.name = str(path)
        self.default_key = key
        self.remarks: tuple[Remark, ...] = ()
        self._path = path
        self._text = text
        self._options = options
        self._chunk_rows = chunk_rows
        self._outer = [name for name in (options.time or "ts", options.key) if name]

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows."""
        import pandas as pd

        with as_data_error(self.name):
            encoding = scan(self._path, self._options.encoding)
            remarks = Remarks(self.name)
            if encoding.is_guess:
                remarks.add("encoding", f"read as {encoding.encoding}, as it is no UTF-8")
            with open_text(self._path, encoding.encoding) as file:
                records = self._records(file, remarks)
                while part := list(islice(records, self._chunk_rows)):
                    names = dict.fromkeys(name for record in part for name in record)
                    columns = {name: [record.get(name) for record in part] for name in names}
                    yield pd.DataFrame(
                        {
                            # Before pandas makes floats of integers with gaps.
                            name: [_as_text(value) for value in column]
                            if is_text(name, self._text) or name == KEY_COLUMN
                            else column
                            for name, column in columns.items()
                        }
                    )
            self.remarks = tuple(remarks)

    def _records(self, file: TextIO, remarks: Remarks) -> Iterator[dict[str, Any]]:
        for number, value in self._values(file):
            items = value if isinstance(value, list) else [value]
            for item in items:
                if not isinstance(item, dict):
                    raise DataError(
                        f"{self.name} line {number} is not an object. Expected one object per "
                        f"line, or an array of objects. Received: {json.dumps(item)[:60]}."
                    )
                if is_dump(item):
                    remarks.add("dump", "lines of a topic's dump were opened", count=1)
                    yield from self._payload(item, number)
                else:
                    yield cells_of(item, self._outer)

    def _payload(self, item: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
        """Yield the records in the payload of one line of a dump."""
        payload = next(item[name] for name in _PAYLOADS if name in item)
        if payload is None:  # a tombstone says nothing about telemetry
            return
        value = payload
        if isinstance(payload, str):
            value = self._payload_value(payload, number)
        for record in value if isinstance(value, list) else [value]:
            if not isinstance(record, dict):
                raise DataError(
                    f"{self.name} line {number} holds no JSON record. Expected an object as "
                    f"payload. Received: {str(payload)[:60]!r}. If it is of another codec, say "
                    "--codec NAME."
                )
            yield {KEY_COLUMN: item.get("key"), **cells_of(record, self._outer)}

    def _values(self, file: TextIO) -> Iterator[tuple[int, Any]]:
        """Yield the JSON values of the file, with the line of each."""
        is_first = True
        for number, line in enumerate(file, start=1):
            text = line.strip().lstrip("\ufeff")
            if not text:
                continue
            try:
                value = json.loads(text.removesuffix(","))
            except (ValueError, RecursionError):
                if not (is_first or text[0] == "["):
                    raise self._no_json(text, number, "") from None
                # A value over many lines, such as an array, or objects as jq prints them.
                yield from self._over_lines(text + "\n" + file.read(), text, number)
                return
            yield number, value
            is_first = False

    def _over_lines(self, document: str, line: str, number: int) -> Iterator[tuple[int, Any]]:
        decoder = json.JSONDecoder()
        position = 0
        while position < len(document):
            try:
                value, end = decoder.raw_decode(document, position)
            except (ValueError, RecursionError):
                at_line = number + document.count("\n", 0, position)
                text = line if not position else document[position : position + 60]
                raise self._no_json(text, at_line, "") from None
            yield number + document.count("\n", 0, position), value
            position = end
            while position < len(document) and document[position] in " \t\r\n,":
                position += 1

    def _payload_value(self, text: str, number: int) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self._no_json(text, number, " payload") from None

    def _no_json(self, text: str, number: int, part: str) -> DataError:
        hint = " If it is of another codec, say --codec NAME." if part else ""
        return DataError(
            f"{self.name} line {number}{part} is not JSON. Expected one object per line. "
            f"Received: {text.strip()[:60]!r}.{hint}"
        )


def is_dump(item: dict[str, Any]) -> bool:
    """Test for a line of a topic's dump, as `kcat -J` and `rpk topic consume` write it."""
    return item.keys() >= _DUMP_FIELDS and any(name in item for name in _PAYLOADS)


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)
