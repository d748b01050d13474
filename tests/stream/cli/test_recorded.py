"""Turning files into records to send."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from ember_core.data.sources import DataOptions, Dataset, read
from stream.cli import recorded
from stream.errors import UserError
from stream.tools.replay import Outbound


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two keys, three channels, every third value of `b` missing; two training rows each."""
    for number, name in enumerate(("x", "y")):
        rows = ["t,split,a,b,c"]
        for i in range(11):
            split = "train" if i < 2 else "test"
            rows.append(f"{3 * i + number},{split},{i},{'' if i % 3 == 0 else i / 7},{-i}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
    options = DataOptions(time="t", time_unit="index", split="split")
    return read([tmp_path / "x.csv", tmp_path / "y.csv"], options)


def test_wide_sends_the_scored_rows_of_all_keys_in_order_of_time(dataset: Dataset) -> None:
    records = list(recorded.wide(dataset, "scored"))
    assert len(records) == 18
    times = [record.time_us for record in records]
    assert times == sorted(times)
    assert [record.key for record in records[:4]] == [b"x", b"y", b"x", b"y"]
    first = msgspec.json.decode(records[0].value)
    assert first["values"] == {"a": 2.0, "b": 2 / 7, "c": -2.0}


def test_long_sends_every_value_by_itself(dataset: Dataset) -> None:
    records = list(recorded.long(dataset, "scored"))
    values = [msgspec.json.decode(record.value)["values"] for record in records]
    assert all(len(value) == 1 for value in values)
    names = Counter(name for value in values for name in value)
    assert names == {"a": 18, "b": 12, "c": 18}


def test_shuffled_keeps_every_record_and_the_bound() -> None:
    records = [Outbound(b"k", 1_000_000 * (i // 3), b"%d" % i) for i in range(301)]
    found = list(recorded.shuffled(records, 5.0, seed=3))
    assert sorted(found) == sorted(records)
    assert found != records
    newest, latest = 0, 0
    for record in found:
        newest = max(newest, record.time_us)
        latest = max(latest, newest - record.time_us)
    assert 0 < latest <= 5_000_000


def test_shuffling_is_repeatable() -> None:
    records = [Outbound(b"k", 1_000_000 * i, b"") for i in range(53)]
    first = list(recorded.shuffled(records, 7.0, seed=11))
    assert first == list(recorded.shuffled(records, 7.0, seed=11))
    assert first != list(recorded.shuffled(records, 7.0, seed=12))


def test_a_time_that_cannot_be_written_is_the_users_error() -> None:
    def records() -> object:
        raise ValueError("Event time is out of range.")
        yield

    with pytest.raises(UserError, match="cannot be sent"):
        list(recorded.checked(records()))  # type: ignore[arg-type]
