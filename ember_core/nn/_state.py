"""Checks of a state dict against a module, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from ember_core import ops
from ember_core.files import write_atomically

# A dtype fits into those after it: truth values into whole numbers, those into floating point.
_KINDS = ("bool", "int", "float", "complex")


def _rank(dtype: str) -> int:
    return next((i for i, kind in enumerate(_KINDS) if kind in dtype), len(_KINDS))


def take_over(value: Any, own: Any) -> Any:
    """A copy of `value` on the backend and device of `own`, with its dtype."""
    array = ops.from_numpy(ops.to_numpy(ops.asarray(value)), like=own)
    return ops.copy(ops.astype(array, ops.dtype(own)))


def check_state(owner: str, expected: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Compare names and shapes.

    Raises:
        ValueError: With everything that is missing, unexpected, of another shape or of a dtype
            that would lose what it holds.
    """
    faults = []
    if missing := [name for name in expected if name not in given]:
        faults.append(f"Missing: {', '.join(missing)}.")
    if unexpected := [name for name in given if name not in expected]:
        faults.append(f"Unexpected: {', '.join(unexpected)}.")
    shapes = [
        f"{name} {ops.shape(given[name])} instead of {ops.shape(value)}"
        for name, value in expected.items()
        if name in given and ops.shape(given[name]) != ops.shape(value)
    ]
    if shapes:
        faults.append(f"Wrong shape: {'; '.join(shapes)}.")
    kinds = [
        f"{name} {ops.dtype(given[name])} instead of {ops.dtype(value)}"
        for name, value in expected.items()
        if name in given and _rank(ops.dtype(given[name])) > _rank(ops.dtype(value))
    ]
    if kinds:
        faults.append(f"Wrong dtype: {'; '.join(kinds)}.")
    if faults:
        raise ValueError(
            f"The state does not fit {owner}. Expected its {len(expected)} arrays. "
            f"{' '.join(faults)} Build the module with the configuration the state was saved with."
        )


def write_state(path: Path, state: Mapping[str, Any], header: Mapping[str, str]) -> None:
    """Write arrays and a header of strings as one safetensors file."""
    arrays = {name: ops.to_numpy(ops.ascontiguous(value)) for name, value in state.items()}
    write_atomically(path, safetensors.numpy.save(arrays, metadata=dict(header)))


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays and header of a safetensors file.

    Raises:
        ValueError: If there is no such file, or it is not one.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"The module's file cannot be read. Expected a safetensors file. "
            f"Received: path={str(path)!r} ({error})."
        ) from error


def read_config(path: Path, header: Mapping[str, str]) -> tuple[str, Any]:
    """Class name and configuration from a module file's header.

    Raises:
        ValueError: If the header does not hold them.
    """
    try:
        return header["class"], json.loads(header["config"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"The file does not say which module it holds. Expected a file written by "
            f"Module.save. Received: path={str(path)!r}. Build the module and use load_state_dict."
        ) from error
