"""Pictures of docs/plots.md, from the programs in examples/: `python docs/pictures.py`.

They are made when a picture is meant to change, and kept in docs/pictures. A test holds that the
files, this list and the page agree.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FOLDER = Path(__file__).resolve().parent / "pictures"
PICTURES = {
    "series": "pictures",
    "score": "pictures",
    "contributions": "pictures",
    "reasons": "pictures",
    "activations": "pictures",
    "energy": "pictures",
    "wiring": "pictures",
    "training": "liquid_network",
}
"""Name of each picture, and the example it comes from."""
_COLOURS = 96
_DPI = 72


def figures() -> dict[str, Any]:
    """Run the examples, and return their figures by name."""
    from ember_core import plots

    # The examples save files of their own, and print.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        former = Path.cwd()
        os.chdir(folder)
        try:
            names = {
                example: runpy.run_path(str(ROOT / "examples" / f"{example}.py"))
                for example in sorted(set(PICTURES.values()))
            }
        finally:
            os.chdir(former)
    history = names["liquid_network"]["history"]
    return {**names["pictures"]["pictures"], "training": plots.training(history)}


def png(figure: Any) -> bytes:
    """Return a figure as PNG with few colours: a page of documentation stays light."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()


def main() -> None:
    """Write the pictures, and remove others."""
    FOLDER.mkdir(exist_ok=True)
    made = figures()
    for path in FOLDER.glob("*.png"):
        if path.stem not in PICTURES:
            path.unlink()
    for name in PICTURES:
        (FOLDER / f"{name}.png").write_bytes(png(made[name]))
        sys.stderr.write(f"docs/pictures/{name}.png is new\n")


if __name__ == "__main__":
    main()
