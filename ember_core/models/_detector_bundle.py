"""A detector as a bundle: the same two files as a fleet's model, another kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.serialize import BundleError, load_bundle, save_bundle

from .detector import RBMDetector

DETECTOR = "rbm-detector"
"""Kind of these bundles, in their card."""


def save_detector(
    detector: RBMDetector,
    directory: str | Path,
    *,
    name: str = "detector",
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write `model.safetensors` and `model.json` into a folder, made where it is not there.

    Args:
        detector: The detector, fitted or not.
        directory: The folder.
        name: Name of the detector.
        report: JSON values on its training.
    """
    arrays = {n: np.asarray(ops.to_numpy(x)) for n, x in detector.state_dict().items()}
    card = {
        "kind": DETECTOR,
        "name": name,
        "config": detector.get_config(),
        "report": dict(report or {}),
    }
    save_bundle(directory, arrays, card)


def load_detector(directory: str | Path) -> RBMDetector:
    """The detector that `save_detector` wrote, on the default backend.

    Raises:
        BundleError: If the bundle is missing, damaged, or of another kind.
    """
    arrays, card = load_bundle(directory)
    if card.get("kind") != DETECTOR:
        raise BundleError(
            f"The bundle holds no detector. Expected kind={DETECTOR!r}. Received: "
            f"kind={card.get('kind')!r} in {str(directory)!r}. A fleet's model is read by "
            f"ember_core.pipeline.fleet.FleetModel.load."
        )
    try:
        detector = RBMDetector.from_config(card["config"])
        detector.load_state_dict({n: ops.from_numpy(x) for n, x in arrays.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"The bundle does not hold a detector of this version. Received: "
            f"{str(directory)!r}: {type(error).__name__}: {error}."
        ) from error
    return detector
