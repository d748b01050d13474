"""The check that every candidate passes: workers can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ember_core.data.sources import Dataset
from stream.history import RowRules
from stream.learn.gate import Candidate, usable_gate
from stream.settings import Settings
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    fit(KNOWN, CHANNELS, rows=211).save(folder / "one")
    fit(KNOWN, ("wind", "rain"), rows=211).save(folder / "other")
    return folder


def candidate(folder: Path, in_service: Path | None = None, **settings: Any) -> Candidate:
    dataset = Dataset(channels=CHANNELS, tables=(), divided=False)
    return Candidate(folder, dataset, RowRules(), Settings(**settings), in_service)


def test_a_model_that_workers_can_use_is_accepted(bundles: Path) -> None:
    for in_service in (None, bundles / "one", bundles / "gone"):
        verdict = usable_gate(candidate(bundles / "one", in_service))
        assert verdict.accepted
        assert verdict.figures == {"channels": 3.0, "keys": 3.0}


def test_other_telemetry_is_refused(bundles: Path) -> None:
    verdict = usable_gate(candidate(bundles / "one", bundles / "other"))
    assert not verdict.accepted
    assert "No channel" in verdict.reasons[0]


def test_a_bundle_that_cannot_be_used_is_refused(bundles: Path) -> None:
    verdict = usable_gate(candidate(bundles / "gone"))
    assert not verdict.accepted
    assert verdict.reasons
