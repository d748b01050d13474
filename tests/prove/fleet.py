"""Real telemetry as a large fleet: recorded machines cut into pieces, each a key of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.kafka_client import Send
from ember_core.data.sources import DataOptions, read
from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from stream.codecs import encode_json

SMD: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "smd"
MACHINES: Final = ("machine-1-6", "machine-2-1", "machine-2-7", "machine-3-3")
STEP_US: Final = 60_000_000
_BEGIN_US: Final = 1_700_000_000_000_000
BEGIN_MS: Final = _BEGIN_US // 1000
STEP_MS: Final = STEP_US // 1000
_TRAINED_ROWS: Final = 2_000
_QUIET_ROWS: Final = 24
"""Few, as the pieces are short: most of their faults are to be spoken of."""


class RecordedFleet:
    """Pieces of recorded machines.

    Args:
        keys: Number of keys; key `k` is a piece of machine `k % 4`.
        rows: Rows of each.
        seed: Of order and damage.
    """

    def __init__(self, keys: int, rows: int, seed: int) -> None:
        self.rows = rows
        self.keys = [b"%s/%04d" % (MACHINES[k % 4].encode(), k // 4) for k in range(keys)]
        self._rng = np.random.default_rng(seed)
        options = DataOptions(time="t", time_unit="index", split="split", label="label")
        data = read([str(SMD / f"{name}.csv.gz") for name in MACHINES], options)
        self.channels = data.channels
        train = [data.rows(i, "train") for i in range(len(MACHINES))]
        tables = data.tables
        self._train = [t.values[at][-_TRAINED_ROWS:] for t, at in zip(tables, train, strict=True)]
        scored = [t.values[data.rows(i, "scored")] for i, t in enumerate(tables)]
        pieces = -(-keys // len(MACHINES))
        self._pieces = []
        for k in range(keys):
            whole = scored[k % 4]
            begin = (len(whole) - rows) * (k // 4) // max(1, pieces - 1)
            self._pieces.append(whole[begin : begin + rows])

    def model(self) -> FleetModel:
        """What is learnt of the machines, given to each of their pieces."""
        series = [
            Series(str(i).encode(), np.arange(len(values), dtype=np.int64) * STEP_US, values)
            for i, values in enumerate(self._train)
        ]
        learnt = fit_pipeline(series, PipelineConfig(channels=self.channels), epochs=1)
        place = {key: i for i, key in enumerate(learnt.keys)}
        chosen = np.array([place[str(k % 4).encode()] for k in range(len(self.keys))])
        state = {name: value[chosen] for name, value in learnt.key_state.items()}
        assert learnt.bands is not None
        bands = learnt.bands._replace(known=learnt.bands.known[chosen])
        fleet = replace(learnt, keys=list(self.keys), key_state=state, bands=bands)
        return fleet.configure(quiet_rows=_QUIET_ROWS)

    def sends(self) -> Iterator[Send]:
        """All records in rounds, each round in another order; some damaged, some late, some again.

        One in a hundred is followed by what is no record; one in two hundred by one that is late;
        one in two hundred is sent twice.
        """
        rng, n = self._rng, len(self.keys)
        for row in range(self.rows):
            chance = rng.random(n).tolist()
            for k in rng.permutation(n).tolist():
                time_us = _BEGIN_US + row * STEP_US + k * 1000
                yield self._send(k, row, time_us)
                if chance[k] < 0.010:
                    yield Send(self.keys[k], b'{"ts": "never"')
                elif chance[k] < 0.015 and row:
                    yield self._send(k, row, time_us - 5 * STEP_US)
                elif chance[k] < 0.020:
                    yield self._send(k, row, time_us)

    def _send(self, k: int, row: int, time_us: int) -> Send:
        values = self._pieces[k][row].tolist()
        return Send(self.keys[k], encode_json(self.keys[k], time_us, self.channels, values))
