"""Brokers of the broker tests, and a model of telemetry: simulated, and recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.broker.conftest import _kafka, broker, embedded, kafka
from tests.e2e.service import ember

__all__ = ["_kafka", "broker", "embedded", "kafka"]

FLAGS = ("--time", "t", "--time-unit", "index", "--split", "split", "--label", "label")
HOST_CHANNELS = ("cpu", "load", "memory")
MACHINES = ("machine-1-6", "machine-2-1", "machine-2-7")
CHANNELS, TRAIN_ROWS, TEST_ROWS = 7, 600, 300


@pytest.fixture(
    scope="session",
    params=["simulated", pytest.param("recorded", marks=[pytest.mark.data, pytest.mark.slow])],
)
def telemetry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows of three machines: some to train on, some with faults to score."""
    folder = tmp_path_factory.mktemp("telemetry")
    if request.param == "simulated":
        for number, name in enumerate(MACHINES):
            simulated(number).to_csv(folder / f"{name}.csv", index=False)
    else:
        shared: Path = request.getfixturevalue("shared_data")
        for name in MACHINES:
            recorded(shared, name).to_csv(folder / f"{name}.csv", index=False)
    return folder


def simulated(number: int) -> pd.DataFrame:
    """A machine whose channels follow its load; two channels leave it, twice, in what is scored."""
    rng = np.random.default_rng(number)
    rows = TRAIN_ROWS + TEST_ROWS
    load = np.zeros(rows)
    for t in range(1, rows):
        load[t] = 0.9 * load[t - 1] + rng.normal(scale=0.3)
    values = load[:, None] * rng.uniform(0.5, 2.0, CHANNELS) + rng.normal(
        scale=0.2, size=(rows, CHANNELS)
    )
    label = np.zeros(rows, dtype=int)
    for begin in (100, 200):
        place = slice(TRAIN_ROWS + begin + 7 * number, TRAIN_ROWS + begin + 7 * number + 31)
        values[place, number : number + 2] += 9.0
        label[place] = 1
    table = pd.DataFrame(values, columns=[f"c{channel:02}" for channel in range(CHANNELS)])
    table.insert(0, "t", np.arange(rows))
    table.insert(1, "split", np.where(np.arange(rows) < TRAIN_ROWS, "train", "test"))
    return table.assign(label=label)


def recorded(shared: Path, name: str) -> pd.DataFrame:
    """Some rows of a server of the SMD set: 1,500 to train on, 1,000 to score."""
    rows = pd.read_csv(shared / "smd" / f"{name}.csv.gz", dtype=str)
    train = rows[rows["split"] == "train"].tail(1500)
    test = rows[(rows["split"] == "test")]
    begin = max(0, int(test["label"].astype(int).to_numpy().argmax()) - 350)
    return pd.concat([train, test.iloc[begin : begin + 1000]])


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
        file.write("ts," + ",".join(HOST_CHANNELS) + "\n")
        for t in range(400):
            file.write(f"{1_700_000_000 + 10 * t}," + ",".join(map(str, rng.normal(size=3))) + "\n")
    ember("train", folder / "host-1.csv", "--epochs", "2", "--out", folder / "model", cwd=folder)
    return folder / "model"
