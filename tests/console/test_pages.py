"""The pages in Chromium: they open without a fault, at both widths, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.console.conftest import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

KEY = "web-001"
"""A key of the filled console whose `cpu` fires at its end."""
PAGES = {
    "fleet": ("/", ".heat-canvas"),
    "key": (f"/keys/{KEY}", ".chart canvas"),
    "feed": ("/incidents", ".card"),
    "incidents": ("/incidents?view=incidents", ".incident"),
    "history": ("/incidents?view=history", ".history-row"),
    "what-if": ("/what-if", ".whatif-form"),
    "network": ("/network", ".wiring-picture"),
    "health": ("/health", ".facts"),
}
Open = Callable[..., "Page"]


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_and_fits(name: str, width: int, open_page: Open) -> None:
    path, part = PAGES[name]
    page = open_page(path, width=width, has_touch=width == 390)
    page.locator(part).first.wait_for()
    page.wait_for_load_state("load")
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= width, "the page is wider than the window"
    assert page.title().endswith("telemetry")
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_used_by_everybody(name: str, theme: str, open_page: Open) -> None:
    """Axe finds nothing serious: contrast, names, roles, focus."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path, part = PAGES[name]
    page = open_page(path, theme=theme)
    page.locator(part).first.wait_for()
    found = axe.Axe().run(page).response["violations"]
    serious = [
        f"{fault['id']}: {[node['html'] for node in fault['nodes'][:3]]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_names_that_are_markup_stay_text(open_page: Open) -> None:
    page = open_page(f"/keys/{quote(HOSTILE, safe='')}")
    page.locator(".chart canvas").first.wait_for()
    assert page.locator("h1").text_content() == HOSTILE
    assert page.get_by_text(f"cpu {HOSTILE}", exact=True).first.is_visible()
    page.goto(page.url.split("/keys/")[0] + "/incidents")
    page.locator(".card-key", has_text=HOSTILE).first.wait_for()
    assert page.locator(".chip-name", has_text="<b onclick").first.is_visible()
    page.locator(".tab", has_text="Fleet").click()
    page.locator(".heat-name", has_text=HOSTILE).first.wait_for()
    assert page.evaluate("window.attacked") is None
    assert page.locator("main img, main b").count() == 0


def test_an_unknown_page_says_what_to_do(open_page: Open) -> None:
    page = open_page("/health")
    page.evaluate("history.pushState(null, '', '/nowhere'), history.pushState(null, '', '/')")
    page.go_back()
    page.get_by_text("There is no such page").wait_for()


def test_a_lost_connection_is_shown(browser: object, address: str) -> None:
    """Not by `open_page`: the requests that fail are what is wanted."""
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(address)
    page.locator(".pill.live").wait_for()
    page.route("**/api/**", lambda route: route.abort())
    page.locator(".tab", has_text="Health").click()
    page.locator(".notice.fault", has_text="does not answer").wait_for()
    page.close()


def test_planned_work_is_for_the_key_and_in_the_history(open_page: Open) -> None:
    """The name of the key has blanks, which part patterns from one another elsewhere."""
    page = open_page("/incidents")
    # The event of this key has a channel that no row has.
    page.route("**/series?*", lambda route: route.continue_(url=_all_channels(route.request.url)))
    card = page.locator(".card").filter(has=page.locator(".card-key", has_text=HOSTILE)).first
    card.get_by_role("button", name="Planned work").click()
    form = page.locator("dialog .form").bounding_box()
    assert form is not None
    assert form["height"] < 400
    page.locator("#ask-reason").fill("a move")
    page.locator("dialog .primary").click()
    page.locator(".notice", has_text="The window is in the calendar").wait_for()
    page.get_by_text("Who did what").click()
    row = page.locator(".history-row", has_text="a move").first
    row.get_by_text("wrote calendar/").wait_for()
    control = page.evaluate("fetch('/api/control').then((answer) => answer.json())")
    body = next(d["body"] for d in control["documents"] if d["reason"] == "a move")
    assert body["keys"] == [HOSTILE.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")]
    assert len(body["times"]) == 1
    page.locator(".notice").get_by_role("button", name="Undo").click()
    page.locator(".history-row", has_text="removed calendar/").first.wait_for()


def _all_channels(url: str) -> str:
    return url.split("&channels=")[0]


def test_a_wrong_token_is_named(open_page: Open) -> None:
    page = open_page("/incidents#token=wrong", writer=False)
    page.get_by_text("read only", exact=True).wait_for()
    button = page.locator(".card").first.get_by_role("button", name="Silence")
    page.locator(".card").first.wait_for()
    assert button.is_disabled()
    said = page.get_by_text("read only", exact=True).get_attribute("title")
    assert "the token of this tab is not console.token" in str(said)
