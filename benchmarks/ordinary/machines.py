"""Pumps and turbines, fridges and meters, as their controllers report them."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .life import Life
from .normal import Normal, arrival_losses, night_job, reboots
from .signals import Rng, bursts, by_hour, day_shape, heavy, noise, walk, wander

PUMP_CHANNELS: Final = (
    *("flow_m3h", "pressure_bar", "current_a", "speed_rpm"),
    *("vibration_mm_s", "bearing_c", "inlet_c", "valve_open"),
)
FRIDGE_CHANNELS: Final = (
    *("inside_c", "compressor_on", "power_w", "door_open", "ambient_c", "energy_wh"),
)
METER_CHANNELS: Final = ("power_kw",)

_DEMAND = (3, 2, 2, 2, 3, 5, 9, 11, 10, 9, 8, 8, 8, 8, 7, 7, 8, 9, 11, 11, 9, 7, 5, 4)
_SHOP = (1, 1, 1, 1, 1, 1, 2, 5, 8, 9, 9, 10, 11, 10, 9, 9, 10, 12, 11, 8, 3, 1, 1, 1)


def _load(rng: Rng, clock: Clock, busy: tuple[int, ...], weekend: float) -> Floats:
    shape = day_shape(rng, busy, 0.1)
    shape = shape / shape.max()
    load = by_hour(shape, clock.hour)
    load = np.where(clock.weekday >= 5, weekend * by_hour(np.roll(shape, 1), clock.hour), load)
    load *= np.exp(noise(rng, clock, 0.08, (300, 3600, 12 * 3600)))
    return np.asarray(load * bursts(rng, clock, 3.0, 0.2, 15.0), dtype=np.float64)


def _lagged(signal: Floats, rows: float) -> Floats:
    """Leaky mean of a signal over so many rows, as a slow body gives it, `(n,)`."""
    if rows <= 1.0:
        return signal
    # Three moving means are close to the leak, and need no loop over rows.
    out, width = signal, max(1, round(rows))
    for _ in range(2):
        total = np.cumsum(np.concatenate([np.full(width, out[0]), out]))
        out = (total[width:] - total[:-width]) / width
    return out


def pump(rng: Rng, clock: Clock, life: Life, turbine: bool = False) -> Normal:
    """A pump that follows demand with a standby at night, or a turbine that runs evenly."""
    n = len(clock.times_us)
    load = _load(rng, clock, _DEMAND, 0.9)
    if turbine:
        load = 0.75 + 0.25 * _lagged(load, clock.rows(1800))
    running = (load > float(rng.uniform(0.16, 0.22))) | turbine
    washed = night_job(rng, clock, 0.7)
    speed = running * float(rng.choice([1480, 2950])) * (0.55 + 0.45 * np.minimum(load, 1.3))
    part = speed / speed.max()
    flow = 180 * part * float(rng.uniform(0.5, 1.5)) * np.exp(noise(rng, clock, 0.03, (1, 60)))
    pressure = 2 + 6 * part**2 * float(rng.uniform(0.8, 1.2))
    pressure = pressure + noise(rng, clock, 0.08, (1, 600))
    wash = washed.activity * (flow.mean() + 10)
    current = 4 + 60 * part**3 + noise(rng, clock, 0.7, (1, 30))
    inlet = 12 + 3 * by_hour(day_shape(rng, _DEMAND), clock.hour) / 10 + walk(rng, clock, 0.8)
    inlet = inlet + 0.08 * rng.standard_normal(n)
    drift = np.cumsum(np.full(n, clock.step / 86_400)) * float(rng.normal(0, 0.03))
    bearing = inlet + 8 + 28 * _lagged(part, clock.rows(2400)) + 0.15 * rng.standard_normal(n)
    vibration = (0.4 + 2.2 * part**2) * np.exp(noise(rng, clock, 0.14, (1, 20, 3600)) + 0.3 * drift)
    vibration = vibration + np.abs(heavy(rng, n, 0.05))
    valve = (running & (pressure > 2.2)).astype(float)
    columns = (flow + wash, pressure, current, speed, vibration, bearing, inlet + drift, valve)
    values = np.round(np.maximum(np.stack(columns, axis=1), -40.0), 3)
    job = np.zeros_like(values)
    job[:, 0] = wash
    idle = np.array([0.0, 2.0, 4.0, 0.0, 0.4, 20.0, 12.0, 0.0])
    missing_rows = arrival_losses(rng, clock, 0.0008) | life.missing_rows
    return Normal("turbine" if turbine else "pump", values, idle, job, washed.rows, missing_rows)


def fridge(rng: Rng, clock: Clock, life: Life) -> Normal:
    """A fridge in a shop: compressor cycles, doors, defrosting at night."""
    n = len(clock.times_us)
    visits = _load(rng, clock, _SHOP, 0.7)
    door = (rng.random(n) < 1.0 - np.exp(-visits * clock.step / 500.0)).astype(float)
    ambient = 20 + 2 * visits + walk(rng, clock, 0.6) + 0.1 * rng.standard_normal(n)
    defrost = night_job(rng, clock, 1.0)
    warmth = np.clip(
        0.35 + 0.02 * (ambient - 20) + 0.25 * _lagged(door, clock.rows(900)), 0.1, 0.95
    )
    cycle = float(rng.uniform(22, 45)) * 60
    # The share of a cycle in which the compressor runs follows the warmth that comes in.
    phase = np.cumsum(clock.step / cycle * np.exp(0.3 * wander(rng, clock, cycle))) % 1.0
    is_running = ((phase < warmth) & (defrost.activity < 0.2)).astype(float)
    swing = 0.9 * np.where(
        phase < warmth, 1 - 2 * phase / warmth, 2 * (phase - warmth) / (1 - warmth) - 1
    )
    swell = 4.0 * _lagged(defrost.activity, clock.rows(600))
    temperature = (
        4.0 + float(rng.normal(0, 0.5)) + swing + 1.5 * _lagged(door, clock.rows(600)) + swell
    )
    temperature = temperature + noise(rng, clock, 0.12, (1, 300, 7200))
    power = 12 + float(rng.uniform(150, 400)) * is_running * np.exp(
        noise(rng, clock, 0.03, (1, 600))
    )
    job_power = 260 * defrost.activity
    energy = (power + job_power) * clock.step / 3600
    values = np.stack([temperature, is_running, power + job_power, door, ambient, energy], axis=1)
    job = np.zeros_like(values)
    job[:, 0], job[:, 2], job[:, 5] = swell, job_power, job_power * clock.step / 3600
    idle = np.array([4.0, 0.0, 12.0, 0.0, 20.0, 0.0])
    missing_rows = arrival_losses(rng, clock, 0.003) | life.missing_rows
    restarts = [row for row, _ in reboots(rng, clock, 20.0)]
    return Normal("fridge", np.round(values, 3), idle, job, defrost.rows, missing_rows, restarts)


def meter(rng: Rng, clock: Clock, life: Life) -> Normal:
    """The power that a building draws."""
    n = len(clock.times_us)
    load = _load(rng, clock, _SHOP, float(rng.uniform(0.2, 1.0)))
    heating = night_job(rng, clock, 0.5)
    base = float(np.exp(rng.uniform(np.log(2), np.log(60))))
    power = base * (0.25 + load) * np.exp(noise(rng, clock, 0.06, (1, 900)) + heavy(rng, n, 0.02))
    job = 0.6 * base * heating.activity
    values = np.maximum(power + job, 0.0).round(3).reshape(-1, 1)
    missing_rows = arrival_losses(rng, clock, 0.003) | life.missing_rows
    return Normal(
        "meter", values, np.array([0.25 * base]), job[:, None], heating.rows, missing_rows
    )
