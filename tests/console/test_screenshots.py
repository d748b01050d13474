"""The tour's pictures: those of the script, those of the page and the files are the same."""

from __future__ import annotations

import re
import struct
from importlib.util import find_spec

import pytest

from tests.conftest import lacking
from tests.test_repository import ROOT, load

FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 120_000


def test_the_tour_shows_the_pictures_that_the_script_makes() -> None:
    if find_spec("playwright") is None:
        lacking("browser", "playwright is not installed")
    pictures = load(ROOT / "docs" / "screenshots.py").PICTURES
    page = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    shown = re.findall(r"\]\(screenshots/([\w-]+)\.png\)", page)
    assert shown == [picture.name for picture in pictures]
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.png" for name in shown}
    assert len(shown) == 8
    for picture in pictures:
        png = (FOLDER / f"{picture.name}.png").read_bytes()
        assert struct.unpack(">II", png[16:24]) == (picture.width, picture.height), picture.name
        assert len(png) < MOST_BYTES, picture.name


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.png")), ids=lambda path: path.name)
def test_a_picture_is_no_empty_page(path: object) -> None:
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
    assert len(colours) > 40
    assert max(count for count, _ in colours) < 0.97 * sum(count for count, _ in colours)
