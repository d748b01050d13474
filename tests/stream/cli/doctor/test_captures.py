"""`ember doctor` on records of real programs: from the defaults to the settings of their page."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.sample import examine_records
from stream.codecs import make_codec
from stream.records import Reason
from stream.settings import Settings
from stream.tools.log_record import LogRecord
from tests.e2e.payloads import KEYS, captured, settings_of_page


def evidence(name: str, **sections: Any) -> Evidence:
    """The capture, as a worker with these settings reads it an hour later."""
    records: list[Any] = [
        SimpleNamespace(
            key=sent.key,
            value=sent.value,
            timestamp=sent.timestamp_ms,
            offset=offset,
            partition=sent.partition,
            headers=sent.headers,
        )
        for offset, sent in enumerate(captured(name))
    ]
    records.sort(key=lambda record: record.timestamp)
    settings = Settings.load(**sections)
    return Evidence(settings, "telemetry", records, None, records[-1].timestamp + 3_600_000)


@pytest.mark.parametrize("name", KEYS)
def test_the_settings_of_the_page_leave_nothing_to_say(name: str) -> None:
    page = settings_of_page()[name]
    checks = list(examine_records(evidence(name, **page)))
    assert [check for check in checks if check.status == "fail"] == []
    # Rows of ten seconds lack nothing that comes each second.
    assert [check for check in checks if check.name.startswith("rows")] == []


@pytest.mark.parametrize("name", KEYS)
def test_from_the_defaults_it_names_the_settings_of_the_page(name: str) -> None:
    page = settings_of_page()[name]["input"]
    text = " ".join(check.fix for check in examine_records(evidence(name)))
    assert f'input.codec = "{page["codec"]}"' in text
    if "key" in page:
        assert f"input.key = {json.dumps(page['key'])}".replace('\\"', '"') in text
    assert ("input.rekey = true" in text) == page.get("rekey", False)


def test_stale_markers_of_prometheus_are_no_failures() -> None:
    """The series ended: there is no value, and nothing is wrong with the record."""
    source = Settings.model_validate(settings_of_page()["prometheus-kafka-adapter"]).input
    stale = captured("prometheus-kafka-adapter", "stale-nan.jsonl")
    names = [json.loads(sent.value or b"")["name"] for sent in stale]
    codec = make_codec(source.codec, list(dict.fromkeys(names)), **source.codec_options())
    decoded = codec.decode([LogRecord(s.key, s.value, s.timestamp_ms, 0, 0) for s in stale])
    assert {refusal.reason for refusal in decoded.rejected} <= {Reason.NO_CHANNELS}
    assert not decoded.bad_values
