"""`ember backtest --report`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stream.cli import main
from tests.stream.report import small


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The faulty key as a file."""
    table = small.dataset().tables[0]
    path = tmp_path / "web-1.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "split", *small.CHANNELS])
        for text, train, row in zip(
            table.time_text.tolist(), table.is_train.tolist(), table.values.tolist(), strict=True
        ):
            writer.writerow([text, "train" if train else "test", *row])
    return path


def test_a_report_is_written_beside_the_figures(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.model().save(tmp_path / "model")
    report = tmp_path / "report.html"
    flags = ["--model", str(tmp_path / "model"), "--split", "split", "--report", str(report)]
    assert main(["backtest", str(data), *flags]) == 0
    page = report.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "web-1.csv" in page
    assert "records" in capsys.readouterr().out


def test_a_report_of_another_format_is_refused_before_the_work(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", str(tmp_path / "model"), "--report", str(tmp_path / "report.pdf")]
    assert main(["backtest", str(data), *flags]) == 2
    assert "Expected a name ending in .html" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_said_before_the_work(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere" / "report.html"
    flags = ["--model", str(tmp_path / "model"), "--report", str(missing)]
    assert main(["backtest", str(data), *flags]) == 2
    assert "Expected a folder that exists" in capsys.readouterr().err
