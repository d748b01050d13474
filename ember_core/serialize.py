"""A model on disk: `model.safetensors` (arrays) and `model.json` (the card) in one directory.

Nothing in a bundle is executed when it is read; there is no pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from .distribution import installed_version
from .files import write_atomically

FORMAT = "ember-bundle"
FORMAT_VERSION = 1
ARRAYS_FILE = "model.safetensors"
CARD_FILE = "model.json"
_OWN_KEYS = ("format", "format_version", "library_version", "sha256")


class BundleError(ValueError):
    """A model bundle cannot be used; the text says why, and what to do."""


def save_bundle(
    directory: str | Path, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]
) -> None:
    """Write a bundle; a reader sees the old one or the new one, or is told of a mismatch.

    Args:
        directory: Folder of the bundle; made if it does not exist.
        arrays: Arrays by name.
        card: JSON values that say what the model is. `format`, `format_version`,
            `library_version` and `sha256` are added, and replaced where they are there.

    Raises:
        BundleError: If the card is not JSON or an array is of objects; nothing is written then.
        OSError: If the directory cannot be written.
    """
    tensors = {}
    for name, value in arrays.items():
        array = np.ascontiguousarray(value).reshape(np.shape(value))  # keeps shape ()
        if array.dtype.kind not in "biuf":
            raise BundleError(
                "An array cannot be saved. Expected numbers or booleans. "
                f"Received: {name!r} of dtype {array.dtype}."
            )
        tensors[name] = array
    data = safetensors.numpy.save(tensors)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": library_version(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    extras = {key: value for key, value in card.items() if key not in _OWN_KEYS}
    try:
        text = json.dumps(header | extras, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"The model card cannot be saved. Expected JSON values, finite. Received: {error}."
        ) from error
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ARRAYS_FILE, data)
    write_atomically(folder / CARD_FILE, text.encode() + b"\n")


def load_bundle(directory: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and card of a bundle, after checking both.

    Raises:
        BundleError: If a file is missing or not what it should be, the bundle is of a newer
            format, or the arrays are not those the card was written with.
    """
    folder = Path(directory)
    card = _read_card(folder)
    data = _read(folder / ARRAYS_FILE)
    digest = hashlib.sha256(data).hexdigest()
    if digest != card["sha256"]:
        raise BundleError(
            f"The model's arrays are not those its card was written with. Expected sha256 "
            f"{card['sha256']}. Received: {digest} of {str(folder / ARRAYS_FILE)!r}. "
            f"Copy both files again, or train anew."
        )
    try:
        return dict(safetensors.numpy.load(data)), card
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise BundleError(
            f"The model's arrays cannot be read. Expected a safetensors file. "
            f"Received: {str(folder / ARRAYS_FILE)!r} ({error}). Train anew."
        ) from error


def bundle_digest(directory: str | Path) -> str:
    """SHA-256, in hexadecimal, that identifies the model: of its card, which holds the arrays' own.

    The version of the library that wrote it does not count, nor does the card's layout.

    Raises:
        BundleError: If the card cannot be read.
    """
    return card_digest(_read_card(Path(directory)))


def card_digest(card: Mapping[str, Any]) -> str:
    """The same of a card that has been read already."""
    counted = {name: value for name, value in card.items() if name != "library_version"}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def library_version() -> str:
    """Version of the installed package, or `"0+unknown"` where it runs from a checkout."""
    return installed_version() or "0+unknown"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"The model has no readable {path.name}. Expected a directory with {CARD_FILE} and "
            f"{ARRAYS_FILE}. Received: {str(path)!r} ({error.strerror}). "
            f"Check the model path, or train one with 'ember train'."
        ) from error


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_FILE
    try:
        card = json.loads(_read(path))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(
            f"The model card is not JSON. Expected the {CARD_FILE} of 'ember train'. "
            f"Received: {str(path)!r} ({error}). Copy it again, or train anew."
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        value = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise BundleError(
            f"The file is no Ember model card. Expected format={FORMAT!r}. "
            f"Received: format={value!r} in {str(path)!r}. Check the model path."
        )
    value = card.get("format_version")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BundleError(
            f"The model card has no format version. Expected a whole number from 1. "
            f"Received: format_version={value!r} in {str(path)!r}. Train anew."
        )
    if value > FORMAT_VERSION:
        raise BundleError(
            f"The model was written by a newer Ember Stream. Expected format_version <= "
            f"{FORMAT_VERSION}. Received: format_version={value}, written by version "
            f"{card.get('library_version')}. Upgrade, or train with this version."
        )
    if not isinstance(card.get("sha256"), str):
        raise BundleError(
            f"The model card names no digest of its arrays. Expected sha256. "
            f"Received: sha256={card.get('sha256')!r} in {str(path)!r}. Train anew."
        )
    return card
