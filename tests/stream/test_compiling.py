"""Compiled stages of models in use: prepared beside the stream, used between two steps."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ember_core.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.compiled import compiler, table
from ember_core.pipeline.compiled.compiler import NotCompiledError
from stream.compiling import BackgroundCompiler, use_folder
from stream.engine import Profiles

PLAIN = "the model scores by its plain stages, which take longer"


def model() -> Any:
    return SimpleNamespace(pipeline=Pipeline(PipelineConfig(channels=("x", "y"))), keys=())


def forward(stage: Any, *arguments: Any) -> Any:
    return stage.forward(*arguments)


class Between:
    """Functions to run between two steps, when the test says so."""

    def __init__(self) -> None:
        self._functions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, function: Callable[[], None]) -> None:
        self._functions.put(function)

    def next(self) -> Callable[[], None]:
        return self._functions.get(timeout=60)

    def run(self) -> None:
        self.next()()


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form of the clock that needs no compiler."""
    clock = type(model().pipeline.clock)
    monkeypatch.setattr(table, "STAGES", {clock: forward})


def test_models_are_switched_between_two_steps_only(tmp_path: Path, form: None) -> None:
    between, one, other = Between(), model(), model()
    background = BackgroundCompiler(tmp_path, between)
    profiles = Profiles([("a*", one)], other)
    with capture_logs() as logs:
        background.begin(profiles)
        assert background.is_busy
        assert not one.pipeline.is_compiled
        between.run()
    assert one.pipeline.is_compiled
    assert other.pipeline.is_compiled
    assert not background.is_busy
    assert background.detail == ""
    assert [log["event"] for log in logs] == ["the model scores by its compiled stages"]
    background.begin(later := model())  # a model that is taken over while running
    between.run()
    assert later.pipeline.is_compiled


def test_a_model_stays_plain_where_that_is_wanted(tmp_path: Path, form: None) -> None:
    own = model()
    background = BackgroundCompiler(tmp_path, is_wanted=False)
    background.begin(own)
    assert not background.is_busy
    assert not own.pipeline.is_compiled
    assert background.detail == "model.compiled is off."


def _failing(stage: Any, *arguments: Any) -> Any:
    raise RuntimeError("the compiler is broken")


@pytest.mark.parametrize(
    ("broken", "detail"),
    [
        ("numba", "Numba cannot be imported"),
        ("stage", "RuntimeError: the compiler is broken"),
        ("folder", "No file can be written to"),
        ("process", "The process that compiles ended with exit code"),
    ],
)
def test_what_cannot_be_compiled_is_told_in_one_line_and_the_plain_stages_go_on(
    broken: str, detail: str, tmp_path: Path, form: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "numba":
        monkeypatch.setitem(sys.modules, "ember_core.pipeline.compiled.compiler", None)
    elif broken == "stage":
        monkeypatch.setattr(table, "STAGES", dict.fromkeys(table.STAGES, _failing))
    else:

        def missing(*_: Any) -> Any:
            raise NotCompiledError

        monkeypatch.setattr(table, "STAGES", dict.fromkeys(table.STAGES, missing))
        monkeypatch.setattr(compiler, "KEEPS_CODE", broken != "folder")
        monkeypatch.setattr("stream.compiling.PROGRAM", "no.such.program")
    between, own = Between(), model()
    background = BackgroundCompiler(tmp_path, between)
    with capture_logs() as logs:
        background.begin(own)
        between.run()
    assert [log["event"] for log in logs] == [PLAIN]
    assert logs[0]["detail"] == background.detail
    assert background.detail.startswith(detail)
    assert not own.pipeline.is_compiled
    assert not background.is_busy


def test_after_the_end_nothing_is_switched(tmp_path: Path, form: None) -> None:
    between, own = Between(), model()
    background = BackgroundCompiler(tmp_path, between)
    background.begin(own)
    switch = between.next()
    background.close()
    switch()
    assert not own.pipeline.is_compiled


def test_the_folder_is_the_one_of_numba_where_that_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for named, used in (
        ("", tmp_path / "own"),
        (str(tmp_path / "named"), tmp_path / "named"),
        (str(tmp_path / "file" / "folder"), tmp_path / "own"),
    ):
        monkeypatch.setenv("NUMBA_CACHE_DIR", named)
        use_folder(tmp_path / "own")
        assert Path(os.environ["NUMBA_CACHE_DIR"]) == used
