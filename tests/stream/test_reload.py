"""Reload of settings and bundle in a running worker."""

from __future__ import annotations

import asyncio
import pickle
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from ember_core.pipeline import FleetModel
from stream import model_following
from stream.configure import load_model
from stream.engine import TP, model_version_of
from stream.kafka.model_topic.manifest import Manifest
from stream.kafka.model_topic.source import BundleSource, UnreadableError
from stream.reload import Reloader, changed
from stream.settings import Settings
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, save_two_models


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of the same channels."""
    return save_two_models(tmp_path_factory.mktemp("bundles"))


class Worker:
    """Settings file, bundle, and the models that a reload would apply to the engine."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.config, self.bundle = folder / "ember.toml", folder / "model"
        shutil.copytree(bundle, self.bundle)
        self.write()
        settings = Settings.load(self.config, model={"path": self.bundle})
        self.applied: list[FleetModel] = []
        self.candidates: list[FleetModel | None] = []
        self.results: list[str] = []
        self.reloader = Reloader(
            settings,
            load_model(settings),
            self.apply,
            lambda candidate, _: self.candidates.append(candidate),
            self.results.append,
        )

    def write(self, text: str = "") -> None:
        self.config.write_text(text)

    async def apply(self, model: FleetModel) -> dict[TP, int]:
        self.applied.append(model)
        return {("telemetry", 1): 17, ("telemetry", 0): 5}


@pytest.fixture
def worker(tmp_path: Path, bundles: list[Path]) -> Worker:
    return Worker(tmp_path, bundles[0])


async def test_nothing_new_changes_nothing(worker: Worker) -> None:
    outcome = await worker.reloader.reload()
    assert (outcome.result, worker.applied, worker.results) == ("unchanged", [], ["unchanged"])


async def test_a_new_bundle_judges_from_its_offsets_on(worker: Worker, bundles: list[Path]) -> None:
    shutil.copytree(bundles[1], worker.bundle, dirs_exist_ok=True)
    outcome = await worker.reloader.reload()
    assert outcome.result == "applied"
    assert outcome.offsets == {"telemetry-0": 5, "telemetry-1": 17}
    assert [m.sha256 for m in worker.applied] == [FleetModel.load(bundles[1]).sha256]
    assert (await worker.reloader.reload()).result == "unchanged"


async def test_new_thresholds_are_taken_from_the_file_and_others_are_named(
    worker: Worker,
) -> None:
    """Flags of the start still apply; settings that need a restart are named, not applied."""
    worker.write("[alerts]\nanomaly_severity = 4.5\nmax_alert_age = '2h'\n[http]\nport = 7000\n")
    outcome = await worker.reloader.reload()
    assert outcome.result == "applied"
    assert "thresholds" in outcome.detail
    assert model_version_of(worker.applied[0]).thresholds["anomaly_severity"] == 4.5
    assert outcome.needs_restart == ("alerts.max_alert_age", "http.port")


@pytest.mark.parametrize("what", ["settings", "bundle", "candidate"])
async def test_what_cannot_be_used_is_refused_and_changes_nothing(
    worker: Worker, what: str
) -> None:
    if what == "settings":
        worker.write("[alerts]\nanomaly_severity = 99\n")
    elif what == "bundle":
        (worker.bundle / "model.safetensors").write_bytes(b"half of it")
    else:
        worker.write("[model]\nshadow = '/nowhere'\n")
    old_model = worker.reloader.model
    outcome = await worker.reloader.reload()
    assert outcome.result == "refused"
    assert outcome.detail
    assert (worker.applied, worker.candidates, worker.results) == ([], [], ["refused"])
    assert worker.reloader.model is old_model


async def test_a_model_that_cannot_be_kept_is_refused(tmp_path: Path, bundles: list[Path]) -> None:
    """A read-only folder is a refusal, not a traceback."""
    config = tmp_path / "ember.toml"
    config.write_text(f"[model]\npath = '{bundles[0]}'\n")
    settings = Settings.load(config)
    (tmp_path / "file").write_text("")
    address = f"[model]\npath = 'https://models.example/fleet'\nsha256 = '{'0' * 64}'\n"
    config.write_text(f"{address}[state]\ndirectory = '{tmp_path / 'file'}'\n")
    results: list[str] = []

    async def apply(_: FleetModel) -> dict[TP, int]:
        raise AssertionError

    reloader = Reloader(settings, load_model(settings), apply, on_result=results.append)
    with structlog.testing.capture_logs() as logged:
        outcome = await reloader.reload()
    assert (outcome.result, results) == ("refused", ["refused"])
    assert "state.directory" in outcome.detail
    assert [(line["event"], line["log_level"]) for line in logged] == [("reload", "error")]


async def test_a_candidate_comes_and_goes(worker: Worker, bundles: list[Path]) -> None:
    worker.write(f"[model]\nshadow = '{bundles[1]}'\n")
    assert (await worker.reloader.reload()).result == "unchanged"
    worker.write()
    await worker.reloader.reload()
    first, last = worker.candidates
    assert first is not None
    assert first.sha256 == FleetModel.load(bundles[1]).sha256
    assert last is None


async def test_a_candidate_of_other_channels_is_refused_before_the_model_changes(
    worker: Worker, bundles: list[Path], tmp_path: Path
) -> None:
    """A refusal means that nothing changed: the new model must not be in use by then."""
    fit(KNOWN, CHANNELS[1:], rows=211, hidden=8).save(tmp_path / "other")
    shutil.copytree(bundles[1], worker.bundle, dirs_exist_ok=True)
    worker.write(f"[model]\nshadow = '{tmp_path / 'other'}'\n")
    outcome = await worker.reloader.reload()
    assert outcome.result == "refused"
    assert "Expected its channels" in outcome.detail
    assert (worker.applied, worker.candidates) == ([], [])


async def test_one_of_several_workers_keeps_its_port_and_name(
    bundles: list[Path], tmp_path: Path
) -> None:
    """Settings that `for_worker` derives are no change; changes for all workers are."""
    config = tmp_path / "ember.toml"
    config.write_text("[http]\nport = 7000\n[kafka]\ninstance_id = 'a'\n")
    settings = Settings.load(config, model={"path": bundles[0]}).for_worker(2)
    settings = pickle.loads(pickle.dumps(settings))  # as they reach the process
    assert (settings.http.port, settings.kafka.instance_id) == (7002, "a-2")
    worker = Worker(tmp_path / "w", bundles[0])
    reloader = Reloader(settings, load_model(settings), worker.apply)
    assert (await reloader.reload()).needs_restart == ()
    assert (await reloader.reload()).needs_restart == ()
    config.write_text("[http]\nport = 7010\n[kafka]\ninstance_id = 'a'\n")
    assert (await reloader.reload()).needs_restart == ("http.port",)


def test_every_changed_setting_is_named() -> None:
    sections: dict[str, Any] = {"kafka": {"group": "x"}, "window": {"max_gap": 7}}
    assert changed(Settings(), Settings(**sections)) == ["kafka.group", "window.max_gap"]


async def test_another_way_to_the_model_waits_for_a_restart(worker: Worker) -> None:
    """Nothing of such a file is applied: the model is followed in one way until then."""
    worker.write("[model]\ntopic = '<group>-model'\n[alerts]\nanomaly_severity = 4.5\n")
    settings = Settings.load(worker.config)
    reloader = Reloader(settings, worker.reloader.model, worker.apply, load=_never)
    worker.write("[alerts]\nanomaly_severity = 5.5\n")
    outcome = await reloader.reload()
    assert outcome.result == "refused"
    assert "needs a restart" in outcome.detail
    assert (worker.applied, outcome.again) == ([], False)


async def _never(_settings: Settings) -> FleetModel:
    raise AssertionError


async def test_a_topic_that_cannot_be_read_now_is_asked_again(
    worker: Worker, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A published bundle is not forgotten because a broker was away at that moment."""
    monkeypatch.setattr(model_following, "_AGAIN_SECONDS", 0.0)
    new, attempts = FleetModel.load(bundles[1], backend="numpy"), list[int]()

    async def load(_settings: Settings) -> FleetModel:
        attempts.append(1)
        if len(attempts) < 3:
            raise UnreadableError("no broker")
        return new

    reloader = Reloader(worker.reloader.settings, worker.reloader.model, worker.apply, load=load)

    class Source:
        """Source that publishes the new bundle, and again, and then ends."""

        async def publications(self) -> AsyncGenerator[Manifest]:
            for digest in (worker.reloader.model.sha256, new.sha256, new.sha256):
                yield Manifest(digest=digest, card_bytes=1, arrays_bytes=1)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await model_following.follow(cast("BundleSource", Source()), reloader)
    assert len(attempts) == 3
    assert worker.applied == [new]
