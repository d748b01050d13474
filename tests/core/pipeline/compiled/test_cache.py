"""The folder of machine code, and runs that compile nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import Pipeline, PipelineConfig
from ember_core.pipeline.compiled import cache, compiler, table
from ember_core.pipeline.compiled.compiler import NotCompiledError, compiled, without_compiling
from ember_core.pipeline.compiled.warm import warm_up


def test_the_folder_lies_where_numba_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache.cache_folder() == tmp_path / f"compiled-{cache.sources_digest()}"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder().parent == tmp_path / "ember-stream"


def test_other_sources_have_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.sources_digest()
    assert cache.sources_digest() == before
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "elementary.py")
    )
    assert cache.sources_digest() != before


def test_code_of_other_sources_goes_after_a_month(tmp_path: Path) -> None:
    own, old, young = (tmp_path / f"compiled-{name}" for name in ("own", "old", "young"))
    foreign = tmp_path / "models"
    for folder in (own, old, young, foreign):
        folder.mkdir()
    long_ago = time.time() - 31 * 86_400
    for folder in (own, old, foreign):
        os.utime(folder, (long_ago, long_ago))
    cache.remove_older(own)
    assert sorted(tmp_path.iterdir()) == [own, young, foreign]


def test_code_of_an_image_is_copied_once(tmp_path: Path) -> None:
    image, folder = tmp_path / "image", tmp_path / "state" / "compiled"
    name = f"compiled-{cache.sources_digest()}"
    cache.copy_missing(image, folder)  # an image without code
    assert not folder.exists()
    (image / name).mkdir(parents=True)
    (image / name / "index").write_text("of the image")
    cache.copy_missing(image, folder)
    (folder / name / "index").write_text("own")
    cache.copy_missing(image, folder)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name / "index").read_text() == "own"


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not cache.is_writable(tmp_path / "file" / "folder")
    assert cache.is_writable(tmp_path / "new" / "folder")


def test_nothing_is_compiled_where_it_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "KEEPS_CODE", False)  # of an earlier run of the tests

    @compiled
    def twice(x):
        return 2 * x

    with without_compiling(), pytest.raises(NotCompiledError, match="twice is not compiled"):
        twice(1)
    assert twice(1) == 2
    with without_compiling():
        assert twice(3) == 6
        with pytest.raises(NotCompiledError):
            twice(1.5)  # another type


@pytest.mark.parametrize("evidence", ["joint", "channels+joint"])
def test_a_warm_up_calls_each_form_with_one_key_and_several(
    evidence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(PipelineConfig(channels=("x", "y", "z"), evidence=evidence))
    stage, calls = type(pipeline.liquid), []

    def form(liquid, state, x, observation):
        calls.append((observation.packed.key_count, observation.packed.row_count))
        return liquid.forward(state, x, observation)

    monkeypatch.setattr(table, "STAGES", {stage: form})
    warm_up(pipeline)
    assert set(calls) == {(3, 3), (1, 1), (3, 6), (1, 3)}
    assert pipeline.is_compiled
    assert np.isfinite(pipeline.rbm.weights.data).all()
