"""What a newcomer sees first: keys that may not fire yet, and a broker that goes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from stream.console.console import Console, Reading
from stream.console.guard import Guard
from stream.console.store import Store
from stream.settings import Settings
from tests.console.chromium import served
from tests.stream.console import filled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEYS = 7
ROWS = 13


def young_console() -> Console:
    """A console whose keys have a severe row each step, and may not fire yet."""
    settings = Settings.model_validate({"input": {"topics": [filled.TOPIC]}})
    store, names = Store(64 << 20, 3.0), filled.key_names(KEYS)
    faults = [filled.Fault(key, 1, 0, ROWS, 9.0) for key in range(KEYS)]
    for row in range(ROWS):
        time_us = filled.END_US - (ROWS - row) * filled.STEP_US
        for batch in filled.batches(names, time_us, row, faults):
            no_threshold = np.full(len(batch), np.inf, np.float32)
            quiet = np.zeros(len(batch), bool)
            store.take_scores(
                dataclasses.replace(batch, threshold=no_threshold, firing=quiet, anomaly=quiet)
            )
    return Console(settings, store, Guard(settings.console), None, Reading(0, "running", ""))


def test_keys_that_may_not_fire_yet_are_shown_as_learning(browser: Browser) -> None:
    """Not as severe ones, on any page; and no threshold is drawn that nothing could reach."""
    with served(young_console()) as address:
        page = browser.new_page()
        page.set_default_timeout(15_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        page.locator(".legend-step", has_text="still learning").wait_for()
        page.locator(".heat-name").first.wait_for()
        page.locator(".heat").focus()
        page.keyboard.press("ArrowDown")
        page.locator(".sr-only", has_text=": still learning").wait_for()
        page.goto(f"{address}/keys/web-001")
        page.locator(".readout-words", has_text="still learning").wait_for()
        words = page.locator(".readout-words").text_content() or ""
        assert "evidence" in words
        assert " of " not in words
        assert faults == []
        page.close()


def test_the_head_says_that_kafka_does_not_answer(browser: Browser) -> None:
    """Though the console itself does; what is behind is unknown then."""
    console = young_console()
    with served(console) as address:
        page = browser.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"{address}/health")
        page.locator(".pill.live", has_text="Live").wait_for()
        reading = console.reading
        reading.phase, reading.trouble, reading.lag = "waiting", "No broker answers.", None
        page.locator(".pill.lost", has_text="Waiting").wait_for()
        assert "No broker answers." in (page.locator(".pill").get_attribute("title") or "")
        behind = page.locator(".facts div", has_text="Messages behind").locator("dd")
        behind.get_by_text("–", exact=True).wait_for()
        reading.phase, reading.trouble, reading.lag = "running", "", 0
        page.locator(".pill.live", has_text="Live").wait_for()
        page.close()
