"""This host's own telemetry, beside the fleet's and in the same channels where there are any."""

from __future__ import annotations

import os
import socket
from typing import Any

import psutil


class HostProbe:
    """Reads this host; rates are over the time since the last reading.

    A channel that a platform does not have is left out. Nothing here has a latency: the fleet's
    `latency_p99` has no counterpart.
    """

    def __init__(self) -> None:
        self.key = f"host/{socket.gethostname()}"
        psutil.cpu_percent()  # the first call only starts the measuring
        self._before: tuple[float, dict[str, float]] | None = None

    def read(self, now: float) -> dict[str, float]:
        """Return the channels' values.

        Args:
            now: seconds on a clock that only goes forward, for the rates.
        """
        values = {
            "cpu": psutil.cpu_percent(),
            "load": psutil.getloadavg()[0] / (os.cpu_count() or 1),
            "memory": psutil.virtual_memory().percent,
        }
        totals = _totals()
        if self._before is not None and now > self._before[0]:
            then, last = self._before
            for name in totals.keys() & last.keys():
                values[name] = max(totals[name] - last[name], 0.0) / (now - then)
        self._before = (now, totals)
        hottest = _temperature()
        if hottest is not None:
            values["temperature"] = hottest
        return values


def _totals() -> dict[str, float]:
    """Counters that become rates: requests of the disks, errors and megabytes of the network."""
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
    """The hottest sensor in °C, where the platform shows any."""
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    found = [float(s.current) for group in sensors.values() for s in group if s.current]
    return max(found, default=None)
