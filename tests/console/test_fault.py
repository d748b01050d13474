"""A fault in the page: heat map, key, feed, what people do about it, and what-if."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stream.console.console import Console

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

KEY, CHANNEL = "web-001", "cpu"
Open = Callable[..., "Page"]


def documents(console: Console, kind: str) -> list[str]:
    with console.store.locked() as store:
        return [d.key for d in store.documents.control.documents if d.kind == kind]


def test_the_fleet_shows_the_fault(open_page: Open) -> None:
    page = open_page("/")
    row = page.locator(".key-row", has=page.locator(".dot.firing"), has_text=KEY)
    row.first.wait_for()
    assert row.first.locator(".key-channel").text_content() == CHANNEL
    page.locator(".heat-name.is-firing", has_text=KEY).wait_for()
    # The newest cell of that row has the colour of a severe one, and that of a calm row has not.
    colours = page.evaluate(
        """key => {
          const canvas = document.querySelector('.heat-canvas');
          const pen = canvas.getContext('2d');
          const names = [...document.querySelectorAll('.heat-name')].filter(a => !a.hidden);
          const top = canvas.getBoundingClientRect().top;
          return [key, null].map(wanted => {
            const label = wanted ? names.find(a => a.textContent === wanted) : names.at(-3);
            const box = label.getBoundingClientRect();
            const y = (box.top + box.height / 2 - top) * devicePixelRatio;
            return [...pen.getImageData(canvas.width - 12, y, 1, 1).data];
          });
        }""",
        KEY,
    )
    severe, calm = colours
    assert sum(calm[:3]) - sum(severe[:3]) > 150
    assert severe[0] > severe[2] + 60, "a severe cell is red"


def test_the_keyboard_walks_the_fleet(open_page: Open) -> None:
    page = open_page("/")
    page.locator(".heat-name.is-firing").first.wait_for()
    page.keyboard.press("m")
    page.keyboard.press("j")
    spoken = page.locator(".heat-root [aria-live]")
    first = page.locator(".heat-name:visible").first.text_content()
    page.wait_for_function("e => e.textContent.includes('fires now')", arg=spoken.element_handle())
    assert first in (spoken.text_content() or "")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/keys/"))
    page.locator(".key-title").wait_for()
    assert page.locator("h1").text_content() == first


def test_the_filters_of_the_fleet_are_in_the_address(open_page: Open) -> None:
    page = open_page("/?pattern=db-*")
    page.locator(".heat-name:visible", has_text="db-").first.wait_for()
    assert page.locator(".heat-name:visible", has_text="web-").count() == 0
    page.get_by_label("Keys", exact=True).fill("no-such-key")
    page.get_by_text("No key matches").wait_for()
    assert "pattern=no-such-key" in page.url


def test_ten_thousand_keys_cost_a_frame_as_much_as_ten(open_page: Open) -> None:
    """What is drawn is bounded by the window; the measured rate is in the docs."""
    page = open_page("/health")
    page.route(
        "**/api/fleet?*",
        lambda route: route.fulfill(
            json={
                "begin_us": 0,
                "step_us": 15_000_000,
                "columns": 240,
                "total": 10_000,
                "keys": [KEY, *(f"key-{n}" for n in range(1, 10_000))],
                "firing": [0] * 10_000,
                "cells": "FBQU" * (10_000 * 240 // 3),
            }
        ),
    )
    page.locator(".tab", has_text="Fleet").click()
    page.locator(".heat-name", has_text="key-1").first.wait_for()
    heat = page.locator(".heat")
    assert heat.evaluate("e => e.scrollHeight") > 200_000
    heat.evaluate("e => { e.scrollTop = e.scrollHeight; }")
    page.locator(".heat-name:visible", has_text="key-9999").wait_for()
    assert page.locator(".heat-name").count() < 60
    assert page.locator(".heat-canvas").evaluate("e => e.height") <= 900


def test_the_key_page_shows_the_channel_outside_its_band(open_page: Open) -> None:
    page = open_page("/incidents")
    page.locator(".card-key", has_text=re.compile(f"^{KEY}$")).first.click()
    page.wait_for_url(re.compile(f"/keys/{KEY}\\?.*event="))
    page.locator(".card.is-chosen").wait_for()
    titles = page.locator(".chart-name")
    titles.filter(has_text=re.compile(f"^{CHANNEL}$")).wait_for()
    assert titles.count() == 3 + 5
    # A click into the episode pins its row.
    plot = page.locator(".chart", has=page.locator(".chart-name", has_text=CHANNEL)).first
    over = plot.locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 20)
    page.locator(".is-outside").first.wait_for()
    # One usual value in twenty is outside its band too.
    outside = page.locator(".is-outside th").all_text_contents()
    assert CHANNEL in outside
    assert len(outside) < 4
    part = page.locator("tr", has=page.locator("th", has_text=CHANNEL)).locator("td").nth(3)
    assert int((part.text_content() or "").rstrip(" %")) > 80
    assert "at=" in page.url


def test_the_keyboard_zooms_and_pans_and_the_link_keeps_it(open_page: Open) -> None:
    page = open_page(f"/keys/{KEY}?range=6h")
    page.locator(".chart canvas").first.wait_for()
    page.keyboard.press("+")
    page.wait_for_url(re.compile("range=10800s"))  # it still follows the newest record
    line = page.locator(".span-line").text_content()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("t => document.querySelector('.span-line').textContent !== t", arg=line)
    page.wait_for_url(re.compile("from=.*to="))
    moved = page.locator(".span-line").text_content()
    page.reload()
    page.locator(".chart canvas").first.wait_for()
    assert page.locator(".span-line").text_content() == moved
    page.keyboard.press("l")
    page.wait_for_url(re.compile("range=|/keys/[^?]*$"))


def test_the_wheel_zooms_and_a_drag_chooses_a_span(open_page: Open) -> None:
    page = open_page(f"/keys/{KEY}?range=1h")
    over = page.locator(".u-over").first
    over.wait_for()
    box = over.bounding_box()
    assert box is not None
    x, y, width = box["x"], box["y"] + 20, box["width"]
    page.mouse.move(x + 0.25 * width, y)
    page.mouse.down()
    page.mouse.move(x + 0.5 * width, y, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("from=.*to="))
    chosen = page.url
    page.keyboard.down("Control")
    page.mouse.wheel(0, 400)
    page.keyboard.up("Control")
    page.wait_for_function("u => location.href !== u", arg=chosen)


def test_the_picture_is_a_png_of_all_charts(open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"/keys/{KEY}")
    page.locator(".chart canvas").nth(7).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    target = tmp_path / "picture.png"
    download.value.save_as(target)
    header = target.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    assert width > 600
    assert height > 8 * 84
    assert download.value.suggested_filename.startswith(KEY)


def test_a_verdict_is_one_click_with_an_undo(open_page: Open, console: Console) -> None:
    page = open_page(f"/incidents?key={KEY}")
    card = page.locator(".card").first
    assert card.locator(".chip-name").first.text_content() == CHANNEL
    before = documents(console, "feedback")
    card.get_by_role("button", name="False alarm").click()
    page.locator(".notice", has_text="By alice").wait_for()
    card.locator(".card-word", has_text="Called a false alarm by alice").wait_for()
    assert len(documents(console, "feedback")) == len(before) + 1
    assert card.get_by_role("button", name="False alarm").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Undo").click()
    page.locator(".notice", has_text="Taken back").wait_for()
    card.locator(".card-word").wait_for(state="detached")
    assert documents(console, "feedback") == before
    page.get_by_role("button", name="Who did what").click()
    page.locator(".history-row", has_text="alice").first.wait_for()


def test_a_silence_asks_for_how_long(open_page: Open, console: Console) -> None:
    page = open_page(f"/incidents?key={KEY}")
    page.locator(".card").first.get_by_role("button", name="Silence").click()
    page.get_by_label("For how long").select_option("30")
    page.get_by_label("Reason").fill("moved to another rack")
    page.locator("dialog").get_by_role("button", name="Silence").click()
    page.locator(".notice", has_text="Silent until").wait_for()
    page.locator(".card-word", has_text="moved to another rack").first.wait_for()
    assert len(documents(console, "silence")) == 1
    page.get_by_role("button", name="Undo").click()
    page.locator(".card-word").first.wait_for(state="detached")
    assert documents(console, "silence") == []


def test_who_is_unknown_can_look_but_not_write(open_page: Open) -> None:
    page = open_page("/incidents", writer=False)
    action = page.get_by_role("button", name="False alarm").first
    action.wait_for()
    assert action.is_disabled()
    assert "read only" in (action.get_attribute("title") or "")


def test_what_if_shows_pages_that_go(open_page: Open) -> None:
    page = open_page("/what-if?keys=web-*&effect=ignore&channels=cpu")
    page.get_by_role("button", name="Replay").click()
    page.locator(".whatif-summary").wait_for()
    assert page.locator(".gone").count() > 0
    assert page.locator(".new").count() == 0
    page.locator(".gone .side-row").first.click()
    page.wait_for_url(re.compile("/keys/web-"))


def test_the_network_lights_up(open_page: Open) -> None:
    page = open_page(f"/network?key={KEY}")
    page.locator(".wiring-facts h2", has_text=KEY).wait_for()
    bright = """() => [...document.querySelectorAll('.neuron')]
      .filter(circle => Number(circle.getAttribute('fill-opacity')) > 0.5).length"""
    assert page.evaluate(bright) > 0
    at = page.url
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("u => location.href !== u", arg=at)


def test_search_and_keys_of_the_keyboard(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("?")
    page.locator("dialog", has_text="find a key").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("eb-001")
    page.locator(".found-row", has_text=KEY).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/keys/{KEY}"))
    page.keyboard.press("p")
    page.locator(".pill.paused").wait_for()
    page.keyboard.press("p")
    page.locator(".pill.live").wait_for()
    page.keyboard.press("2")
    page.locator(".card-key").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.className") == "card-key"
