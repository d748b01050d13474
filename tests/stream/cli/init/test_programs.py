"""`ember init` on records of programs: as captured, and as their twins write them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from ember_core.data.sources import DataOptions, Dataset
from stream import cli
from stream.cli.data_options import read_data
from stream.configure import window_spec
from stream.history import RowRules, counters_of, recipe_of, rows, samples
from stream.settings import Settings
from tests.e2e.payloads import KEYS, PAYLOADS, captured, settings_of_page, shifted
from tests.stream.cli.init.programs import (
    Line,
    by_chance,
    by_hash,
    by_host,
    by_nothing,
    collectd,
    influx,
    otlp,
    prometheus,
    readings,
    telegraf,
    write_dump,
)


def init(*arguments: str) -> dict[str, Any]:
    """Run `ember init`, check the file that it writes, and return what is in it."""
    assert cli.main(["init", *arguments, "--out", "ember.toml", "--force"]) == 0
    assert cli.main(["config", "check", "--config", "ember.toml"]) == 0
    return tomllib.loads(Path("ember.toml").read_text())


def _dump(path: Path, records: list[Send]) -> Path:
    with path.open("w") as file:
        for offset, record in enumerate(records):
            line = {
                "partition": record.partition,
                "offset": offset,
                "timestamp_ms": record.timestamp_ms,
                "key_hex": record.key.hex() if record.key else "",
                "value_hex": (record.value or b"").hex(),
            }
            file.write(json.dumps(line) + "\n")
    return path


def _rows(data: Dataset, settings: Settings, window: Settings) -> tuple[tuple[str, ...], list[Any]]:
    """Names and rows of each key by the rules of some settings and the window of others."""
    keys = samples(data)
    rules = RowRules(window_spec(window), settings.channels.rules)
    recipe = recipe_of(data.channels, keys, rules, counters_of(data.channels, keys))
    series = rows(data.channels, keys, rules.window, recipe)
    return (data.channels if recipe is None else recipe.names), series


@pytest.mark.parametrize("name", KEYS)
def test_captured_records_become_the_rows_of_the_page(name: str, tmp_path: Path) -> None:
    """Of `docs/from-other-programs.md`: the same keys and samples, and rows but for ids."""
    records = captured(name)
    written = init(str(PAYLOADS / name / "records.jsonl"))
    page = Settings.model_validate(settings_of_page()[name])
    own = Settings.load(Path("ember.toml"))
    assert own.input.rekey == page.input.rekey
    ignored = {rule["match"] for rule in written.get("channels", []) if rule["use"] == "ignore"}
    # Longer than the captures, so that intervals of the page close.
    longer = [record for k in range(3) for record in shifted(records, 30 * k)]
    dump = f"kcat:{_dump(tmp_path / 'dump.jsonl', longer)}"
    by_page, by_init = (
        read_data([dump], DataOptions(), lambda settings=settings: settings)
        for settings in (page, own)
    )
    assert by_init.keys == by_page.keys
    assert sorted(key.decode() for key in by_init.keys) == KEYS[name]
    assert by_init.digest() == by_page.digest()
    names, expected = _rows(by_page, page, page)
    own_names, found = _rows(by_init, own, page)
    kept = [names.index(channel) for channel in own_names]
    assert {n.partition("{")[0] for n in set(names) - set(own_names)} <= {
        pattern.partition("{")[0] for pattern in ignored
    }
    assert sum(len(series.values) for series in found) > 0
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.time_us, other.time_us)
        assert np.array_equal(one.values, other.values[:, kept], equal_nan=True)


HOST = 'resource["host.name"]'
TWINS: dict[str, tuple[Callable[[], Iterator[Line]], dict[str, Any]]] = {
    "telegraf": (lambda: telegraf(by_host), {"codec": "telegraf"}),
    "telegraf without keys": (
        lambda: telegraf(by_nothing),
        {"codec": "telegraf", "key": "tags.host", "key_from": "record", "rekey": True},
    ),
    "influx": (lambda: influx(by_host), {"codec": "influx"}),
    "otlp without keys": (
        lambda: otlp(by_nothing),
        {"codec": "otlp", "key": HOST, "key_from": "record", "rekey": True},
    ),
    "otlp with hashes": (
        lambda: otlp(by_hash),
        {"codec": "otlp", "key": HOST, "key_from": "record"},
    ),
    "prometheus": (
        lambda: prometheus(by_nothing),
        {"codec": "prometheus", "key": "labels.instance", "key_from": "record", "rekey": True},
    ),
    "collectd": (
        lambda: collectd(by_chance()),
        {"codec": "collectd", "key": "host", "key_from": "record", "rekey": True},
    ),
    "collectd with one key": (
        lambda: collectd(lambda _: b"collectd"),
        {"codec": "collectd", "key": "host", "key_from": "record"},
    ),
    "own records": (lambda: readings(by_host), {"codec": "json", "time": "timestamp"}),
    "own records without keys": (
        lambda: readings(by_nothing),
        {
            "codec": "json",
            "time": "timestamp",
            "key": "device",
            "key_from": "record",
            "rekey": True,
        },
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_get_the_settings_of_their_program(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the checks of doctor on the same records find nothing."""
    lines, expected = TWINS[name]
    dump = str(write_dump(tmp_path / "dump.jsonl", lines()))
    written = init(dump, "--group", "g", "--json")
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert written["kafka"] == {"bootstrap_servers": "localhost:9092", "group": "g"}
    assert written["input"] == {"topics": ["metrics"], **expected}
    window = {"mode": "time", "interval_seconds": 1, "allowed_lateness_seconds": 5}
    assert written["window"] == ({"mode": "count"} if expected["codec"] == "json" else window)


def test_channels_are_told_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = write_dump(tmp_path / "dump.jsonl", readings(by_host, note="x"))
    assert cli.main(["init", str(dump), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    kinds = {each["name"]: (each["kind"], each["use"]) for each in answer["channels"]}
    assert kinds == {
        "cycles_total": ("counter", "rate"),
        "message_id": ("identifier", "ignore"),
        "pressure": ("gauge", "value"),
        "running": ("flag", "value"),
    }
    assert {each["share"] for each in answer["channels"]} == {1.0}
    assert "note" in answer["texts"]
    assert answer["findings"] == []
    assert answer["next"] == f"ember train kcat:{dump} --out model"


def test_the_next_command_reads_the_file(tmp_path: Path) -> None:
    """Of a dump, and of a file with a value a line."""
    dump = write_dump(tmp_path / "dump.jsonl", readings(by_host))
    values = tmp_path / "values.lp"
    values.write_bytes(b"\n".join(line.value for line in influx(by_nothing)))
    for path, scheme, channels in ((dump, "kcat", 4), (values, "lines", 2)):
        init(str(path))
        own = Settings.load(Path("ember.toml"))
        data = read_data([f"{scheme}:{path}"], DataOptions(), lambda own=own: own)
        assert sorted(data.keys) == [b"web-1", b"web-2", b"web-3"]
        assert len(data.channels) == channels
