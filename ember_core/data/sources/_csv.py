"""CSV, plain or packed, in chunks."""

from __future__ import annotations

import lzma
import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import PLAIN_MISSING_WORDS, Decimal

from ._bytes import PACKED, open_bytes, scan
from ._dialect import BLANKS, Dialect, short_lines, sniff
from ._errors import DataError
from ._options import DataOptions, is_text
from ._remarks import Remark, Remarks

if TYPE_CHECKING:
    import pandas as pd

# Texts by which programs write an empty cell. Text columns are kept as they are: a key may be "NA".
# The other words for "no value" are read more slowly, and told.
_MISSING = sorted(
    spelling
    for word in PLAIN_MISSING_WORDS
    for spelling in {word, word.upper(), word.capitalize(), word.replace("nan", "NaN")}
)
_BLOCK_BYTES = 1 << 20


class CsvFrames:
    """Frames of a CSV file with a header line.

    Args:
        path: The file.
        key: Key of its records where no column is the key.
        text: Columns whose cells stay as they stand.
        options: Separator, encoding and decimal sign.
        chunk_rows: Most rows of a frame.
    """

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

    def with_decimal(self, decimal: Decimal) -> CsvFrames:
        """Return a reader of the same file that takes another decimal sign."""
        options = replace(self._options, decimal=decimal)
        return CsvFrames(self._path, self.default_key, self._text, options, self._chunk_rows)

    def frames(self) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `chunk_rows` rows."""
        frames = self._read()
        may_be_short = False
        while True:
            # Only while reading, never while the caller works with a frame: a line longer than
            # the header would lose its last fields with a mere warning.
            with as_data_error(self.name), warnings.catch_warnings():
                warnings.filterwarnings("error", message="Length of header or names")
                frame = next(frames, None)
            if frame is None:
                break
            # A line with too few cells lacks the last; so does one whose last cell is empty.
            may_be_short = may_be_short or bool(frame.iloc[:, -1].isna().any())
            yield frame
        if may_be_short:
            self._remark_short_lines()

    def _remark_short_lines(self) -> None:
        layout = self._layout()
        assert layout is not None
        lines = short_lines(self._path, *layout)
        if lines:
            remark = Remark(
                "short_line",
                f"lines with too few cells, the rest taken as missing (first line {lines[0]:,})",
                self.name,
                count=len(lines),
            )
            self.remarks = (*self.remarks, remark)

    def arrays(self, columns: tuple[str, ...], dtype: str) -> Iterator[NDArray[Any]] | None:
        """Columns of numbers by pyarrow, see `array_chunks`.

        None where pyarrow is not installed, the file is packed or no plain CSV, a column is not
        there, or the first rows do not tell which columns are numbers: then frames give what
        there is to say.
        """
        if self._path.suffix.lower() in PACKED or find_spec("pyarrow") is None:
            return None
        layout = self._layout()
        if layout is None:
            return None
        dialect, encoding = layout
        names = self._columns(columns)
        plain = dialect.skip == {0} and dialect.sep != BLANKS and encoding == "utf-8-sig"
        return self._by_arrow(dialect.sep, names, dtype) if plain and names else None

    def _columns(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Those wanted if all are there, else none; without wish the numbers of the first rows."""
        first = CsvFrames(self._path, b"", (), self._options, 1000)
        frame = next(first.frames(), None)
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

    def _layout(self) -> tuple[Dialect, str] | None:
        """Find layout and encoding; None for an empty file."""
        remarks = Remarks(self.name)
        file_scan = scan(self._path, self._options.encoding)
        dialect = sniff(self._path, file_scan, self._options.sep, remarks)
        if file_scan.is_guess:
            remarks.add("encoding", f"read as {file_scan.encoding}, as it is no UTF-8 (--encoding)")
        if dialect is not None and dialect.sep not in ",;\t" and not self._options.sep:
            separator_name = "blanks" if dialect.sep == BLANKS else dialect.sep
            remarks.add("separator", f"columns are separated by {separator_name}")
        self.remarks = tuple(remarks)
        return None if dialect is None else (dialect, file_scan.encoding)

    def _read(self) -> Iterator[pd.DataFrame]:
        import pandas as pd

        layout = self._layout()
        if layout is None:
            return
        dialect, encoding = layout
        text = [name for name in dialect.names if is_text(name, self._text)]
        numbers = [name for name in dialect.names if name not in text]
        first = max(dialect.skip, default=-1) + 1
        plain = len(dialect.skip) == first  # as a number the reader skips lines without asking
        read: Any = pd.read_csv  # its overloads know no dictionary of options
        packed = self._path.suffix.lower() in PACKED
        source = open_bytes(self._path) if packed else self._path
        with read(
            source,
            sep=dialect.sep,
            encoding=encoding,
            header=None,
            names=list(dialect.names),
            skiprows=first if plain else sorted(dialect.skip),
            index_col=False,
            skipinitialspace=True,
            decimal=self._options.decimal or ".",
            chunksize=self._chunk_rows,
            low_memory=False,  # or a column's type may change within a chunk
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values=dict.fromkeys(numbers, _MISSING),
            **_exact_floats(pd.__version__),
        ) as reader:
            yield from reader


def _exact_floats(version: str) -> dict[str, str]:
    """Exactly the float64 of Python's `float(text)`: a replay sends these numbers' repr.

    pandas 3.1 reads so by itself and calls the argument deprecated.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    return {"float_precision": "round_trip"} if (major, minor) < (3, 1) else {}


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
