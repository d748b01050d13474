"""Columns on disk: the same values, in no memory of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ember_core.data.sources import DataOptions, read


def test_columns_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = ["ts,host,a,b"]
    lines += [f"{1_700_000_000 + n},h{n % 3},{n / 7},{'' if n % 5 else n}" for n in range(50)]
    path.write_text("\n".join(lines))
    options = DataOptions(key="host", train_head="50%")
    memory = read([path], options, chunk_rows=7)
    disk = read([path], options, chunk_rows=7, on_disk=True)
    assert disk.digest() == memory.digest()
    for here, there in zip(disk.tables, memory.tables, strict=True):
        assert type(here.values) is np.ndarray
        rows = np.arange(len(here.time_us))
        assert here.texts(rows) == there.texts(rows)


def test_data_without_channels_or_rows_need_no_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("ts,a\n1700000000,1\n")
    (table,) = read([path], on_disk=True).tables
    assert table.values.tolist() == [[1.0]]
