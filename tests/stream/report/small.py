"""A fitted model and a backtest, small enough for every test: three channels, four keys."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline import FleetModel
from stream.backtest import Backtest, backtest
from stream.engine import Limits
from stream.training import train

CHANNELS = ("cpu", "</script><script>alert(1)</script>", "c&c")
FAULTY, EVIL, NEW = b"web-1", b"<img src=x onerror=alert(1)>", b"late-comer"
TRAIN, SCORED = 601, 409
FAULT = slice(701, 743)  # of FAULTY
SILENCE = 809  # EVIL sends nothing for 60 intervals from there on
_SECOND = 1_000_000
_BEGIN = 1_767_225_600 * _SECOND  # 2026-01-01


def _table(key: bytes, rows: int, seed: int) -> KeyTable:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) / 7.0)[:, None] * [1.0, 0.5, 0.0]
    values = wave + 0.1 * rng.standard_normal((rows, 3)) + 5.0
    time_us = _BEGIN + np.arange(rows, dtype=np.int64) * 10 * _SECOND
    label = np.zeros(rows, dtype=np.int8)
    if key == FAULTY:
        values[FAULT, 1] += 4.0
        label[FAULT] = 1
    if key == EVIL:
        time_us[SILENCE:] += 600 * _SECOND
        values[SILENCE - 13 : SILENCE, 0] += 6.0  # it falls silent while it fires
    text = np.array([str(t // _SECOND) for t in time_us.tolist()], dtype=object)
    return KeyTable(key, time_us, text, values, np.arange(rows) < TRAIN, label)


@functools.cache
def dataset(labelled: bool = True) -> Dataset:
    """Two known keys with faults, and one that is new and too short to be scored."""
    tables = [_table(key, TRAIN + SCORED, i) for i, key in enumerate((FAULTY, EVIL))]
    new = _table(NEW, 131, 5)
    new = replace(new, is_train=np.zeros(131, dtype=bool), time_us=new.time_us + 8_000 * _SECOND)
    tables = [*tables, new]
    if not labelled:
        tables = [replace(t, label=None) for t in tables]
    return Dataset(CHANNELS, tuple(tables), divided=True)


@functools.cache
def model() -> FleetModel:
    """Train a small model in a second."""
    training_data = replace(dataset(), tables=dataset().tables[:2])
    fitted = train(training_data, epochs=3, hidden=13, rbm_hidden=11, name="small <fleet>")
    return fitted.configure(warmup_score=500, warmup_alarm=500, quiet_rows=64, anomaly_severity=2.5)


@functools.cache
def result(labelled: bool = True) -> Backtest:
    """Backtest with episodes, one of them with a silence in it, silences and warming rows."""
    return backtest(model(), dataset(labelled))


@functools.cache
def key_result(key: bytes) -> Backtest:
    """Backtest of one key, with its rows in detail."""
    tables = tuple(table for table in dataset().tables if table.key == key)
    one_key = replace(dataset(), tables=tables)
    return backtest(model(), one_key, limits=Limits(detailed=("*",)))
