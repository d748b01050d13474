"""Every benchmark that needs a Kafka runs to its end; what it finds is of no size to say anything.

What they use of the worker is not all public: nothing else notices when it is no longer there.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import frame, performance_page

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.usefixtures("real_kafka")]

FLEET = "--keys 700 --channels 3 --partitions 2"


def measured(capsys: pytest.CaptureFixture[str], name: str, words: str) -> dict[str, Any]:
    """The result of one, as its users run it."""
    code = frame.main([name, "--json", *words.split()])
    said = capsys.readouterr()
    assert code == 0, said.err
    result: dict[str, Any] = json.loads(said.out.splitlines()[-1])
    for part, draw in performance_page.PARTS.items():
        if part.removeprefix("performance-").partition("-")[0] == name:
            assert draw(result)
    return result


def test_recovery(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--dirty 100 --load-seconds 1 --checkpoint-seconds 0.2 --repeats 1"
    result = measured(capsys, "recovery", f"{FLEET} {words}")
    assert result["keys"] == 700
    load = result["load"]["700"]
    assert load["checkpoints"] > 0
    assert load["longest_pause_seconds"] <= load["longest_turn_seconds"]  # it is part of a turn
    assert load["longest_turn_seconds"] > 0
    assert load["longest_turn_seconds_without"] > 0


def test_throughput(capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(capsys, "throughput", f"{FLEET} --kinds 5 --records 300000 --peers=")
    assert sum(result["outcomes"].values()) == 300_000


def test_records(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"{FLEET} --kinds 5 --rows 150 --seconds 0.05 --rekeyed-records 100000"
    rekeying = measured(capsys, "records", words)["rekeying"]
    speeds = [rekeying[name]["records_per_second"] for name in ("with", "without")]
    assert rekeying["ratio"] == pytest.approx(speeds[0] / speeds[1], abs=0.001)


def test_latency(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--kinds 5 --maximum 4000 --loads 50 --seconds 2 --warm-seconds 1 --faults 0.01"
    result = measured(capsys, "latency", f"{FLEET} {words}")
    assert result["loads"]["50"]["alerts"] > 0


def test_scale(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--keys 11 --channels 2 --hidden 8 --kinds 3 --rows 150 --seconds 0.05"
    result = measured(capsys, "scale", f"{words} --workers 2 --records 300000")
    assert result["workers"].keys() == {"2"}
