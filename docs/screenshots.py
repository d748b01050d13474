"""Make the pictures of the tour, from the demo or from a filled console.

python docs/screenshots.py --demo       # into docs/screenshots/; starts `ember demo`, three minutes
python docs/screenshots.py              # of a filled console, which needs no worker and no broker
"""

from __future__ import annotations

import argparse
import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.console.chromium import chromium, served  # noqa: E402
from tests.stream.console import filled  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER: Final = ROOT / "docs" / "screenshots"
COLOURS: Final = 160
WAIT_SECONDS: Final = 180.0
HISTORY_SECONDS: Final = 75
"""Time for which the demo runs before a fault: at 5 rows a second, an hour of its time."""
MACHINES: Final = tuple(f"db-{number:03d}" for number in range(3, 13))
"""Machines of which some get a fault together, and so become an incident."""
FAULTS: Final = 4


class Scene(NamedTuple):
    """Console that pictures are taken of.

    Attributes:
        address: Its address, with the token.
        key: Key that fires there.
        channel: Channel that leads its episode.
        pattern: Keys for the what-if page.
    """

    address: str
    key: str
    channel: str
    pattern: str


class Picture(NamedTuple):
    """One picture of the tour.

    Attributes:
        name: Name of its file.
        path: Path of the page, with the fields of the scene in braces.
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
    # One replay runs at a time: that of the key's forecast may not be over yet.
    for _ in range(20):
        page.get_by_role("button", name="Replay").click()
        page.locator(".whatif-summary, .notice.fault").first.wait_for(timeout=120_000)
        if page.locator(".whatif-summary").is_visible():
            break
        page.get_by_role("button", name="Dismiss").first.click()
        page.wait_for_timeout(3_000)
    page.mouse.move(0, 0)


PICTURES: Final = (
    Picture("fleet", "/", ".heat-name"),
    Picture("key", "/keys/{key}", ".chart canvas", act=_pin),
    Picture("feed", "/incidents", ".preview canvas"),
    Picture("incidents", "/incidents?view=incidents", ".incident", height=560),
    Picture(
        "what-if",
        "/what-if?keys={pattern}&channels={channel}&effect=ignore",
        ".whatif-form",
        act=_replay,
    ),
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


@contextmanager
def filled_scene() -> Iterator[Scene]:
    """Serve a filled console."""
    end_us = time.time_ns() // 1000 // filled.STEP_US * filled.STEP_US
    with served(filled.filled_console(end_us=end_us)) as address:
        yield Scene(f"{address}#token={filled.TOKEN}", "web-001", "cpu", "*")


@contextmanager
def demo_scene() -> Iterator[Scene]:
    """Run `ember demo` until some machines of it fire together."""
    command = [sys.executable, "-m", "stream.cli", "demo", "--headless", "--console"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            address = next(line for line in lines if line.startswith("Console: ")).split()[1]
            base, _, token = address.partition("#token=")
            with httpx.Client(base_url=base, timeout=60.0) as client:
                client.headers["Authorization"] = f"Bearer {token}"
                client.headers["X-Ember-CSRF"] = client.get("/api/status").json()["csrf"]
                _until("the first rows", lambda: client.get("/api/status").json()["scores"])
                time.sleep(HISTORY_SECONDS)
                yield _scene(client, address, _broken(client))
        finally:
            process.send_signal(signal.SIGINT)
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for a process that was asked to end; a shell may have told it to ignore Ctrl-C."""
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.terminate()


def _broken(client: httpx.Client) -> set[str]:
    """Put faults into machines that have none, and return their names."""
    names: set[str] = set()
    for key in MACHINES:
        if len(names) == FAULTS:
            break
        answer = client.post("/api/demo/fault", json={"kind": "spike", "key": key})
        if answer.is_success:
            names.add(key)
    return names


def _scene(client: httpx.Client, address: str, broken: set[str]) -> Scene:
    """Wait for the incident of the faults, and return the scene of its first key."""

    def members() -> list[str]:
        incidents = client.get("/api/incidents").json()["incidents"]
        keys = [[member["key"] for member in each["members"]] for each in incidents]
        return next((names for names in keys if len(set(names) & broken) > 1), [])

    key = next(name for name in _until("an incident", members) if name in broken)
    episodes = client.get("/api/events", params={"key": key}).json()["events"]
    channel = episodes[0]["channels"][0]["name"]
    return Scene(address, key, channel, re.sub(r"\d+$", "*", key))


def _until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"Waited in vain for {what}.")
        time.sleep(0.5)
    return answer


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="of `ember demo`, which is started")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        scene = stack.enter_context(demo_scene() if options.demo else filled_scene())
        base, _, token = scene.address.partition("#")
        browser = stack.enter_context(chromium())
        for picture in PICTURES:
            context = browser.new_context(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme=picture.theme,
                reduced_motion="reduce",
                timezone_id="Europe/Berlin",
            )
            page = context.new_page()
            page.goto(f"{base.rstrip('/')}{picture.path.format(**scene._asdict())}#{token}")
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
