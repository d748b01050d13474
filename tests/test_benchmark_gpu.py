"""The benchmark of an accelerator, tried on the processor."""

from __future__ import annotations

import json

import pytest

from benchmarks import frame, gpu

SMALL = "--batches 7,61 --seconds 0.0 --keys 2 --rows 211"


def test_it_says_clearly_that_there_is_no_cuda(capsys):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert frame.main(["gpu", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "CUDA is not available" in said.err


def test_it_says_that_pytorch_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(gpu, "find_spec", lambda _name: None)
    assert frame.main(["gpu"]) == 1
    assert "torch is not installed" in capsys.readouterr().err


def test_the_processor_goes_the_same_way(capsys):
    pytest.importorskip("torch")
    words = f"--json --device cpu --parts cfc,pipeline {SMALL}"
    assert frame.main(["gpu", *words.split()]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["cfc"]["largest_difference"] < 1e-5
    assert found["pipeline"]["largest_relative_difference"] < 1e-5
    assert found["pipeline"]["same_triggers"]
    for rates in (found["cfc"]["rows_per_second"], *found["pipeline"]["rows_per_second"].values()):
        assert rates.keys() == {"numpy", "torch-cpu"}
        assert all(figure > 0 for place in rates.values() for figure in place.values())


def test_it_pays_from_the_size_from_which_all_larger_ones_are_quicker():
    places = [gpu.Place("a", "numpy", "cpu"), gpu.Place("b", "torch", "cuda")]
    slow = {"8": 5, "64": 5, "512": 5}
    assert gpu.pays_from({"a": slow, "b": {"8": 9, "64": 4, "512": 9}}, places) == 512
    assert gpu.pays_from({"a": slow, "b": {"8": 9, "64": 6, "512": 9}}, places) == 8
    assert gpu.pays_from({"a": slow, "b": {"8": 9, "64": 6, "512": 5}}, places) is None
