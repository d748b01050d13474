"""Generator of the dashboards: `python deploy/grafana/generate.py` writes them.

Users import the JSON; a test compares it with this source, where repeated panels stand once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import key
import keys
import model
import overview
import pipeline

FOLDER = Path(__file__).resolve().parent / "dashboards"
DASHBOARDS = {
    "overview": overview.OVERVIEW,
    "pipeline": pipeline.PIPELINE,
    "model": model.MODEL,
    "keys": keys.KEYS,
    "key": key.ONE_KEY,
}


def render(name: str) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(DASHBOARDS[name].as_json(), indent=2, ensure_ascii=False) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write the files that have changed."""
    for name in DASHBOARDS:
        path = folder / f"{name}.json"
        if not path.exists() or path.read_text(encoding="utf-8") != render(name):
            path.write_text(render(name), encoding="utf-8")
            sys.stderr.write(f"{path.name} is new\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
