"""`ember train` and `ember backtest` from the command line: files in, files and figures out."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ember_core.distribution import install_command
from ember_core.pipeline import FleetModel
from stream import cli
from tests.stream.engine.conftest import signal

ROWS, HEAD = 320, 220
DATA = ("--time", "at", "--label", "fault")
FAST = ("--epochs", "1", "--hidden", "8", "--rbm-hidden", "11")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def ember(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def unexpected(err: str) -> list[str]:
    """Lines that say something else than that a cell is empty, as one of `write` is."""
    return [line for line in err.splitlines() if "without a value (" not in line]


def write(path: Path, values: np.ndarray, fault: slice, names: tuple[str, ...]) -> None:
    """Times are ISO 8601 with a space and an offset, as no one would write them back."""
    rows = [",".join(("at", *names, "fault"))]
    for i, row in enumerate(values):
        at = f"2024-03-01 {i // 360:02}:{i // 6 % 60:02}:{i % 6}0+00:00"
        cells = ["" if np.isnan(v) else repr(float(v)) for v in row]
        rows.append(",".join((at, *cells, str(int(fault.start <= i < fault.stop)))))
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines; a fault in the last rows of each."""
    folder = tmp_path_factory.mktemp("data")
    for n, name in enumerate(("boiler", "pump")):
        values = signal(ROWS, 3, n)
        values[300:310] += 70.0
        values[40, 1] = np.nan
        write(folder / f"{name}.csv", values, slice(300, 310), ("load", "heat", "flow"))
    return folder


@pytest.fixture(scope="module")
def bundle(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "boilers"
    head = ("--train-head", str(HEAD))
    assert cli.main(["train", str(data), "--out", str(out), *DATA, *head, *FAST]) == 0
    return out


def scores_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_train_writes_a_bundle_and_says_what_it_learnt(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    code, out, err = ember(
        capsys, "train", data, "--out", "m/boilers", *DATA, "--train-head", HEAD, *FAST, "--json"
    )
    assert (code, unexpected(err)) == (0, [])
    said = json.loads(out.splitlines()[-1])
    assert (said["keys"], said["rows"], said["channels"]) == (2, 2 * HEAD, 3)
    model = FleetModel.load(tmp_path / "m" / "boilers")
    assert said["sha256"] == model.sha256
    assert model.name == said["name"] == "boilers"
    assert model.channels == ("load", "heat", "flow")  # neither the time nor the label
    assert model.keys == [b"boiler", b"pump"]
    code, out, _ = ember(
        capsys, "train", data, "--out", "n", *DATA, "--train-head", HEAD, *FAST, "--name", "boilers"
    )
    assert code == 0
    assert "2 keys, 440 rows, 3 channels" in out
    assert FleetModel.load(tmp_path / "n").sha256 == model.sha256  # nothing of time or place


def test_choose_prints_what_each_block_brought(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And the model has the blocks that are said to be kept."""
    write(tmp_path / "mill.csv", signal(1511, 3, 4), slice(0, 0), ("load", "heat", "flow"))
    code, out, _ = ember(capsys, "train", "mill.csv", "--out", "m", *DATA, *FAST, "--choose")
    assert code == 0
    rows = {line[:14].strip(): line[14:].split() for line in out.splitlines()[-5:]}
    assert list(rows) == ["departures", "levels", "residual 1", "residual 6", "residual 24"]
    assert "level shift" in out
    config = FleetModel.load(tmp_path / "m").pipeline.config
    assert config.levels == (rows["levels"][0] == "yes")
    kept = tuple(h for h in (1, 6, 24) if rows[f"residual {h}"][0] == "yes")
    assert config.residuals == kept


def test_choose_without_enough_history_says_so(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    code, out, _ = ember(capsys, "train", data, "--out", "c", *DATA, *FAST, "--choose")
    assert code == 0
    assert "too little history to try them" in out


def test_too_little_history_is_told_with_its_cause(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Dates alone repeat all day long: what was left out stands before the error."""
    path = tmp_path / "two.csv"
    lines = [f"2026-01-{1 + i // 144:02},{i // 6 % 24:02}:{i % 6}0,{i % 7}" for i in range(600)]
    path.write_text("\n".join(["date,clock,temp", *lines]) + "\n")
    code, _, err = ember(capsys, "train", path, "--out", tmp_path / "m", *FAST)
    assert code != 0
    assert "595 of 600 training rows were left out, as they repeat a time" in err
    assert "--time DATE+TIME" in err
    both = ("--time", "date+clock")
    assert ember(capsys, "train", path, "--out", tmp_path / "m", *FAST, *both)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--train-head", "100"), "Too little history"),
        (("--train-head", "0%"), "Too little history"),
        (("--windows", "sliding"), "mode='sliding'"),
        (("--hidden", "3"), "hidden=3"),
        (("--channels", "load,colour"), "colour"),
        (("--budget", "now and then"), "budget"),
        (("--refine", "-3"), "--refine -3"),
        (("--refine", "5", "--train-head", "200"), "too short to refine"),
    ],
)
def test_train_refuses_with_one_sentence_and_writes_nothing(
    capsys: pytest.CaptureFixture[str],
    data: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    code, out, err = ember(capsys, "train", data, "--out", "m", *DATA, "--epochs", "1", *arguments)
    assert code in (1, 2)
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_train_refines_the_liquid_cell_and_says_what_that_brought(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    words = ("train", data, *DATA, *FAST, "--json")
    found = []
    for out, refine in (("plain", ()), ("refined", ("--refine", "2", "--backend", "torch"))):
        code, said, err = ember(capsys, *words, "--out", out, *refine)
        assert (code, unexpected(err)) == (0, [])
        found.append(json.loads(said.splitlines()[-1])["liquid"])
    assert "held_refined" not in found[0]
    assert found[1]["held_refined"] <= found[1]["held_ridge"]
    plain, refined = (
        FleetModel.load(tmp_path / out).pipeline.liquid for out in ("plain", "refined")
    )
    assert (np.asarray(plain.synapses.data) != np.asarray(refined.synapses.data)).any()


def test_a_backend_that_is_not_installed_is_one_sentence(
    capsys: pytest.CaptureFixture[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlx", None)
    monkeypatch.setitem(sys.modules, "mlx.core", None)
    monkeypatch.delitem(sys.modules, "ember_core.ops.backends.mlx", raising=False)
    code, out, err = ember(capsys, "train", data, "--out", "m", *DATA, "--backend", "mlx")
    assert (code, out) == (2, "")
    assert install_command("mlx") in err
    assert len(err.strip().splitlines()) == 1


def test_train_refuses_an_empty_file_with_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "none.csv").write_text("at,load\n")
    code, _, err = ember(capsys, "train", "none.csv", "--out", "m", "--time", "at")
    assert code == 1
    assert "empty" in err
    assert len(err.strip().splitlines()) == 1


def test_backtest_scores_the_rows_not_trained_on_with_time_as_it_stood(
    capsys: pytest.CaptureFixture[str], data: Path, bundle: Path, tmp_path: Path
) -> None:
    """Columns in their order, key by key; events as they would be published."""
    head = ("--train-head", HEAD)
    arguments = ("--warm", "--scores", "s.csv", "--events", "e.jsonl", "--json")
    code, out, err = ember(capsys, "backtest", data, "--model", bundle, *DATA, *head, *arguments)
    assert (code, unexpected(err)) == (0, [])  # with --warm no row is quiet
    said = json.loads(out.splitlines()[-1])
    assert said["counts"] == {"scored": 200}
    assert said["records"] == said["scored"] == 200
    assert {"mean", "per_key", "baselines"} <= said.keys()
    rows = scores_of(tmp_path / "s.csv")
    first = ["key", "time", "score", "probability", "severity", "anomaly", "trigger"]
    assert list(rows[0])[:7] == first
    assert [r["key"] for r in rows] == ["boiler"] * 100 + ["pump"] * 100
    assert rows[0]["time"] == "2024-03-01 00:36:40+00:00"
    assert [r["time"] for r in rows[:100]] == [r["time"] for r in rows[100:]]
    for r in rows:
        assert 0.0 <= float(r["severity"]) <= 12.0
        assert float(r["probability"]) == pytest.approx(10.0 ** -float(r["severity"]), rel=1e-5)
    marks = [int(r["trigger"]) for r in rows]
    assert marks.count(1) == said["triggers"]
    assert sum(int(r["anomaly"]) for r in rows) == said["anomalies"] > 0
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    kinds = [e["kind"] for e in events]
    assert kinds.count("anomaly") == said["anomalies"]
    assert len({e["id"] for e in events}) == len(events)
    assert all(e["body"]["labels"]["key"] == e["key"] for e in events)


def test_scores_as_parquet_are_the_scores_as_csv(
    capsys: pytest.CaptureFixture[str], data: Path, bundle: Path, tmp_path: Path
) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for name in ("s.csv", "s.parquet"):
        code, *_ = ember(capsys, "backtest", data, "--model", bundle, *DATA, "--scores", name)
        assert code == 0
    table = pd.read_parquet(tmp_path / "s.parquet")
    rows = scores_of(tmp_path / "s.csv")
    assert list(table.columns) == list(rows[0])
    assert table["time"].tolist() == [r["time"] for r in rows]
    assert table["score"].tolist() == [float(r["score"]) for r in rows]


def test_neither_labels_nor_batches_change_the_files(
    capsys: pytest.CaptureFixture[str], data: Path, bundle: Path, tmp_path: Path
) -> None:
    """Without the label column, and three rows at a time: the same bytes."""
    common = ("backtest", data, "--model", bundle, "--time", "at")
    plain = ("--scores", "a.csv", "--events", "a.jsonl")
    other = ("--scores", "b.csv", "--events", "b.jsonl", "--batch-rows", 3)
    assert ember(capsys, *common, "--label", "fault", *plain)[0] == 0
    assert ember(capsys, *common, "--drop", "fault", *other)[0] == 0
    for ending in ("csv", "jsonl"):
        a, b = (tmp_path / f"{n}.{ending}" for n in "ab")
        assert a.read_bytes() == b.read_bytes() != b""


def test_warm_feeds_the_training_rows_first(
    capsys: pytest.CaptureFixture[str], data: Path, bundle: Path, tmp_path: Path
) -> None:
    """As many rows are written, and the first of them differ."""
    head = ("--train-head", HEAD, "--scores")
    common = ("backtest", data, "--model", bundle, *DATA)
    assert ember(capsys, *common, *head, "cold.csv")[0] == 0
    assert ember(capsys, *common, *head, "warm.csv", "--warm")[0] == 0
    assert ember(capsys, *common, "--scores", "all.csv")[0] == 0
    cold, warm, every = (scores_of(tmp_path / f"{n}.csv") for n in ("cold", "warm", "all"))
    assert [r["time"] for r in warm] == [r["time"] for r in cold]
    assert warm[0]["score"] != cold[0]["score"]
    after = [r for r in every if r["time"] >= warm[0]["time"]]
    assert [r["score"] for r in warm] == [r["score"] for r in after]


def test_data_without_the_models_channels_are_one_clear_error(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    """Which channels it wants, and which there are."""
    write(tmp_path / "x.csv", signal(9, 2, 0), slice(0, 1), ("volts", "amps"))
    code, out, err = ember(capsys, "backtest", "x.csv", "--model", bundle, *DATA)
    assert (code, out) == (1, "")
    assert len(err.strip().splitlines()) == 1
    for word in ("load", "heat", "flow", "volts", "amps"):
        assert word in err


def test_infinite_and_too_large_values_cost_themselves_as_in_the_stream(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    """All rows are scored, with finite scores; the values are told."""
    values = signal(9, 3, 0)
    values[3, 1], values[6, 0] = np.inf, 1e200
    write(tmp_path / "boiler.csv", values, slice(0, 1), ("load", "heat", "flow"))
    arguments = ("--scores", "s.csv", "--json")
    code, out, err = ember(capsys, "backtest", "boiler.csv", "--model", bundle, *DATA, *arguments)
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    assert said["counts"] == {"scored": 9}
    assert "column 'heat': a word for no value (1 value, first in row 4: 'inf')" in err
    rows = scores_of(tmp_path / "s.csv")
    assert len(rows) == 9
    assert all(np.isfinite(float(r["score"])) for r in rows)


def test_of_two_records_at_one_time_the_first_is_scored_under_its_own_text(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    """The second, late one wrote the time another way."""
    lines = ["at,load,heat,flow"]
    lines += ["2024-03-01T00:00:00Z,1,2,3", "2024-03-01 00:00:00+00:00,4,5,6"]
    (tmp_path / "boiler.csv").write_text("\n".join(lines) + "\n")
    code, *_ = ember(
        capsys, "backtest", "boiler.csv", "--model", bundle, "--time", "at", "--scores", "s.csv"
    )
    assert code == 0
    assert [r["time"] for r in scores_of(tmp_path / "s.csv")] == ["2024-03-01T00:00:00Z"]


def test_scores_of_an_unknown_format_are_refused_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong use: neither the model nor the data have been looked at yet."""
    arguments = ("nowhere.csv", "--model", "nowhere", "--scores", "s.xlsx")
    code, out, err = ember(capsys, "backtest", *arguments)
    assert (code, out) == (2, "")
    assert "s.xlsx" in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_bundle_is_one_sentence(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    code, out, err = ember(capsys, "backtest", data, "--model", "nowhere", *DATA)
    assert (code, out) == (1, "")
    assert "nowhere" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("place", ["file", "file/model"])
def test_a_model_that_cannot_be_written_is_refused_before_the_data_are_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    code, _, err = ember(capsys, "train", "not-there.csv", "--out", place)
    assert code == 2
    assert "The folder cannot be written" in err


@pytest.mark.parametrize("flag", ["--since", "--until", "--step"])
def test_a_period_is_not_ignored_with_files(
    capsys: pytest.CaptureFixture[str], data: Path, flag: str
) -> None:
    code, _, err = ember(capsys, "train", data, *DATA, flag, "1d", "--out", "model")
    assert code == 2
    assert "Files are read whole" in err


def test_the_name_of_a_topic_leads_to_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ember(capsys, "train", "telemetry", "--out", "model")
    assert code == 2
    assert "write kafka:telemetry" in err


def test_channels_that_no_model_keeps_do_not_hide_why_there_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = tuple(f"c{n}" for n in range(40))
    write(tmp_path / "few.csv", np.ones((5, 40)), slice(0, 0), names)
    code, _, err = ember(capsys, "train", "few.csv", *DATA, "--out", "model")
    assert code == 1
    assert "Too little history" in err
    assert "constant in the training rows" not in err


def test_a_budget_of_pages_is_tried_on_recorded_telemetry(
    capsys: pytest.CaptureFixture[str], data: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the settings have one."""
    words = ("backtest", data, "--model", bundle, *DATA, "--train-head", HEAD)
    assert "in the digest only" not in ember(capsys, *words)[1]
    monkeypatch.setenv("EMBER_ALERTS__PAGES", "1/day")
    code, out, _ = ember(capsys, *words)
    assert code == 0
    assert re.search(r"\d+ incidents: \d+ pages \(.* a day, alerts.pages is 1/day\), \d+ in", out)
    fleet = json.loads(ember(capsys, *words, "--json")[1])["fleet"]
    assert fleet["pages"] + fleet["digest"] == fleet["incidents"]
