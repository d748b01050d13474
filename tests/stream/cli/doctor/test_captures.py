"""`ember doctor` on records of real programs: from the defaults to the settings of their page."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.sample import examine_records
from stream.settings import Settings
from tests.e2e.payloads import captured
from tests.e2e.test_from_other_programs import KEYS, settings_of_page


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
