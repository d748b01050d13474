"""Rules, feedback and calendars that change under a service, and where each partition changed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from stream.cli.control.topic import read
from stream.control import ControlSet
from stream.engine import META_KEY
from stream.settings import Settings
from tests.e2e.service import ember

from .cluster import TOPIC
from .fleet import BEGIN_MS, MACHINES, STEP_MS
from .frame import Refuted

Changes = Mapping[int, list[tuple[int, ControlSet]]]
"""First offset of each set of documents, by partition."""

_BODIES: Final = (
    "ignore = true",
    'direction = "above"',
    "min_relative_deviation = 0.5",
    "sensitivity = 0.1",
    "weight = 0.25",
)
_CHANNELS: Final = 38
_SPAN_ROWS: Final = 120
"""Rows of a key within which the times of feedback and of planned work lie."""
_VERDICTS: Final = ("normal-now", "false-alarm")
_PIECES: Final = 3
"""Pieces of a machine that get feedback with each change."""
_EXCESS: Final = (0.0, 2.0, 8.0)


def apply_some(rng: random.Random, config: Path, number: int) -> None:
    """Write some documents into a file and apply it; those of the file before go.

    The times of the feedback lie anywhere in the stream: some of it counts for records that have
    come already, and so with the key's next one.

    Args:
        rng: Chooses them.
        config: Settings file of the service.
        number: Number of the change; another one gives another set.
    """
    tables = [f'[[rule]]\nname = "change-{number}"\nkeys = ["nobody"]\nignore = true\n']
    for name in rng.sample(MACHINES, rng.randrange(len(MACHINES))):
        keys = f'keys = ["{name}/*"]'
        tables.append(f'[[rule]]\nname = "{name}"\n{keys}\n{rng.choice(_BODIES)}\n')
    planned = rng.sample(MACHINES, rng.randrange(len(MACHINES)))
    tables += [_calendar(rng, name) for name in planned]
    for name in MACHINES:
        tables += [
            _feedback(rng, f"{name}/{piece:04d}", f"{name}-{piece}") for piece in range(_PIECES)
        ]
    path = config.parent / "rules.toml"
    path.write_text("\n".join(tables))
    words = ("--prune", "--yes", "--config", config)
    ember("control", "apply", path, *words, cwd=config.parent)


def _calendar(rng: random.Random, name: str) -> str:
    """Planned work on the pieces of a machine, at times of their rows; one of each week beside."""
    windows = []
    for _ in range(rng.randrange(1, 4)):
        begin, length = rng.randrange(_SPAN_ROWS), rng.randrange(1, 30)
        ends = (BEGIN_MS + row * STEP_MS for row in (begin, begin + length))
        texts = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in ends)
        windows.append("{{ begin = {}, end = {} }}".format(*texts))
    fields = (
        f'name = "{name}"\nkeys = ["{name}/*[02468]"]\nzone = "Europe/Berlin"\n'
        f'weekly = ["sat 22:00-02:00"]\nwindows = [{", ".join(windows)}]\n'
        f'grace = "{rng.choice((0, 5, 20))}m"\n'
    )
    return f"[[calendar]]\n{fields}"


def _feedback(rng: random.Random, key: str, name: str) -> str:
    """Return feedback on a key, of either kind."""
    verdict = rng.choice(_VERDICTS)
    time = datetime.fromtimestamp((BEGIN_MS + rng.randrange(_SPAN_ROWS) * STEP_MS) / 1000, tz=UTC)
    lines = [
        "[[feedback]]",
        f'name = "{name}"',
        f'event = "{name}"',
        f'verdict = "{verdict}"',
        f'key = "{key}"',
        f'topic = "{TOPIC}"',
        f'time = "{time:%Y-%m-%dT%H:%M:%SZ}"',
    ]
    if verdict == "false-alarm":
        above, below, *companions = rng.sample(range(_CHANNELS), 6)
        lines += [
            f'above = ["c{above:02d}"]',
            f'below = ["c{below:02d}"]',
            f"companions_above = {[f'c{channel:02d}' for channel in companions]}",
            f"excess = {rng.choice(_EXCESS)}",
        ]
    return "\n".join(lines) + "\n"


def noted(changelog: Mapping[tuple[int, bytes], bytes], settings: Settings) -> Changes:
    """Read from the meta rows which documents scored from which offset on.

    Raises:
        Refuted: If a set is noted that was never in force.
    """
    catalogue = read(settings)
    changes: dict[int, list[tuple[int, ControlSet]]] = {}
    for (partition, key), value in changelog.items():
        if key != META_KEY:
            continue
        meta: dict[str, Any] = msgspec.json.decode(value)
        found = changes.setdefault(partition, [])
        for epoch in meta.get("control", []):
            control = catalogue.find(epoch["digest"])
            if control is None:
                raise Refuted(f"Partition {partition} names documents that never were: {epoch}.")
            found.append((epoch["offset"], control))
    return changes
