"""`ember model import`: an old file becomes a bundle that shows itself."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from ember_core.models import load_detector
from stream.cli import main

V, N = 5, 3


@pytest.fixture
def old(tmp_path):
    rng = np.random.default_rng(1)
    contents = {
        "weights": rng.standard_normal((V, N)),
        "visible_bias": rng.standard_normal(V),
        "hidden_bias": rng.standard_normal(N),
        "reconstruction_error_threshold": 1.25,
        "training_errors": [0.7, 0.5],
    }
    np.save(tmp_path / "rbm.npy", contents, allow_pickle=True)
    return tmp_path / "rbm.npy"


def test_an_old_file_becomes_a_bundle(old, tmp_path, capsys):
    out = tmp_path / "bundle"
    assert main(["model", "import", str(old), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["visible_units"], said["hidden_units"]) == (V, N)
    assert said["reconstruction_threshold"] == 1.25
    assert said["training"]["errors"] == [0.7, 0.5]
    assert load_detector(out).rbm.visible == "binary"
    assert main(["model", "show", str(out)]) == 0
    assert "5 binary visible units" in capsys.readouterr().out
    assert main(["model", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "rbm-detector"


def test_what_is_written_is_said(old, tmp_path, capsys):
    assert main(["model", "import", str(old), "--out", str(tmp_path / "bundle")]) == 0
    said = capsys.readouterr().out
    assert "reconstruction error 1.25" in said
    assert f"written to {tmp_path / 'bundle'}" in said


def test_a_malicious_file_is_one_sentence(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'victim'}",))

    np.save(tmp_path / "rbm.npy", {"weights": Evil()}, allow_pickle=True)
    out = tmp_path / "bundle"
    assert main(["model", "import", str(tmp_path / "rbm.npy"), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "it asks for posix.system, which no RBM needs" in said.err
    assert not out.exists()
    assert not (tmp_path / "victim").exists()
