"""CSV, plain or compressed, in chunks."""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from ._errors import DataError

if TYPE_CHECKING:
    import pandas as pd

# Texts that mean "no value" in a channel. Text columns are kept as they are: a key may be "NA".
_MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None"]
_SEPARATORS = (",", ";", "\t", "|")
_BLOCK_BYTES = 1 << 20
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class CsvFrames:
    """Frames of a CSV file with a header line."""

    def __init__(
        self, path: Path, key: bytes, text: Collection[str], sep: str, chunk_rows: int
    ) -> None:
        self.name = str(path)
        self.default_key = key
        self._path = path
        self._text = text
        self._sep = sep
        self._chunk_rows = chunk_rows

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows."""
        frames = self._read()
        while True:
            # Only while reading, never while the caller works with a frame: a line longer than
            # the header would lose its last fields with a mere warning.
            with as_data_error(self.name), warnings.catch_warnings():
                warnings.filterwarnings("error", message="Length of header or names")
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def arrays(self, columns: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]] | None:
        """Columns of numbers by pyarrow, see `array_chunks`.

        None where pyarrow is not installed, the file is packed, a column is not there, or the
        first rows do not tell which columns are numbers: then frames give what there is to say.
        """
        if self._path.suffix.lower() in _OPENERS or find_spec("pyarrow") is None:
            return None
        sep = self._separator()
        names = self._columns(columns)
        return None if sep is None or not names else self._by_arrow(sep, names, dtype)

    def _columns(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Those wanted if all are there, else none; without wish the numbers of the first rows."""
        frame = next(CsvFrames(self._path, b"", (), self._sep, 1000).frames(), None)
        if frame is None or not set(wanted) <= set(frame.columns):
            return ()
        numbers = (n for n in frame.columns if getattr(frame[n].dtype, "kind", "O") in "iuf")
        return wanted or tuple(numbers)

    def _by_arrow(self, sep: str, names: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]]:
        import pyarrow as pa
        from pyarrow import csv

        kind = pa.from_numpy_dtype(np.dtype(dtype))
        with (
            as_data_error(self.name),
            csv.open_csv(
                self._path,
                # One thread: reading is beside the caller's work already.
                read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                parse_options=csv.ParseOptions(delimiter=sep),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, kind),
                    include_columns=list(names),
                    null_values=_MISSING,
                ),
            ) as reader,
        ):
            for batch in reader:
                # Of pyarrow's memory, which it keeps for the next one: what malloc gives in one
                # thread and gets back in another goes to the system each time.
                room = pa.allocate_buffer(len(names) * batch.num_rows * np.dtype(dtype).itemsize)
                out = np.frombuffer(room, dtype).reshape(len(names), batch.num_rows).T
                for index, column in enumerate(batch.columns):
                    out[:, index] = column.to_numpy(zero_copy_only=False)
                yield out

    def _separator(self) -> str | None:
        """Find the separator of the columns; None for an empty file."""
        with open_text(self._path) as lines:
            header = lines.readline()
        if not header.strip():
            return None
        return self._sep or max(_SEPARATORS, key=header.count)

    def _read(self) -> Iterator[pd.DataFrame]:
        import pandas as pd

        sep = self._separator()
        if sep is None:
            return
        common: dict[str, Any] = {
            "sep": sep,
            "encoding": "utf-8-sig",
            "index_col": False,
            "skipinitialspace": True,
        }
        columns = list(pd.read_csv(self._path, nrows=0, **common).columns)
        read: Any = pd.read_csv  # its overloads know no dictionary of options
        with read(
            self._path,
            chunksize=self._chunk_rows,
            low_memory=False,  # or a column's type may change within a chunk
            dtype={name: str for name in columns if name in self._text},
            keep_default_na=False,
            na_values={name: _MISSING for name in columns if name not in self._text},
            **_exact_floats(pd.__version__),
            **common,
        ) as reader:
            yield from reader


def _exact_floats(version: str) -> dict[str, str]:
    """Exactly the float64 of Python's `float(text)`: a replay sends these numbers' repr.

    pandas 3.1 reads so by itself and calls the argument deprecated.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    return {"float_precision": "round_trip"} if (major, minor) < (3, 1) else {}


def open_text(path: Path) -> TextIO:
    """A text file, unpacked where its name ends in .gz, .bz2 or .xz."""
    opener: Any = _OPENERS.get(path.suffix.lower(), open)
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig"))


class as_data_error:  # noqa: N801 - reads as a statement
    """Context that turns a reader's errors on a damaged file into one that names the file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Translate errors of the data; a DataError and all other errors pass."""
        if isinstance(error, (DataError, ImportError)) or error is None:
            return
        if isinstance(error, (ValueError, OSError, EOFError, Warning, lzma.LZMAError)):
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{self.name} cannot be read. Expected a sound file of the kind its name says. "
                f"Received: {reason}."
            ) from error
