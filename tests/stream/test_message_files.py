"""Files of messages: dumps of a topic, decoded by its codec."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core.data.sources import DataOptions, Dataset, read
from stream.codecs import make_codec
from stream.errors import UserError
from stream.message_files import MessageFrames, RecordedMessage, table_options
from stream.types import CodecName

SECONDS = 1_767_571_200


def influx(i: int) -> str:
    return (
        "".join(
            f'cpu,host=a,cpu=cpu{n} idle={90 - i},mode="x" {(SECONDS + i) * 10**9}\n'
            for n in (0, 1)
        )
        + f"mem,host=a used={i}i {(SECONDS + i) * 10**9}"
    )


def telegraf(i: int) -> str:
    tags = {"host": "a", "cpu": f"cpu{i % 2}"}
    metric = {"name": "cpu", "tags": tags, "fields": {"idle": 90 - i}, "timestamp": SECONDS + i}
    return json.dumps(metric)


def collectd(i: int) -> str:
    return json.dumps(
        [
            {
                "values": [90 - i], "dsnames": ["value"], "plugin": "cpu", "type": "idle",
                "host": "a", "time": SECONDS + i, "plugin_instance": str(n),
            }
            for n in (0, 1)
        ]
    )  # fmt: skip


def prometheus(i: int) -> str:
    labels = {"__name__": "up", "instance": "a", "job": f"j{i % 2}"}
    stamp = f"2026-01-05T00:00:{i:02}Z"
    return json.dumps({"name": "up", "labels": labels, "value": str(i), "timestamp": stamp})


MAKERS = {"influx": influx, "telegraf": telegraf, "collectd": collectd, "prometheus": prometheus}
CHANNELS = {
    "influx": ('cpu.idle{cpu="cpu0"}', 'cpu.idle{cpu="cpu1"}', "mem.used"),
    "telegraf": ('cpu.idle{cpu="cpu0"}', 'cpu.idle{cpu="cpu1"}'),
    "collectd": ('cpu.idle{plugin_instance="0"}', 'cpu.idle{plugin_instance="1"}'),
    "prometheus": ('up{job="j0"}', 'up{job="j1"}'),
}
KEYS = {"influx": "tags.host", "telegraf": "tags.host", "prometheus": "labels.instance"}


def dump(codec: str, key: str | None, count: int = 12) -> Iterator[str]:
    for i in range(count):
        fields = {"topic": "t", "partition": i % 3, "offset": i, "ts": (SECONDS + i) * 1000}
        yield json.dumps({**fields, "key": key, "payload": MAKERS[codec](i)}) + "\n"


def table(path: Path, codec: CodecName, **options: Any) -> Dataset:
    asked = DataOptions(**options)
    return read([MessageFrames(path, codec, asked)], table_options(asked))


@pytest.mark.parametrize("codec", MAKERS)
@pytest.mark.parametrize("keyed", [True, False])
def test_a_dump_gives_the_samples_of_its_codec(
    tmp_path: Path, codec: CodecName, keyed: bool
) -> None:
    """Channels are found: a series of its own where a key has several of one name."""
    path = tmp_path / "dump.jsonl"
    lines = list(dump(codec, "a" if keyed else None))
    path.write_text("".join(lines), encoding="utf-8")
    expression = "" if keyed else KEYS.get(codec, "host")
    data = table(path, codec, key=expression)
    assert data.keys == (b"a",)
    assert data.channels == CHANNELS[codec]
    messages = [
        RecordedMessage(b"a", json.loads(line)["payload"].encode(), 0, i)
        for i, line in enumerate(lines)
    ]
    decoded = make_codec(codec, data.channels).decode(messages)
    np.testing.assert_array_equal(data.tables[0].time_us, decoded.time_us)
    np.testing.assert_array_equal(data.tables[0].values, decoded.values)


def test_lines_may_be_the_messages_themselves(tmp_path: Path) -> None:
    path = tmp_path / "metrics.txt"
    path.write_text(
        "# telegraf\n" + "\n".join(influx(i) for i in range(5)) + "\n", encoding="utf-8"
    )
    data = table(path, "influx", key="tags.host", channels="mem.used")
    assert data.channels == ("mem.used",)
    assert data.tables[0].values[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_messages_that_the_stream_refuses_are_told(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    odd = json.dumps({"partition": 0, "offset": 1, "key": "a", "payload": "no line protocol"})
    path.write_text("".join(dump("influx", "a")) + odd + "\n", encoding="utf-8")
    data = table(path, "influx")
    (remark,) = [r for r in data.remarks if r.kind == "refused_message"]
    assert (remark.count, remark.text) == (1, "messages were refused (not_json), as on the stream")


def test_messages_without_a_key_or_of_another_format_are_named(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    path.write_text("".join(dump("influx", None)), encoding="utf-8")
    with pytest.raises(UserError, match=r"Kafka key is null.*tags\.host"):
        table(path, "influx")
    with pytest.raises(UserError, match=r"Expected messages of telegraf. Received: "):
        table(path, "telegraf")
    with pytest.raises(UserError, match=r"--codec json without --channels"):
        table(path, "json")
