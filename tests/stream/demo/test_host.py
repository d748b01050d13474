"""This host's own telemetry."""

from __future__ import annotations

import math
from types import SimpleNamespace

import psutil
import pytest

from stream.demo.fleet import CHANNELS
from stream.demo.host import HostProbe


def test_it_speaks_the_fleets_channels_under_a_key_of_its_own():
    """Every value is finite, and every name one of the fleet's."""
    probe = HostProbe()
    probe.read(0.0)
    values = probe.read(1.0)
    assert probe.key.startswith("host/")
    assert {"cpu", "load", "memory"} <= values.keys() <= set(CHANNELS)
    assert all(math.isfinite(v) for v in values.values())


def test_rates_are_over_the_time_since_the_last_reading(monkeypatch):
    """Two megabytes in half a second are four a second."""
    sent = [1e6, 3e6]

    def counters() -> SimpleNamespace:
        return SimpleNamespace(
            bytes_recv=0, bytes_sent=sent.pop(0), errin=0, errout=0, dropin=0, dropout=0
        )

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    probe = HostProbe()
    assert "network" not in probe.read(7.0)
    assert probe.read(7.5)["network"] == pytest.approx(4.0)


def test_what_a_platform_lacks_is_left_out(monkeypatch):
    """Without disks, network and sensors the other channels remain."""
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    probe = HostProbe()
    probe.read(0.0)
    assert probe.read(1.0).keys() == {"cpu", "load", "memory"}
