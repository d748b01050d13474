"""A table of mixed columns, scored without Kafka: features, an RBM, and windows of its scores.

Run it with `python examples/table_features.py`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ember_core import RBM, fit_rbm, ops
from ember_core.data import ColumnFeatures, TemporalStrides, split


def machines(rows: int = 3_000) -> pd.DataFrame:
    """Telemetry of a machine whose fan fails without a word, near the end, while it works hard."""
    rng = np.random.default_rng(0)
    load = 50.0 + 20.0 * np.sin(np.arange(rows) / 40.0) + rng.normal(0.0, 2.0, rows)
    table = pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=rows, freq="min"),
            "load": load.round(2),
            "heat": (30.0 + 0.4 * load + rng.normal(0.0, 1.0, rows)).round(2),
            "state": np.where(load > 55.0, "busy", "calm"),
            "fan": load > 45.0,
        }
    )
    table.loc[rng.random(rows) < 0.05, "heat"] = np.nan
    table.loc[2_790:2_840, "fan"] = False
    return table


def main() -> None:
    """Fit on the oldest rows, score the newest."""
    train, _, test = split(machines(), (0.8, 0.1, 0.1), time="at")
    features = ColumnFeatures(drop="at").fit(train)
    for report in features.report:
        print(f"{report.column:<6} {report.type:<12} {report.missing:4.0%} missing  {report.why}")

    x = features(train)
    rbm = RBM(x.shape[1], 16)
    fit_rbm(rbm, x, epochs=10, generator=ops.generator(0))
    scores = rbm.free_energy(features(test))

    # The mean of the last 10 scores, known at the newest of them.
    strides = TemporalStrides(1, window=10, strides=(1,), summary=("mean",))
    windows = strides.transform(scores[:, None])[1]
    rows = test.index.to_numpy()[windows.last]
    failed = (rows >= 2_799) & (rows <= 2_840)
    usual = float(windows.values[~failed].mean())
    fault_score = float(windows.values[failed].mean())
    print(f"mean score: {usual:.2f} as a rule, {fault_score:.2f} while the fan stands still")


if __name__ == "__main__":
    main()
