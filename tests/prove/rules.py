"""Rules and calendars that change under a service, and where each partition has changed."""

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
_ROWS: Final = 120


def apply_some(rng: random.Random, config: Path, number: int) -> None:
    """Write some rules into a file and apply it; those of the file before go.

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
    path = config.parent / "rules.toml"
    path.write_text("\n".join(tables))
    words = ("--prune", "--yes", "--config", config)
    ember("control", "apply", path, *words, cwd=config.parent)


def _calendar(rng: random.Random, name: str) -> str:
    """Planned work on the pieces of a machine, at times of their rows; one of each week beside."""
    windows = []
    for _ in range(rng.randrange(1, 4)):
        begin, length = rng.randrange(_ROWS), rng.randrange(1, 30)
        ends = (BEGIN_MS + row * STEP_MS for row in (begin, begin + length))
        texts = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in ends)
        windows.append("{{ begin = {}, end = {} }}".format(*texts))
    fields = (
        f'name = "{name}"\nkeys = ["{name}/*[02468]"]\nzone = "Europe/Berlin"\n'
        f'weekly = ["sat 22:00-02:00"]\nwindows = [{", ".join(windows)}]\n'
        f'grace = "{rng.choice((0, 5, 20))}m"\n'
    )
    return f"[[calendar]]\n{fields}"


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
