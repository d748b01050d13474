"""The console's page beside a worker: a fault is seen, judged by a click, and tried in what-if."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stream.cli import main
from tests.broker.conftest import Broker
from tests.broker.judged_stream import MetaRows, save_quick_model
from tests.broker.test_console import TOKEN, Api, console, console_settings
from tests.broker.test_control import settings_file
from tests.broker.test_feedback import FIRST, ROWS, SPIKY, records
from tests.conftest import lacking
from tests.console.chromium import CHROMIUM, chromium
from tests.e2e.service import Service, wait_until

KEY = SPIKY.decode()
RULES = '[[rule]]\nname = "heat"\nchannels = ["heat"]\nignore = true\n'


@pytest.mark.slow
@pytest.mark.broker
def test_a_fault_is_seen_and_a_click_changes_what_fires_next(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if CHROMIUM is None:
        lacking("browser", "Chromium is not installed (apt install chromium)")
    topic = broker.topic("page", 2)
    save_quick_model(tmp_path / "model")
    if not broker.real:
        broker.create({f"{topic}.scores": 2})
    more = f'[model]\npath = "{tmp_path / "model"}"\n[output]\nscores = "all"\n'
    config = settings_file(broker, tmp_path, topic, more)
    settings = console_settings(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"

    meta_rows = MetaRows(broker, changelog)
    absorbed = meta_rows.absorbed

    def judged() -> bool:
        return any(meta_rows.noted())

    def pages(api: Api) -> list[dict[str, Any]]:
        events = api.get("/api/events", key=KEY)["events"]
        return [event for event in events if event["alert"] == "EmberFiring"]

    worker = Service(tmp_path, config, embedded=not broker.real)
    faults: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(worker)
        api = stack.enter_context(console(settings))
        wait_until("the start", lambda: "Running with 2" in worker.log.read_text(), worker)
        broker.produce(topic, records(0, FIRST))
        wait_until("the first rows", lambda: absorbed() == 2 * FIRST, worker)
        api.until(lambda: pages(api))
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.set_default_timeout(60_000)
            page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: faults.append(str(error)))

            # The fault is in the feed with its channel, in the heat map, and on the key's page.
            address = api.address.rstrip("/")
            page.goto(f"{address}/incidents?key={KEY}#token={TOKEN}")
            card = page.locator(".card", has=page.locator(".chip-name", has_text="heat")).first
            card.wait_for()
            assert card.locator(".chip-name").first.text_content() == "heat"
            card.locator(".card-key").click()
            page.locator(".card.is-chosen .chip-name", has_text="heat").first.wait_for()
            page.locator(".chart-name", has_text=re.compile("^heat$")).wait_for()
            page.locator(".tab", has_text="Fleet").click()
            page.locator(".heat-name", has_text=re.compile(f"^{KEY}$")).wait_for()

            page.go_back()
            page.go_back()
            card.get_by_role("button", name="False alarm").click()
            card.locator(".card-word", has_text="by alice").wait_for()
            wait_until("the judgement", judged, worker)
            broker.produce(topic, records(FIRST, ROWS))
            wait_until("the last rows", lambda: absorbed() == 2 * ROWS, worker)
            api.until(lambda: len(pages(api)) == 2)
            # The judged fault came twice more and was not told again; the other one was.
            page.locator(".chip-name", has_text="flow").first.wait_for()
            assert [event["channels"][0]["name"] for event in pages(api)] == ["flow", "heat"]

            page.get_by_role("button", name="Undo").click()
            card.locator(".card-word").wait_for(state="detached")
            page.goto(f"{address}/what-if?keys=*&channels=heat&effect=ignore")
            page.get_by_role("button", name="Replay").click()
            page.locator(".whatif-summary").wait_for()
            heads = page.locator(".side h3").all_text_contents()
            before, after = (int(re.findall(r"(\d+) page", head)[0]) for head in heads)
            gone = page.locator(".gone .key-name").all_text_contents()

        rules = tmp_path / "rules.toml"
        rules.write_text(RULES)
        capsys.readouterr()
        arguments = [f"kafka:{topic}", "--config", str(config), "--rules", str(rules), "--json"]
        assert main(["backtest", *arguments]) == 0
        expected = json.loads(capsys.readouterr().out)["rules"]
        assert (before, after) == (expected["pages_before"], expected["pages_after"])
        assert sorted(gone) == sorted(lost["key"] for lost in expected["gone"])
    assert faults == []
