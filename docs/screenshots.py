"""Make the pictures of the tour, from the filled console or from one that runs.

python docs/screenshots.py                                     # into docs/screenshots/
python docs/screenshots.py --address "http://127.0.0.1:6058/#token=..."  # of `ember demo --console`
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.console.chromium import chromium, served  # noqa: E402
from tests.stream.console import filled  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER: Final = ROOT / "docs" / "screenshots"
COLOURS: Final = 160
KEY: Final = "web-001"


class Picture(NamedTuple):
    """One picture of the tour.

    Attributes:
        name: Name of its file.
        path: Path of the page, with `{key}` for the key that fires.
        ready: Selector of the part that is waited for.
        width: Width of the window in pixels.
        height: Height of the window.
        theme: Colours.
        act: What is done on the page before.
    """

    name: str
    path: str
    ready: str
    width: int = 1280
    height: int = 760
    theme: str = "light"
    act: Callable[[Page], None] | None = None


def _pin(page: Page) -> None:
    """Click into the newest part of the first chart."""
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.97 * box["width"], box["y"] + 40)
    page.wait_for_timeout(800)


def _replay(page: Page) -> None:
    page.get_by_role("button", name="Replay").click()
    page.locator(".whatif-summary").wait_for()
    page.mouse.move(0, 0)


PICTURES: Final = (
    Picture("fleet", "/", ".heat-name"),
    Picture("key", "/keys/{key}", ".chart canvas", act=_pin),
    Picture("feed", "/incidents", ".preview canvas"),
    Picture("incidents", "/incidents?view=incidents", ".incident", height=560),
    Picture("what-if", "/what-if?keys=*&channels=cpu&effect=ignore", ".whatif-form", act=_replay),
    Picture("network", "/network?key={key}", ".wiring-facts table", theme="dark", height=640),
    Picture("health", "/health", ".facts", theme="dark", height=480),
    Picture("phone", "/incidents", ".card", width=390, height=760, theme="dark"),
)


def small(png: bytes) -> bytes:
    """Return a picture with fewer colours, which takes a third of the space."""
    from PIL import Image

    target = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=0)
    picture.save(target, "PNG", optimize=True)
    return target.getvalue()


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="printed address of a console; else one is filled")
    parser.add_argument("--key", default=KEY, help="key that fires there")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        address = options.address
        if address is None:
            end_us = time.time_ns() // 1000 // filled.STEP_US * filled.STEP_US
            address = stack.enter_context(served(filled.filled_console(end_us=end_us)))
            address += f"#token={filled.TOKEN}"
        base, _, token = address.partition("#")
        browser = stack.enter_context(chromium())
        for picture in PICTURES:
            context = browser.new_context(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme=picture.theme,
                reduced_motion="reduce",
                timezone_id="Europe/Berlin",
            )
            page = context.new_page()
            page.goto(f"{base.rstrip('/')}{picture.path.format(key=options.key)}#{token}")
            page.locator(picture.ready).first.wait_for()
            page.wait_for_timeout(700)
            if picture.act is not None:
                picture.act(page)
            target = options.folder / f"{picture.name}.png"
            target.write_bytes(small(page.screenshot()))
            print(f"{target.name}: {target.stat().st_size // 1024} KiB")
            context.close()


if __name__ == "__main__":
    main()
