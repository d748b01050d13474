"""`ember model show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.cli import main
from stream.engine import Engine
from tests.stream.report import small


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model."""
    path = tmp_path_factory.mktemp("bundle")
    small.model().save(path)
    return path


def test_the_card_as_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", str(bundle), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    model = small.model()
    assert card["name"] == model.name
    assert card["sha256"] == model.sha256
    assert card["channels"] == list(small.CHANNELS)
    assert sorted(card["keys"]) == sorted(k.decode() for k in model.keys)
    assert card["thresholds"]["on"] == pytest.approx(model.pipeline.motor.on)
    assert card["training"]["rows"] == 2 * small.TRAIN
    assert card["row_bytes"] == Engine(model).row_bytes


def test_the_row_grows_with_open_windows(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBER_WINDOW__MODE", "time")
    main(["model", "show", str(bundle), "--json"])
    assert json.loads(capsys.readouterr().out)["row_bytes"] > Engine(small.model()).row_bytes


def test_the_card_for_people(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "small <fleet>, version 1" in out
    assert "bytes per key" in out
    assert "trained on" in out
    assert "web-1" in out


def test_a_folder_without_a_model_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "show", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no readable model.json" in captured.err
