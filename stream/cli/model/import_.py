"""`ember model import`: convert an RBM of the older pipeline to a bundle."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from ember_core.models import read_original, save_detector


def import_(
    old: Path, /, *, out: Annotated[Path, Parameter(name="--out")], json: bool = False
) -> None:
    """Convert a file of the older pipeline: OptimizedRBM.save (.npy) or save_rbm (JSON).

    The bundle holds a detector: ember_core.models.load_detector reads it. Its threshold of the
    reconstruction error is the old one; that of the free energy was on the wrong tail and has to
    be set again (ember_core.training.set_thresholds).

    Args:
        old: File of the older pipeline.
        out: Folder of the bundle; created if it does not exist.
        json: Print the summary as one JSON object.
    """
    detector, training = read_original(old)
    save_detector(detector, out, name=old.stem, report=training)
    summary = {
        "bundle": str(out),
        "visible_units": detector.rbm.n_visible,
        "hidden_units": detector.rbm.n_hidden,
        "reconstruction_threshold": _finite(float(detector.thresholds[1])),
        "training": training,
    }
    if json:
        sys.stdout.write(json_.dumps(summary) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print(f"{detector.summary()}\nwritten to {out}")


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
