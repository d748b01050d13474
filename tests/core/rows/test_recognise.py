"""Counters in a history, and what is taken for none."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.rows.recognise import find_counters

N = 600
RNG = np.random.default_rng(3)
TIMES = 1_700_000_000_000_000 + np.arange(N) * 10_000_000
STEPS = RNG.poisson(40.0, N).astype(float)


def with_resets(values: np.ndarray, *places: int) -> np.ndarray:
    values = values.copy()
    for place in places:
        values[place:] -= values[place - 1]
    return values


COUNTERS = {
    "bytes": np.cumsum(STEPS),
    "old and large": 7e12 + np.cumsum(STEPS),
    "with resets": with_resets(np.cumsum(STEPS), 200, 410),
    "cpu_seconds": np.cumsum(RNG.uniform(0.0, 9.9, N)),
    "daily course": np.cumsum(RNG.poisson(20 + 15 * np.sin(np.arange(N) / 50))).astype(float),
    "errors_total": np.cumsum(RNG.random(N) < 0.02).astype(float),
    'http_requests_total{code="200"}': np.cumsum(STEPS),
    "request_seconds_sum": with_resets(np.cumsum(RNG.random(N)), 300),
    "net.bytes_recv": 5.3e10 + np.cumsum(700.0 * (np.arange(N) % 200 == 150)),
    "net.err_in": np.zeros(N),
    'net.drop_in{interface="eth1"}': np.full(N, 4.0),
    "procstat.major_faults": with_resets(np.cumsum(1.0 * (np.arange(N) % 90 == 50)), 400),
    "if_errors.rx": np.cumsum(1.0 * (np.arange(N) % 150 == 50)),
    "link_rx_bytes": np.cumsum(900.0 * (np.arange(N) % 150 == 50)),
    "eth0.dropped_in": np.cumsum(1.0 * (np.arange(N) % 150 == 50)),
    "gaps": np.where(RNG.random(N) < 0.5, np.nan, np.cumsum(STEPS)),
}
OTHERS = {
    "noise": RNG.normal(20, 1, N),
    "slow level": np.round(20 + 0.01 * np.arange(N), 1),
    "ramp": 20 + 0.01 * np.arange(N),
    "curve": np.sqrt(1.0 + np.arange(N)),
    "walk": 1000 + np.cumsum(RNG.normal(0.2, 1, N)),
    "index": np.arange(N).astype(float),
    "time": 1.7e9 + 10.0 * np.arange(N) + RNG.uniform(0, 0.2, N),
    "time_ms": 1.7e12 + 1e4 * np.arange(N) + RNG.integers(0, 900, N),
    "date": np.array(
        [20240101 + 100 * (i // 28 % 12) + 10000 * (i // 336) + i % 28 for i in range(N)], float
    ),
    "minute of the day": (np.arange(N) * 7 % 1440).astype(float),
    "constant": np.full(N, 5.0),
    "memory_total": np.full(N, 16e9),
    "thread_count": RNG.integers(20, 30, N).astype(float),
    "errors": np.where(np.arange(N) % 90 < 2, 5.0, 0.0),  # of each interval
    "requests_count": 3.0 * (np.arange(N) % 200 == 50),  # of each interval too
    "errors_in": np.zeros(N),
    "net.speed": np.full(N, -1.0),
    "error_rate": np.cumsum(0.1 * (np.arange(N) % 150 == 50)),
    "used_bytes": np.cumsum(900.0 * (np.arange(N) % 150 == 50)),
    "diskio.iops_in_progress": np.zeros(N),
    "balance_total": np.cumsum(RNG.normal(0.1, 1, N)),
    "negative": -1000.0 + np.cumsum(STEPS),
    "tank": 100.0 - np.arange(N) % 50 * 2.0,
    "filling": np.arange(N) % 50 + RNG.random(N) * 0.5,
    "version": np.floor(np.arange(N) / 150.0),
    "empty": np.full(N, np.nan),
    "short": np.where(np.arange(N) < 20, np.cumsum(STEPS), np.nan),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_are_found(name: str) -> None:
    assert find_counters([name], [(TIMES, COUNTERS[name][:, None])] * 2) == (name,)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_alone(name: str) -> None:
    assert find_counters([name], [(TIMES, OTHERS[name][:, None])] * 2) == ()


def test_one_key_in_which_it_falls_is_enough_against_it() -> None:
    up, down = COUNTERS["bytes"][:, None], COUNTERS["bytes"][::-1, None]
    assert find_counters(["x"], [(TIMES, up), (TIMES, down)]) == ()
    assert find_counters(["x"], [(TIMES, up), (TIMES[:0], up[:0])]) == ("x",)
