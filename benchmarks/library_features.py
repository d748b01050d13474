"""Rolling and exponential features of a CSV larger than the memory cap, beside pandas.

The same statistics of the same file, each contestant in a process of its own: mean, deviation and
departure (value minus mean) of windows of 10 rows that are 1, 3 and 5 rows apart, and departure
and deviation of exponential windows of three half-lives. The library reads and computes in
chunks; so does pandas, in chunks of a million rows, with `rolling` on every `s`-th row and `ewm`.
Pandas, the slower one, reads the first two million rows only: its time grows with them alone.
It begins its windows anew in each chunk and leaves them by phase, where the library carries
them over and gives them in the order of the rows: that work pandas is spared. Both keep some
rows, which must agree.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.processes import Child

CHANNELS = 8
WINDOW = 10
STRIDES = (1, 3, 5)
HALF_LIVES = (3.5, 10.0, 17.0)
CAP_GIB = 1.0
SAMPLE = 97
CLOSE = 2e-3
"""float32 against float64, in units of a channel of deviation 3 on a level of 50."""

_CHUNK_ROWS = 16_384
_PANDAS_ROWS = 1_000_000  # of a chunk
_SETTLED = 1_000  # rows after which an exponential window has forgotten how it began
_BLOCK_ROWS = 1_000_000  # after which the file begins anew
_SECONDS = 500.0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Write the file, let both read it, compare.

    Args:
        options: `rows` of the file, and `pandas_rows`, of which pandas is timed.

    Returns:
        `ratios.features_vs_pandas` by elapsed time, the same by processor time, and the figures
        of both: time by part in processor seconds, of which reading has a thread of its own in
        the library; and the most memory that was resident, beside that of the packages alone.

    Raises:
        BenchmarkError: If the results differ, or the library goes beyond the cap.
    """
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as folder:
        path = Path(folder) / "telemetry.csv"
        log_progress(f"writing {options.rows:,} rows")
        write(path, options.rows)
        reads = {"ember": options.rows, "pandas": min(options.rows, options.pandas_rows)}
        compared = min(reads.values())
        figures = {name: _contest(name, path, rows, compared) for name, rows in reads.items()}
        worst = _difference(Path(folder))
    ember, pandas_figures = figures["ember"], figures["pandas"]
    if not worst <= CLOSE:
        raise BenchmarkError(f"the features differ by {worst:g}, more than {CLOSE}")
    if ember["peak_gib"] > CAP_GIB:
        raise BenchmarkError(f"{ember['peak_gib']} GiB were resident, more than {CAP_GIB}")
    return {
        "ratios": {
            "features_vs_pandas": round(
                ember["rows_per_second"] / pandas_figures["rows_per_second"], 2
            )
        },
        "by_cpu_time": round(
            pandas_figures["cpu_seconds"]
            / pandas_figures["rows"]
            / (ember["cpu_seconds"] / ember["rows"]),
            2,
        ),
        "largest_difference": worst,
        "cap_gib": CAP_GIB,
        "ember": ember,
        "pandas": pandas_figures,
    }


def write(path: Path, rows: int, seed: int = 0) -> None:
    """A CSV of `rows` rows of 8 channels that drift around a level, the same every million rows.

    Printing numbers takes longer than reading them: a million rows are printed once.
    """
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(seed)
    size = min(rows, _BLOCK_ROWS)
    slow = np.sin(2.0 * np.pi * np.arange(size) * 31 / size)[:, None]
    x = np.round(50.0 + 5.0 * slow + 3.0 * rng.standard_normal((size, CHANNELS)), 3)
    names = [f"c{c}" for c in range(CHANNELS)]
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table(list(x.T), names=names), sink, csv.WriteOptions(include_header=False))
    block = sink.getvalue().to_pybytes()
    with path.open("wb") as file:
        file.write(",".join(names).encode() + b"\n")
        for _ in range(rows // size):
            file.write(block)
        last_rows = rows % size
        if last_rows:
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            file.write(block[: ends[last_rows - 1] + 1])


def _contest(name: str, path: Path, rows: int, compared: int) -> dict[str, Any]:
    log_progress(f"{name} reads {rows:,} rows")
    words = ["benchmarks.library_features", name, str(path), str(rows), str(compared)]
    with Child(words, path.parent, name) as child:
        child.finished(_SECONDS)
        figures: dict[str, Any] = json.loads(child.output().splitlines()[-1])
    return figures


def _difference(folder: Path) -> float:
    """The largest between the rows that both kept."""
    ember, pandas_values = (np.load(folder / f"{name}.npz") for name in CONTESTANTS)
    if sorted(ember) != sorted(pandas_values):
        raise BenchmarkError(f"other features: {sorted(ember)} and {sorted(pandas_values)}")
    differences = [np.abs(ember[name] - pandas_values[name]).max() for name in ember]
    return float(np.max(differences))


def sampled(rows: int) -> NDArray[np.int64]:
    """Numbers of the rows that are compared: none where pandas' windows begin anew."""
    sample_rows = np.linspace(0, rows - 1, SAMPLE).astype(np.int64)
    begin = sample_rows - sample_rows % _PANDAS_ROWS
    return np.unique(np.minimum(np.maximum(sample_rows, begin + _SETTLED), rows - 1))


Kept = dict[str, list[NDArray[Any]]]


class Parts:
    """Processor seconds of the calling thread, by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count a block under a name."""
        started = time.thread_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - started


def ember(path: Path, rows: int, compared: int, parts: Parts) -> Kept:
    """By the library, chunk by chunk."""
    from ember_core.data.sources import array_chunks
    from ember_core.data.strides import StrideState, TemporalStrides
    from ember_core.pipeline import ExponentialWindows, exponential_series

    dilated = tuple((1, s) for s in STRIDES)
    kinds = ("mean", "std", "departure")
    strides = TemporalStrides(CHANNELS, WINDOW, dilated, summary=kinds)
    windows = ExponentialWindows(CHANNELS, HALF_LIVES, levels=False)
    state, moments, begin = StrideState(), None, 0
    sample_rows, samples = sampled(compared), Kept()
    for x in array_chunks(path, chunk_rows=_CHUNK_ROWS):
        with parts.part("strides"):
            state, found = strides.forward(state, x)
        with parts.part("exponential"):
            moments, features = exponential_series(windows, moments, x)
        for row in sample_rows[(sample_rows >= begin) & (sample_rows < begin + len(x))].tolist():
            for s, stride in zip(STRIDES, dilated, strict=True):
                values = found[stride].values[row - found[stride].last[0]]
                for kind, value in zip(kinds, np.split(values, len(kinds)), strict=True):
                    samples.setdefault(f"{kind}_{s}", []).append(value.copy())
            blocks = np.split(features[row - begin], 1 + 2 * len(HALF_LIVES))[1:]
            for block, value in enumerate(blocks):
                kind = "ewm_departure" if block < len(HALF_LIVES) else "ewm_std"
                name = f"{kind}_{HALF_LIVES[block % len(HALF_LIVES)]}"
                samples.setdefault(name, []).append(value.copy())
        begin += len(x)
    if begin != rows:
        raise BenchmarkError(f"{begin:,} of {rows:,} rows were read")
    return samples


def pandas(path: Path, rows: int, compared: int, parts: Parts) -> Kept:
    """By pandas, in chunks as long as its memory may be; windows begin anew in each."""
    import pandas as pd

    sample_rows, samples = sampled(compared), Kept()
    with pd.read_csv(path, chunksize=_PANDAS_ROWS, nrows=rows) as reader:
        for frame in reader:
            begin = int(frame.index[0])
            chunk_rows = (
                sample_rows[(sample_rows >= begin) & (sample_rows < begin + len(frame))] - begin
            )
            with parts.part("strides"):
                for s in STRIDES:
                    _rolling_by_pandas(frame, s, chunk_rows, samples)
            with parts.part("exponential"):
                for half_life in HALF_LIVES:
                    ewm = frame.ewm(halflife=half_life, adjust=False)
                    for kind, table in (
                        ("ewm_departure", frame - ewm.mean()),
                        ("ewm_std", ewm.std(bias=True)),
                    ):
                        values = table.iloc[chunk_rows].to_numpy()
                        samples.setdefault(f"{kind}_{half_life}", []).extend(values)
    return samples


def _rolling_by_pandas(frame: Any, s: int, places: NDArray[np.int64], kept: Kept) -> None:
    values: dict[tuple[str, int], NDArray[Any]] = {}
    for phase in range(s):
        part = frame.iloc[phase::s]
        rolling = part.rolling(WINDOW)
        mean = rolling.mean()
        for kind, table in (
            ("mean", mean),
            ("std", rolling.std(ddof=0)),
            ("departure", part - mean),
        ):
            for row in places[places % s == phase].tolist():
                values[kind, row] = table.iloc[row // s].to_numpy(copy=True)
    for kind in ("mean", "std", "departure"):
        kept.setdefault(f"{kind}_{s}", []).extend(values[kind, p] for p in places.tolist())


CONTESTANTS: dict[str, Callable[[Path, int, int, Parts], Kept]] = {"ember": ember, "pandas": pandas}


def _resident_bytes(most: bool) -> int:
    """Memory this process has resident, or the most it had.

    Linux counts what the parent had at the fork in `ru_maxrss`, but not in `VmHWM`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        match = re.search(rf"{'VmHWM' if most else 'VmRSS'}:\s+(\d+) kB", status.read_text())
        if match:
            return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(name: str, path: Path, rows: int, compared: int) -> None:
    """One contestant: prints its figures, and writes the rows it kept beside the file."""
    for module in ("pandas", "pyarrow.csv", "ember_core.data.sources"):
        importlib.import_module(module)
    packages, parts = _resident_bytes(most=False), Parts()
    begin, cpu = time.perf_counter(), time.process_time()
    samples = CONTESTANTS[name](path, rows, compared, parts)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    arrays: dict[str, Any] = {key: np.array(value) for key, value in samples.items()}
    np.savez(path.parent / f"{name}.npz", **arrays)
    parts.seconds["reading"] = cpu - sum(parts.seconds.values())
    figures = {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "cpu_seconds_by_part": {part: round(spent, 2) for part, spent in parts.seconds.items()},
        "peak_gib": round(_resident_bytes(most=True) / 2**30, 3),
        "packages_gib": round(packages / 2**30, 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
