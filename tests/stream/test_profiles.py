"""Profiles from the settings on: loaded, checked, shown, replaced in a running worker, replayed."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from ember_core.pipeline import FleetModel
from stream.cli import main
from stream.cli.doctor.command import examine
from stream.codecs import contested
from stream.configure import load_models, models_of
from stream.engine import TP, Profiles, version_of
from stream.errors import UserError
from stream.key_patterns import KeyPatterns, bracket_fault
from stream.preflight import find_mistakes
from stream.reload import Reloader
from stream.settings import Settings
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, signal

QUEUES, OF_QUEUES = (b"q-1", b"q-2"), ("depth", "heat")
PROFILES = '[model.profiles]\n"q-*" = "queues"\n'


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    fit(KNOWN, CHANNELS, rows=211).save(folder / "hosts")
    fit(QUEUES, OF_QUEUES, rows=211, hidden=9).save(folder / "queues")
    fit(QUEUES, OF_QUEUES, rows=211, hidden=10).save(folder / "retrained")
    return folder


@pytest.fixture
def folder(bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the bundles, and settings with a profile and a bundle for other keys."""
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    shutil.copytree(bundles, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ember.toml").write_text(f'[model]\npath = "hosts"\n{PROFILES}')
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "key", "number"),
    [
        (["db-*", "*"], b"db-1", 0),
        (["db-*", "*"], b"web", 1),
        (["*", "db-*"], b"db-1", 0),
        (["db-*"], b"DB-1", -1),
        (["db-?"], b"db-10", -1),
        (["db-[12]"], b"db-2", 0),
        (["db-*"], b"my-db-1", -1),
        (["rack*"], b"rack\xff7", 0),
        ([r"rack\xff?"], b"rack\xff7", 0),
        (["a*b"], b"a\nb", 0),
        (["a.b"], b"a-b", -1),
    ],
)
def test_the_first_pattern_that_fits_the_whole_text_of_a_key(
    patterns: list[str], key: bytes, number: int
) -> None:
    assert KeyPatterns(patterns).find([key, key]).tolist() == [number, number]


@pytest.mark.parametrize("pattern", ["[abc", "db-[", "[]", "[!]", "[!]a", "[a]b[c"])
def test_a_bracket_that_is_not_closed_is_no_pattern(pattern: str) -> None:
    """The library takes it literally, so that it would fit its own letters only."""
    assert f"Received: {pattern!r}. Close it" in bracket_fault(["db-*", pattern])
    with pytest.raises(UserError, match="without its"):
        Settings.load(model={"profiles": {pattern: "db"}})


@pytest.mark.parametrize("pattern", ["[abc]", "[]]", "[!]]", "[!a]", "a]", "[[]0", "[[]0]", "*?"])
def test_a_bracket_that_is_closed_or_meant_literally_is_sound(pattern: str) -> None:
    assert bracket_fault([pattern]) == ""


def test_the_settings_name_the_model_of_every_key(folder: Path) -> None:
    models = load_models(Settings.load())
    assert isinstance(models, Profiles)
    assert models.sources == ("depth", "heat", "load", "flow")
    assert [models.model_of(key) for key in (b"q-1", b"a")] == list(models.models)
    assert list(models_of(models)) == ["q-*", ""]
    (folder / "ember.toml").write_text(PROFILES)
    alone = load_models(Settings.load())
    assert isinstance(alone, Profiles)
    assert alone.model_of(b"a") is None


def test_a_bundle_that_is_not_there_is_named_with_its_profile(folder: Path) -> None:
    (folder / "ember.toml").write_text('[model.profiles]\n"db-*" = "nowhere"\n')
    (sentence,) = find_mistakes(Settings.load())
    assert "Profile 'db-*'" in sentence
    assert "'nowhere'" in sentence
    with pytest.raises(UserError, match="Profile 'db-\\*': "):
        load_models(Settings.load())


@pytest.mark.parametrize(
    ("codec", "sets", "expected"),
    [
        ("prometheus", [["cpu"], ['cpu{mode="idle"}']], ("cpu", 'cpu{mode="idle"}')),
        ("prometheus", [["cpu", 'cpu{mode="idle"}']] * 2, None),
        ("otlp", [['disk{path="/"}'], ['disk{path="/data"}']], None),
        ("influx", [["cpu"], ["memory"], ["cpu"]], None),
        ("json", [["cpu"], ['cpu{mode="idle"}']], None),
    ],
)
def test_channels_that_a_codec_of_all_would_read_otherwise(
    codec: str, sets: list[list[str]], expected: tuple[str, str] | None
) -> None:
    assert contested(codec, sets) == expected


class Worker:
    """A worker's reloader, and the models that it has applied."""

    def __init__(self) -> None:
        settings = Settings.load()
        self.applied: list[FleetModel | Profiles] = []
        self.reloader = Reloader(settings, load_models(settings), self.apply)

    async def apply(self, models: FleetModel | Profiles) -> dict[TP, int]:
        self.applied.append(models)
        return {("telemetry", 0): 5}


async def test_a_reload_takes_the_changed_bundle_of_one_profile(folder: Path) -> None:
    worker = Worker()
    assert (await worker.reloader.reload()).result == "unchanged"
    (folder / "ember.toml").write_text(
        '[model]\npath = "hosts"\n[model.profiles]\n"q-*"="retrained"'
    )
    outcome = await worker.reloader.reload()
    assert (outcome.result, outcome.needs_restart) == ("applied", ())
    assert "for q-*)" in outcome.detail
    assert outcome.detail.count("a model of") == 1
    (models,) = worker.applied
    assert isinstance(models, Profiles)
    assert models.models[0].sha256 == FleetModel.load(folder / "retrained").sha256


@pytest.mark.parametrize(
    "text",
    [
        '[model]\npath = "hosts"\n[model.profiles]\n"q*" = "queues"\n',
        '[model]\npath = "hosts"\n',
        PROFILES,
    ],
)
async def test_a_reload_with_other_patterns_is_refused(folder: Path, text: str) -> None:
    worker = Worker()
    (folder / "ember.toml").write_text(text)
    outcome = await worker.reloader.reload()
    assert (outcome.result, worker.applied) == ("refused", [])
    assert "Restart the workers" in outcome.detail


def test_model_show_has_a_card_for_each_profile(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "show", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)["profiles"]
    models = load_models(Settings.load())
    assert {name: card["sha256"] for name, card in cards.items()} == {
        name: version_of(model).model for name, model in models_of(models).items()
    }
    assert main(["model", "show"]) == 0
    out = capsys.readouterr().out
    assert out.count("sha256") == 2
    assert "q-*" in out
    assert "other keys" in out


def test_the_doctor_looks_at_every_model(folder: Path) -> None:
    settings = Settings.load(kafka={"bootstrap_servers": "127.0.0.1:1"})
    checks = islice(examine(settings), 2)
    assert [(check.name, check.status) for check in checks] == [
        ("model of q-*", "ok"),
        ("model hosts", "ok"),
    ]


def test_training_makes_the_bundle_of_each_profile_of_its_keys(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    for keys, channels in ((KNOWN, CHANNELS), (QUEUES, OF_QUEUES)):
        for number, key in enumerate(keys):
            for i, row in enumerate(signal(220, len(channels), number).tolist()):
                record = {"ts": 1_700_000_000 + 10 * i, "key": key.decode()}
                lines.append(json.dumps(record | dict(zip(channels, row, strict=True))))
    Path("all.jsonl").write_text("\n".join(lines) + "\n")
    words = ["train", "all.jsonl", "--time", "ts", "--key", "key", "--epochs", "1", "--json"]
    small = ["--hidden", "8", "--rbm-hidden", "11"]
    before = {name: FleetModel.load(folder / name).sha256 for name in ("hosts", "queues")}
    assert main([*words, *small, "--exclude", "a@2023-11-14T22:20:00Z..2023-11-14T22:21:00Z"]) == 0
    made = json.loads(capsys.readouterr().out)["profiles"]
    assert {name: Path(each["out"]).name for name, each in made.items()} == {
        "q-*": "queues",
        "": "hosts",
    }
    hosts, queues = FleetModel.load(folder / "hosts"), FleetModel.load(folder / "queues")
    assert (hosts.keys, set(hosts.channels)) == (list(KNOWN), set(CHANNELS))
    assert (queues.keys, set(queues.channels)) == (list(QUEUES), set(OF_QUEUES))
    assert hosts.sha256 != before["hosts"]
    assert main([*words, *small, "--profile", "q-*", "--seed", "1"]) == 0
    assert FleetModel.load(folder / "hosts").sha256 == hosts.sha256
    assert FleetModel.load(folder / "queues").sha256 != queues.sha256
    assert main([*words, *small, "--profile", "q-*", "--out", "elsewhere"]) == 0
    assert FleetModel.load(folder / "elsewhere").keys == list(QUEUES)
    capsys.readouterr()
    assert main([*words, "--profile", "db-*"]) == 2
    assert "Expected one of the patterns of model.profiles: q-*." in capsys.readouterr().err
    (folder / "ember.toml").write_text('[model.profiles]\n"db-*" = "db"\n"q-*" = "queues"\n')
    assert main([*words, *small]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["profiles"]) == ["q-*"]
    assert "no key for profile 'db-*'" in err
    (folder / "ember.toml").write_text("")
    assert main(words) == 2
    assert "Expected --out DIR, or settings with model.profiles" in capsys.readouterr().err


def test_a_backtest_of_profiles_is_that_of_each_model_on_its_keys(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    for keys, channels in ((KNOWN, CHANNELS), (QUEUES, OF_QUEUES)):
        for number, key in enumerate(keys):
            values = signal(120, len(channels), number)
            values[90:99] += 60.0
            for i, row in enumerate(values.tolist()):
                record = {"ts": 1_700_000_000 + 10 * i, "key": key.decode()}
                lines.append((i, record | dict(zip(channels, row, strict=True))))
    lines.sort(key=lambda line: line[0])
    own = {
        "all": [line for _, line in lines],
        "hosts": [line for _, line in lines if line["key"].encode() in KNOWN],
        "queues": [line for _, line in lines if line["key"].encode() in QUEUES],
    }
    events: dict[str, set[str]] = {}
    for name, some in own.items():
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)) + "\n")
        model = [] if name == "all" else ["--model", name]
        words = ["backtest", f"{name}.jsonl", *model, "--time", "ts", "--key", "key"]
        assert main([*words, "--events", f"{name}.out", "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
        events[name] = set(Path(f"{name}.out").read_text().splitlines())
        assert summary["known_keys"] == len({line["key"] for line in some})
    assert events["hosts"]
    assert events["queues"]
    assert events["all"] == events["hosts"] | events["queues"]
    assert (
        main(["backtest", "all.jsonl", "--time", "ts", "--key", "key", "--report", "r.html"]) == 2
    )
    assert "--model with the bundle of a profile" in capsys.readouterr().err
    (folder / "ember.toml").write_text(PROFILES)
    assert main(["backtest", "all.jsonl", "--time", "ts", "--key", "key", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["counts"]["no_profile"] == 3 * 120
    assert "3 keys of no profile were not scored" in err
