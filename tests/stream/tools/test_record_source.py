"""Records of dumps and topics as data to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core.data.sources import DataError, DataOptions
from stream.cli.data_options import read_data
from stream.errors import UserError
from stream.settings import Settings

NOW = 1_700_000_000


def dump(folder: Path, payloads: list[str], **more: Any) -> str:
    """A dump as `kcat -C -J` writes it; returns its address."""
    path = folder / "dump.jsonl"
    with path.open("w") as file:
        for offset, payload in enumerate(payloads):
            record = {"topic": "t", "partition": 0, "offset": offset, "tstype": "create", "ts": 1}
            file.write(json.dumps({**record, "broker": 1, "key": None, "payload": payload, **more}))
            file.write("\n")
    return f"kcat:{path}"


def settings(**source: Any) -> Settings:
    return Settings.load(input=source)


def lines(count: int = 3) -> list[str]:
    return [f"cpu,host=web-{i % 2} idle={i},user=1 {NOW + i}000000000" for i in range(count)]


def test_a_dump_is_decoded_by_the_codec_of_the_settings(tmp_path: Path) -> None:
    known = settings(codec="influx", key="tags.host")
    data = read_data([dump(tmp_path, lines())], DataOptions(), lambda: known)
    assert data.channels == ("cpu.idle", "cpu.user")
    assert data.keys == (b"web-0", b"web-1")
    assert np.array_equal(data.tables[0].values, [[0.0, 1.0], [2.0, 1.0]])
    assert data.tables[0].time_us.tolist() == [NOW * 10**6, (NOW + 2) * 10**6]
    assert data.tables[0].time_text[0] == "2023-11-14T22:13:20Z"


def test_channels_are_chosen_by_patterns(tmp_path: Path) -> None:
    known = settings(codec="influx", key="tags.host")
    options = DataOptions(channels="cpu.*", drop="*.user")  # type: ignore[arg-type]
    assert read_data([dump(tmp_path, lines())], options, lambda: known).channels == ("cpu.idle",)


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ({"codec": "json"}, {}, "look like InfluxDB line protocol: set input.codec to 'influx'"),
        ({"codec": "influx"}, {}, "input.key is not set"),
        ({"codec": "influx", "key": "tags.host"}, {"channels": "mem"}, "cpu.idle, cpu.user"),
        ({"codec": "influx", "key": "tags.host"}, {"key": "host"}, "Set input.key"),
        ({"codec": "influx", "key": "tags.host"}, {"label": "fault"}, "without --label"),
    ],
)
def test_records_that_give_nothing_are_explained(
    tmp_path: Path, source: dict[str, str], options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        read_data([dump(tmp_path, lines())], DataOptions(**options), lambda: settings(**source))


def test_an_empty_dump_and_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no record"):
        read_data([dump(tmp_path, [])], DataOptions(), settings)
    with pytest.raises(UserError, match="cannot be read"):
        read_data([f"kcat:{tmp_path / 'none.jsonl'}"], DataOptions(), settings)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"ts": 1, "cpu": 2}\n')
    with pytest.raises(UserError, match="line 1 is no record of a dump"):
        read_data([f"kcat:{path}"], DataOptions(), settings)


def test_settings_are_loaded_for_records_only(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    path.write_text("ts,cpu\n1,2\n")

    def refuse() -> Settings:
        raise AssertionError

    assert read_data([str(path)], DataOptions(), refuse).channels == ("cpu",)
