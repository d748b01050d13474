"""What `ember train` and `ember backtest` say they left out, changed, or could not judge."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ember_core.data.sources import DataOptions, read
from stream import cli
from stream.remarks import training_remarks
from tests.stream.engine.conftest import signal

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


def write(path: Path, rows: int, names: tuple[str, ...], number: int = 0) -> None:
    lines = [",".join(("ts", *names))]
    for i, row in enumerate(signal(rows, len(names), number).tolist()):
        lines.append(",".join(map(str, (1_700_000_000 + 10 * i, *row))))
    path.write_text("\n".join(lines) + "\n")


def table(path: Path, rows: int, key: str = "") -> None:
    """Telemetry of one machine, with columns that no model can learn from."""
    names = ["", "ts", "load", "heat", "note", "fan", "limit", *(["host"] if key else [])]
    lines = [",".join(names)]
    for i, (load, heat) in enumerate(signal(rows, 2, 0).tolist()):
        cells = [i, 1_700_000_000 + 10 * i, load, heat, "warm", "", 7, *([key] if key else [])]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")


def test_train_says_by_name_what_it_leaves_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In words on stderr, and in the summary."""
    folder = tmp_path / "data"
    folder.mkdir()
    table(folder / "boiler.csv", 300)
    table(folder / "young.csv", 100)
    text = (folder / "boiler.csv").read_text().splitlines()
    # A row again, and one out of order.
    (folder / "boiler.csv").write_text("\n".join([*text, text[-1], text[5]]) + "\n")
    code, out, err = ember(capsys, "train", folder, "--out", "m", *FAST, "--json")
    assert code == 0
    said = {remark["kind"]: remark for remark in json.loads(out.splitlines()[-1])["remarks"]}
    for words in (
        "column 'note': left out",
        "column 'fan': left out",
        "1 channel kept, though constant in the training rows, since any change will be unusual",
        "unusual: limit (7)",
        "1 of 402 training rows were older than one before them, and sorted by time",
        "2 of 402 training rows were left out, as they repeat a time of their key",
        "1 key left out, with less than 128 usable training rows: 'young'",
    ):
        assert words in err
    assert said["short_key"]["count"] == 100
    assert said["repeated_time"]["text"].startswith("2 of 402")
    assert "Traceback" not in err


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models of one machine and of two, and a file of another month."""
    folder = tmp_path / "machines"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, number in (("january", 0), ("february", 0), ("pump", 1)):
        write(folder / f"{name}.csv", 400, ("load", "heat"), number)
    for out, files in (("one", ["january.csv"]), ("two", ["january.csv", "pump.csv"])):
        assert cli.main(["train", *files, "--out", out, *FAST]) == 0
    return folder


@pytest.mark.usefixtures("machines")
def test_a_file_of_another_month_is_scored_as_the_only_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = ember(capsys, "backtest", "february.csv", "--model", "one", "--json")
    said = json.loads(out.splitlines()[-1])
    assert (code, said["scored"], said["known_keys"]) == (0, 400, 1)
    assert "scored as 'january', the only key of the model; their own key is 'february'" in err


@pytest.mark.usefixtures("machines")
def test_a_file_whose_name_the_model_does_not_know_is_told_with_the_mend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("backtest", "february.csv", "--model", "two", "--json")
    code, out, err = ember(capsys, *arguments)
    said = json.loads(out.splitlines()[-1])
    assert (code, said["scored"], said["known_keys"]) == (0, 0, 0)
    assert "the key is the file's name, here 'february'; the model has 'january', 'pump'" in err
    assert "--as-key KEY" in err
    assert "400 rows of 1 key ('february') are not scored" in err
    assert "warms up until row 500, and may fire after row 2,000" in err
    assert [r["kind"] for r in said["remarks"]] == ["foreign_keys", "warming"]
    code, out, err = ember(capsys, *arguments, "--as-key", "january")
    said = json.loads(out.splitlines()[-1])
    assert (code, said["scored"]) == (0, 400)
    assert err == "The data are scored as 'january'; their own key is 'february'.\n"


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(
    ("files", "key"), [(["february.csv"], "march"), (["february.csv", "pump.csv"], "january")]
)
def test_a_key_that_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], files: list[str], key: str
) -> None:
    code, _, err = ember(capsys, "backtest", *files, "--model", "two", "--as-key", key)
    assert code == 2
    assert f"--as-key {key}" in err
    assert "january, pump" in err


def test_keys_that_differ_in_form_are_told_with_what_differs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, key in (("a.csv", "web-1"), ("b.csv", "web-1:9100")):
        table(tmp_path / name, 300, key=key)
    keyed = ("--key", "host", "--channels", "load,heat")
    assert ember(capsys, "train", "a.csv", "--out", "m", *keyed, *FAST)[0] == 0
    _, out, err = ember(capsys, "backtest", "b.csv", "--model", "m", *keyed, "--json")
    assert "The difference: the port: records have 'web-1:9100', the model 'web-1'." in err
    assert json.loads(out.splitlines()[-1])["known_keys"] == 0


def test_channels_that_only_one_side_has_are_told_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / "boiler.csv", 300, ("load", "heat", "flow"))
    assert ember(capsys, "train", "boiler.csv", "--out", "m", *FAST)[0] == 0
    write(tmp_path / "boiler.csv", 300, ("load", "heat_c", "fan"))
    code, _, err = ember(capsys, "backtest", "boiler.csv", "--model", "m")
    assert code == 0
    assert "2 of the model's 3 channels have no value in the data" in err
    assert "'heat', 'flow'. In the data, 'heat' may be 'heat_c'" in err
    assert "2 channels left out, unknown to the model: 'heat_c', 'fan'" in err


def test_rows_that_repeat_a_time_or_are_quiet_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / "boiler.csv", 300, ("load", "heat", "flow"))
    assert ember(capsys, "train", "boiler.csv", "--out", "m", *FAST)[0] == 0
    write(tmp_path / "boiler.csv", 100, ("load", "heat", "flow"))
    lines = (tmp_path / "boiler.csv").read_text().splitlines()
    (tmp_path / "boiler.csv").write_text("\n".join([*lines, lines[-1], lines[-1]]) + "\n")
    _, _, err = ember(capsys, "backtest", "boiler.csv", "--model", "m")
    assert "2 of 102 rows were left out, as they repeat a time of their key" in err
    assert "(3 rows of key 'boiler' at 1700000990)" in err
    assert (
        "100 rows of 1 key ('boiler') are scored, but after a start no key may fire for 128" in err
    )


def test_remarks_of_many_files_and_columns_are_summed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3):
        write(folder / f"m{number}.csv", 200, ("load", "heat"))
        lines = (folder / f"m{number}.csv").read_text().splitlines()
        notes = [",".join(f"n{i}" for i in range(40)), *([",".join(["x"] * 40)] * 200)]
        text = "\n".join(f"{a},{b}" for a, b in zip(lines, notes, strict=True))
        (folder / f"m{number}.csv").write_text(text + "\n")
    code, out, err = ember(capsys, "train", folder, "--out", "m", *FAST, "--json")
    assert code == 0
    assert len(json.loads(out.splitlines()[-1])["remarks"]) == 120
    lines = err.splitlines()
    assert len(lines) == 31
    assert "m0.csv and 2 others: column 'n0': left out" in lines[0]
    assert lines[-1] == "And 10 more remarks: --json lists all of them."


@pytest.mark.data
def test_rows_that_share_a_time_are_told_by_number(shared_cases: Path) -> None:
    data = read([shared_cases / "minute-precision-long.csv"], DataOptions(train_head="70%"))
    texts = [r.text for r in training_remarks(data, 128) if r.kind == "repeated_time"]
    assert [text.partition(" training rows")[0] for text in texts] == ["7,700 of 8,400"]


def test_constant_channels_share_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = ["ts,load,heat,limit,mode,version"]
    for i, (load, heat) in enumerate(signal(300, 2, 0).tolist()):
        lines.append(f"{1_700_000_000 + 10 * i},{load},{heat},7,0,3.5")
    (tmp_path / "boiler.csv").write_text("\n".join(lines) + "\n")
    code, _, err = ember(capsys, "train", tmp_path / "boiler.csv", "--out", tmp_path / "m", *FAST)
    assert code == 0
    about = [line for line in err.splitlines() if "constant" in line]
    assert len(about) == 1
    assert about[0].startswith("3 channels kept, though constant in the training rows")
    assert about[0].endswith("unusual: limit (7), mode (0), version (3.5).")


def test_too_few_rows_say_how_many_are_needed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / "few.csv", 30, ("load", "heat"))
    words = ("train", tmp_path / "few.csv", "--out", tmp_path / "m", *FAST)
    code, _, err = ember(capsys, *words)
    assert code == 1
    assert "at least 128 rows, that is 21 minutes of a key" in err
    assert "1 key with 30 records, which make 30 rows" in err
    code, _, err = ember(capsys, *words, "--window", "time", "--interval-seconds", "60")
    assert code == 1
    assert "at least 128 rows, that is 2.1 hours of a key" in err
    assert "one every 60 s" in err
