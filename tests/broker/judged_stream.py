"""A stream that operators judge: its model, and what its meta rows hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ember_core.pipeline import MotorNeuron
from stream.engine import META_KEY
from tests.broker.conftest import Broker
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit


def save_quick_model(folder: Path) -> None:
    """Save a model that fires within rows of a fault, and resolves soon after it."""
    model = fit(KNOWN, CHANNELS, rows=307)
    model.pipeline.motor = MotorNeuron(on=1.3, off=1.0, time_constant_rows=3.0, refractory_rows=7)
    model.save(folder)


class MetaRows:
    """Meta rows of a changelog, as they are now."""

    def __init__(self, broker: Broker, changelog: str) -> None:
        self._broker, self._changelog = broker, changelog

    def read(self) -> list[dict[str, Any]]:
        """One of each partition that has one, in their order; none before the topic is there."""
        try:
            rows = self._broker.read_changelog(self._changelog)
        except LookupError:
            return []
        partitions = sorted(partition for partition, key in rows if key == META_KEY)
        return [json.loads(rows[partition, META_KEY]) for partition in partitions]

    def absorbed(self) -> int:
        """Messages with an outcome."""
        return sum(sum(meta["counts"].values()) for meta in self.read())

    def noted(self) -> set[str]:
        """Digests of the documents that score now."""
        return {meta["control"][-1]["digest"] for meta in self.read() if meta.get("control")}
