"""Telemetry of this host, in the channels of the fleet as far as the host has them."""

from __future__ import annotations

import os
import socket
from typing import Any

import psutil


class HostProbe:
    """Probe of this host; rates are over the time since the last reading.

    Channels that the platform does not have are left out, and so is `latency_p99`.
    """

    def __init__(self) -> None:
        self.key = f"host/{socket.gethostname()}"
        psutil.cpu_percent()  # the first call starts the measurement and returns 0
        self._previous: tuple[float, dict[str, float]] | None = None

    def read(self, now: float) -> dict[str, float]:
        """Return the channels' values.

        Args:
            now: Time of a monotonic clock in seconds, for the rates.
        """
        values = {
            "cpu": psutil.cpu_percent(),
            "load": psutil.getloadavg()[0] / (os.cpu_count() or 1),
            "memory": psutil.virtual_memory().percent,
        }
        totals = _totals()
        if self._previous is not None and now > self._previous[0]:
            last_time, last_totals = self._previous
            for name in totals.keys() & last_totals.keys():
                values[name] = max(totals[name] - last_totals[name], 0.0) / (now - last_time)
        self._previous = (now, totals)
        hottest = _temperature()
        if hottest is not None:
            values["temperature"] = hottest
        return values


def _totals() -> dict[str, float]:
    """Return counters for rates: requests of the disks, errors and megabytes of the network."""
    totals: dict[str, float] = {}
    disks: Any = psutil.disk_io_counters()
    if disks is not None:
        totals["requests"] = float(disks.read_count + disks.write_count)
    net: Any = psutil.net_io_counters()
    if net is not None:
        totals["errors"] = float(net.errin + net.errout + net.dropin + net.dropout)
        totals["network"] = (net.bytes_recv + net.bytes_sent) / 1e6
    return totals


def _temperature() -> float | None:
    """Return the temperature of the hottest sensor in °C; None where the platform shows none."""
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    temperatures = [float(s.current) for group in sensors.values() for s in group if s.current]
    return max(temperatures, default=None)
