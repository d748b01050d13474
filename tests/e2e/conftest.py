"""Brokers of the broker tests, and a model of real telemetry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.broker.conftest import _kafka, broker, embedded, kafka
from tests.e2e.service import ember

__all__ = ["_kafka", "broker", "embedded", "kafka"]

FLAGS = ("--time", "t", "--time-unit", "index", "--split", "split", "--label", "label")
CHANNELS = ("cpu", "load", "memory")
MACHINES = ("machine-1-6", "machine-2-1", "machine-2-7")


@pytest.fixture(scope="session")
def telemetry(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some rows of three machines: 1,500 to train on, 1,000 to score."""
    folder = tmp_path_factory.mktemp("telemetry")
    for name in MACHINES:
        rows = pd.read_csv(shared_data / "smd" / f"{name}.csv.gz", dtype=str)
        train = rows[rows["split"] == "train"].tail(1500)
        test = rows[(rows["split"] == "test")]
        at = int(test["label"].astype(int).to_numpy().argmax())
        begin = max(0, at - 350)
        pd.concat([train, test.iloc[begin : begin + 1000]]).to_csv(
            folder / f"{name}.csv", index=False
        )
    return folder


@pytest.fixture(scope="session")
def model(telemetry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle trained on it."""
    out = tmp_path_factory.mktemp("model") / "machines"
    ember("train", telemetry, *FLAGS, "--epochs", "3", "--out", out, cwd=out.parent)
    return out


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one made-up host."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(5)
    with (folder / "host-1.csv").open("w") as file:
        file.write("ts," + ",".join(CHANNELS) + "\n")
        for t in range(400):
            file.write(f"{1_700_000_000 + 10 * t}," + ",".join(map(str, rng.normal(size=3))) + "\n")
    ember("train", folder / "host-1.csv", "--epochs", "2", "--out", folder / "model", cwd=folder)
    return folder / "model"
