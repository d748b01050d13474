"""Programs that these tests need, where this machine has them: Prometheus, its tools, and Helm."""

from __future__ import annotations

import shutil

import pytest

from tests.broker.conftest import _kafka, kafka
from tests.conftest import lacking

__all__ = ["_kafka", "kafka"]


def program(*names: str) -> str:
    """The first of these that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        lacking("prometheus", f"{names[0]} is not installed (Debian has packages)")
    return found


@pytest.fixture
def promtool() -> str:
    """Path of promtool."""
    return program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Path of Prometheus."""
    return program("prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> str:
    """Path of Alertmanager, whose Debian package has a name of its own for it."""
    return program("prometheus-alertmanager", "alertmanager")


@pytest.fixture
def amtool() -> str:
    """Path of Alertmanager's tool."""
    return program("amtool")


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of Helm, version 3 or later."""
    found = shutil.which("helm")
    if found is None:
        lacking("helm", "helm is not installed (go install helm.sh/helm/v3/cmd/helm@latest)")
    return found
