"""Tables from files, queries, memory and BigQuery: what `train`, `backtest` and `replay` call DATA.

`open_frames` gives any of them as tables in chunks, for what works on columns (`ColumnFeatures`);
`array_chunks` gives columns of numbers as arrays.
`read` gives one table per key in memory, `open_sources` the same records in chunks of constant
memory, `interleaved` the records of all keys in one order of time.
"""

from __future__ import annotations

from ember_core.features.sources._arrays import array_chunks as array_chunks
from ember_core.features.sources._bigquery import BigQueryFrames as BigQueryFrames
from ember_core.features.sources._chunk import (
    CHUNK_ROWS as CHUNK_ROWS,
)
from ember_core.features.sources._chunk import (
    Chunk as Chunk,
)
from ember_core.features.sources._chunk import (
    Frames as Frames,
)
from ember_core.features.sources._chunk import (
    Source as Source,
)
from ember_core.features.sources._dataset import (
    Dataset as Dataset,
)
from ember_core.features.sources._dataset import (
    KeyTable as KeyTable,
)
from ember_core.features.sources._dataset import (
    Rows as Rows,
)
from ember_core.features.sources._dataset import (
    read as read,
)
from ember_core.features.sources._errors import DataError as DataError
from ember_core.features.sources._interleave import (
    Batch as Batch,
)
from ember_core.features.sources._interleave import (
    interleaved as interleaved,
)
from ember_core.features.sources._open import (
    Opener as Opener,
)
from ember_core.features.sources._open import (
    open_frames as open_frames,
)
from ember_core.features.sources._open import (
    open_sources as open_sources,
)
from ember_core.features.sources._options import (
    DataOptions as DataOptions,
)
from ember_core.features.sources._options import (
    TimeUnit as TimeUnit,
)
from ember_core.features.sources._query import DuckDBFrames as DuckDBFrames
from ember_core.features.sources._time import to_microseconds as to_microseconds
