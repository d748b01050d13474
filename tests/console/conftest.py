"""A filled console on a free port, and Chromium pages that must stay without a fault."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from stream.console.console import Console
from tests.conftest import lacking
from tests.console.chromium import CHROMIUM, chromium, served
from tests.stream.console import filled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=window.attacked=1>/../%2e?#'\""
"""Name of a key, and part of the name of a channel, that a careless page would run."""
KEYS = 60


def hostile_rows(console: Console, end_us: int) -> None:
    """Add a key, a channel and an episode whose names are markup."""
    fault = filled.Fault(0, 0, 2, 40, 9.0)
    for row in range(40):
        time_us = end_us - (40 - row) * filled.STEP_US
        for batch in filled.batches([HOSTILE], time_us, row, [fault]):
            channels = (f"cpu {HOSTILE}", *batch.channels[1:])
            console.store.take_scores(dataclasses.replace(batch, channels=channels))
    begin_us = end_us - 37 * filled.STEP_US
    event, body = filled.trigger("hostile", fault, "firing", begin_us, begin_us, 3)
    named = body.replace(b'"cpu"', b'"<b onclick=alert(1)>cpu"')
    console.store.take_event(event, "trigger", HOSTILE, 0, named)


@pytest.fixture(scope="session")
def console() -> Console:
    end_us = time.time_ns() // 1000 // filled.STEP_US * filled.STEP_US
    console = filled.filled_console(keys=KEYS, hours=1.5, end_us=end_us)
    hostile_rows(console, end_us)
    return console


@pytest.fixture(scope="session")
def address(console: Console) -> Iterator[str]:
    with served(console) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, whose event loop tests of other modules must not see."""
    if CHROMIUM is None:
        lacking("browser", "Chromium is not installed (apt install chromium)")
    if find_spec("playwright") is None:
        lacking("browser", "playwright is not installed")
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Function that opens a path; afterwards no page may have had a fault or asked another host."""
    faults: list[str] = []
    contexts = []

    def open_page(
        path: str, *, width: int = 1600, theme: str = "light", writer: bool = True, **more: Any
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
            timezone_id="Europe/Berlin",
            **more,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: _check_host(request.url, address, faults))
        page.goto(address + path + (f"#token={filled.TOKEN}" if writer else ""))
        page.locator(".pill.live").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _check_host(url: str, address: str, faults: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(address).netloc:
        faults.append(f"The page asked another host: {url}")
