"""`ember key` on what a worker has read, kept and sent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService
from tests.stream.report import small

pytestmark = pytest.mark.broker


def _sends() -> list[Send]:
    """The rows of the faulty key that are no training, as records of now."""
    table = small.dataset().tables[0]
    scored = np.flatnonzero(~table.is_train)
    return [
        Send(
            table.key,
            json.dumps(
                {
                    "ts": int(table.time_us[row]) // 1_000_000,
                    "values": dict(zip(small.CHANNELS, table.values[row].tolist(), strict=True)),
                }
            ).encode(),
        )
        for row in scored.tolist()
    ]


def test_the_page_shows_the_events_that_the_worker_sent(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service = SmallService(broker, tmp_path, 2)
    service.run(_sends())
    assert main(["key", "web-1", "--html", "page.html", "--since", "2026-01-01"]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    triggers = [
        dict(record.headers)["ce_id"].decode()
        for record in broker.consume_all(f"{service.topic}.triggers")
    ]
    assert triggers
    for event_id in triggers:
        assert f"<code>{event_id}</code>" in page
    assert "409 rows of 3 channels" in capsys.readouterr().err

    assert main(["key", "web-1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"] == len(_sends())
    assert set(summary["usual"]) == set(small.CHANNELS)
    assert summary["usual_unknown"] == ""
    assert main(["key", "web-1"]) == 0
    assert "usually" in capsys.readouterr().out
    assert main(["key", "nobody"]) == 1
    assert "Nothing is remembered of key 'nobody'" in capsys.readouterr().err
    assert main(["key", "nobody", "--html", "page.html"]) == 1
    assert "has no record of this key" in capsys.readouterr().err
