"""Files of samples: what is read of them is what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ember_core.data.sources import Chunk, DataOptions, read
from stream.errors import UserError
from stream.tools.recording import column_names, recorder

NAN = float("nan")
CHANNELS = ('cpu.idle{cpu="cpu0"}', "load", "rare")
TIMES = [1_700_000_000_000_000, 1_700_000_000_123_456, 1_600_000_000_000_001]
VALUES = [[NAN, 0.1 + 0.2, NAN], [1e-300, NAN, NAN], [-0.0, 1e150, 3.0]]


def chunk(keys: tuple[bytes, ...], channels: tuple[str, ...] = CHANNELS) -> Chunk:
    return Chunk(
        keys=keys,
        key_index=np.array([0, 1, 0]),
        position=np.array([0, 0, 1]),
        time_us=np.array(TIMES),
        time_text=None,
        channels=channels,
        values=np.array(VALUES),
        is_train=np.zeros(3, bool),
        label=None,
    )


def options(channels: tuple[str, ...] = CHANNELS) -> DataOptions:
    time, key = column_names(channels)
    return DataOptions(time=time, key=key)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("channels", [CHANNELS, ("ts", "key", "time")])
def test_samples_are_read_as_they_were_written(
    tmp_path: Path, suffix: str, channels: tuple[str, ...]
) -> None:
    """Every bit of times and values, the order of keys and channels; also of odd names."""
    path = tmp_path / f"samples{suffix}"
    keys = ("wéb-1".encode(), b'quo"te\\x')
    with recorder(path) as write:
        for _ in range(2):
            write(chunk(keys, channels))
        assert not path.exists(), "half of a file is none"
    data = read([path], options(channels))
    assert data.channels == channels
    assert data.keys == keys
    assert data.tables[0].time_us.tolist() == [TIMES[0], TIMES[2]] * 2
    assert data.tables[1].time_us.tolist() == [TIMES[1]] * 2
    expected = np.array([VALUES[0], VALUES[2]] * 2)
    assert data.tables[0].values.tobytes() == expected.tobytes()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_keys_that_are_no_text_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"samples{suffix}"
    with pytest.raises(UserError, match=r"no text.*Train on the topic"), recorder(path) as write:
        write(chunk((b"\xff", b"b")))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "samples.csv", r"ending in \.parquet or \.jsonl"),
        (tmp_path / "nowhere" / "samples.jsonl", "cannot be written"),
        (tmp_path / "nowhere" / "samples.parquet", "cannot be written"),
    ):
        with pytest.raises(UserError, match=expected), recorder(path) as write:
            write(chunk((b"a", b"b")))
