"""Tables from files, queries, memory and BigQuery: the DATA of `train`, `backtest` and `replay`.

`open_frames` gives any of them as tables in chunks, for work on columns (`ColumnFeatures`);
`array_chunks` gives columns of numbers as arrays.
`read` gives one table per key in memory, `open_sources` the same records in chunks of constant
memory, `interleaved` the records of all keys in one order of time.
"""

from __future__ import annotations

from ember_core.data.cells import TimeUnit as TimeUnit

from ._arrays import array_chunks as array_chunks
from ._bigquery import BigQueryFrames as BigQueryFrames
from ._bytes import PACKED as PACKED
from ._bytes import open_bytes as open_bytes
from ._chunk import CHUNK_ROWS as CHUNK_ROWS
from ._chunk import Chunk as Chunk
from ._chunk import Frames as Frames
from ._chunk import Source as Source
from ._dataset import Dataset as Dataset
from ._dataset import KeyTable as KeyTable
from ._dataset import Rows as Rows
from ._dataset import read as read
from ._errors import DataError as DataError
from ._interleave import Batch as Batch
from ._interleave import interleaved as interleaved
from ._open import Opener as Opener
from ._open import open_frames as open_frames
from ._open import open_sources as open_sources
from ._options import DataOptions as DataOptions
from ._query import DuckDBFrames as DuckDBFrames
from ._remarks import Remark as Remark
from ._remarks import summed as summed
from .times import to_microseconds as to_microseconds
