"""Prometheus' own programs, where this machine has them."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import lacking


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        lacking("prometheus", f"{names[0]} is not installed (Debian has packages)")
    return found


@pytest.fixture
def promtool() -> str:
    """Path of promtool."""
    return _program("promtool")


@pytest.fixture
def prometheus() -> str:
    """Path of Prometheus."""
    return _program("prometheus")


@pytest.fixture
def alertmanager() -> str:
    """Path of Alertmanager, whose Debian package has a name of its own for it."""
    return _program("prometheus-alertmanager", "alertmanager")


@pytest.fixture
def amtool() -> str:
    """Path of Alertmanager's tool."""
    return _program("amtool")
