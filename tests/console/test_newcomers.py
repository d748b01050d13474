"""Places where newcomers lost their way: each was found by somebody who used the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "web-001"
"""A key of the filled console whose `cpu` fires at its end."""
Open = Callable[..., "Page"]


@pytest.mark.parametrize("key", ["+", "-"])
def test_a_zoom_of_a_live_span_keeps_its_end(key: str, open_page: Open) -> None:
    page = open_page(f"/keys/{KEY}")
    page.locator(".chart canvas").first.wait_for()
    span = page.locator(".span-line")
    before = str(span.text_content())
    page.keyboard.press(key)
    page.wait_for_function(f"document.querySelector('.span-line').textContent !== {before!r}")
    after = str(span.text_content())
    assert after.rpartition(" to ")[2] == before.rpartition(" to ")[2]
    live = page.locator(".segment", has_text="Live")
    assert live.get_attribute("aria-pressed") == "true"
    page.wait_for_url("**/*range=*s*")
    page.get_by_role("button", name="Earlier").click()
    page.wait_for_url("**/*from=*")
    page.evaluate(
        """async () => {
          const { TimeWindow } = await import('/static/charts/time_window.js');
          const span = new TimeWindow(1e12, 3e12);
          span.zoom(0.5);
          if (span.beginUs !== 1.5e12 || span.endUs !== 2.5e12) throw new Error(span.beginUs);
        }"""
    )


def test_a_wrong_address_opens_a_page_that_says_so(browser: Browser, address: str) -> None:
    """Not by `open_page`: a browser notes the 404 of the page itself."""
    page = browser.new_page()
    answer = page.goto(f"{address}/keyz/web-001")
    assert answer is not None
    assert answer.status == 404
    page.get_by_text("There is no such page").wait_for()
    page.close()


def test_an_unknown_key_is_no_fault_of_the_page(open_page: Open) -> None:
    """`open_page` fails on every request that the browser calls failed."""
    page = open_page("/keys/nobody")
    page.get_by_text("This key has not been seen").wait_for()
    page.keyboard.press("+")
    page.wait_for_timeout(400)  # longer than a span needs to settle


def test_a_what_if_without_a_change_says_so(open_page: Open) -> None:
    page = open_page("/what-if")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    page.get_by_role("button", name="Replay").click()
    page.locator(".notice.fault", has_text="Nothing would be different yet").wait_for()
    assert page.locator("#ask-effect").evaluate("field => field === document.activeElement")
    assert not any("what-if" in request for request in asked)


def test_how_rare_a_row_is_is_said_in_time_everywhere(open_page: Open) -> None:
    page = open_page("/incidents")
    card = page.locator(".card").filter(has=page.locator(".card-key", has_text=KEY)).first
    card.get_by_text("At its peak once in").wait_for()
    page.goto(page.url.split("/incidents")[0] + f"/keys/{KEY}")
    page.locator(".readout-words", has_text="once in").wait_for()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_buttons_of_the_demo_cover_no_text(width: int, open_page: Open) -> None:
    page = open_page("/incidents", width=width)
    page.route("**/api/status", _as_demo)
    page.route("**/api/demo", lambda route: route.fulfill(json={"kinds": ["spike", "drift"]}))
    page.reload()
    page.locator(".demo").wait_for()
    page.locator(".card").first.wait_for()
    for is_open in (False, True):
        if is_open:
            page.locator(".demo summary").click()
            page.get_by_role("button", name="Kill the worker").wait_for()
        assert page.evaluate(
            """() => {
              const demo = document.querySelector('.demo').getBoundingClientRect();
              const page = document.querySelector('main').getBoundingClientRect();
              return demo.bottom <= page.top && demo.width <= innerWidth;
            }"""
        )


def _as_demo(route: object) -> None:
    answer = route.fetch()  # type: ignore[attr-defined]
    route.fulfill(json=json.loads(answer.text()) | {"demo": True})  # type: ignore[attr-defined]


def test_reasons_keep_the_names_of_channels(open_page: Open) -> None:
    page = open_page("/incidents")
    episodes = [
        {"alert": "EmberLimit", "summary": "db-1 cpu 95, above its limit 90"},
        {"alert": "EmberFiring", "summary": "db-1 behaves unlike itself: cpu 95"},
    ]
    reasons = page.evaluate(
        """async (episodes) => {
          const { reasonOf } = await import('/static/episodes.js');
          return episodes.map((episode) => reasonOf({ key: 'db-1', ...episode }));
        }""",
        episodes,
    )
    assert reasons == ["cpu 95, above its limit 90", "Behaves unlike itself: cpu 95"]


def test_another_pace_than_the_model_has_learned_is_said(open_page: Open) -> None:
    page = open_page("/")
    page.locator(".heat-name").first.wait_for()
    assert page.locator(".note").is_hidden()  # rows come as in the history
    page.route("**/api/network", _at_a_sixth)
    page.reload()
    note = page.locator(".note", has_text="in the history of the model one came every 3 minutes")
    note.wait_for()
    assert "every 30 seconds" in str(note.text_content())


def _at_a_sixth(route: object) -> None:
    answer = json.loads(route.fetch().text())  # type: ignore[attr-defined]
    route.fulfill(json=answer | {"row_seconds": 6 * answer["row_seconds"]})  # type: ignore[attr-defined]
