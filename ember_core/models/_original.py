"""RBMs saved by the older pipeline, read without executing their files' contents.

`OptimizedRBM.save` pickled a dict into an `.npy` file, `save_rbm` wrote JSON. A pickle is a
program: here it may build arrays, numbers, strings, lists and dicts, and what else it names is
refused.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ember_core import ops
from ember_core.serialize import BundleError

from .detector import RBMDetector
from .rbm import RBM

_ARRAYS = ("weights", "visible_bias", "hidden_bias")
_KEPT = ("learning_rate", "momentum", "weight_decay", "use_binary_states", "n_epochs_trained")
_MAGIC = b"\x93NUMPY"
_LARGEST_HEADER = 10_000  # bytes; NumPy's own limit for files that are not trusted
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufUS]\d+")


def read_original(path: str | Path) -> tuple[RBMDetector, dict[str, Any]]:
    """A detector with the weights of an older pipeline's RBM, and what the file says of training.

    Its units are binary, as they were; rows are not scaled, as the older pipeline scaled them
    outside. The threshold of the reconstruction error is taken over. That of the free energy is
    not: it was the 5th percentile, on the side of the most likely rows. Find a new one with
    `ember_core.training.set_thresholds`.

    Args:
        path: File written by `OptimizedRBM.save` (`.npy`) or `save_rbm` (JSON).

    Raises:
        BundleError: If the file is neither, or names anything else than numbers and arrays.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"The old RBM cannot be read. Expected a file. Received: {str(path)!r} "
            f"({error.strerror})."
        ) from error
    fields = _from_npy(data, path) if data.startswith(_MAGIC) else _from_json(data, path)
    arrays = {name: np.asarray(fields.get(name), np.float32) for name in _ARRAYS}
    w, b, c = arrays.values()
    if w.ndim != 2 or b.shape != w.shape[:1] or c.shape != w.shape[1:] or not _finite(arrays):
        shapes = {name: value.shape for name, value in arrays.items()}
        raise BundleError(
            "The file does not hold an RBM. Expected finite weights (V, N), visible_bias (V,) and "
            f"hidden_bias (N,). Received: {shapes} in {str(path)!r}."
        )
    rbm = RBM(*w.shape, visible="binary")
    rbm.load_state_dict(rbm.state_dict() | {n: ops.from_numpy(x) for n, x in arrays.items()})
    detector = RBMDetector(rbm, "reconstruction")
    threshold = fields.get("reconstruction_error_threshold")
    if threshold is not None and np.size(threshold) == 1:
        detector.thresholds = ops.asarray([float("inf"), float(np.ravel(threshold)[0])], "float32")
    training = {name: _plain(fields[name]) for name in _KEPT if name in fields}
    training["errors"] = [float(x) for x in np.ravel(fields.get("training_errors", []))]
    return detector, training


def _from_json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        _refuse(path, f"it is neither an .npy file nor JSON: {error}")
    if not isinstance(content, dict):
        _refuse(path, f"its JSON is a {type(content).__name__}, not an object")
    return content


def _from_npy(data: bytes, path: Path) -> dict[str, Any]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file, max_header_size=_LARGEST_HEADER)
    except ValueError as error:
        _refuse(path, f"its .npy header is not one: {error}")
    if shape != () or not dtype.hasobject:
        _refuse(path, f"it holds an array of {dtype} of shape {shape}, and no dictionary")
    try:
        content = _Reader(file).load()
    except (_RefusedError, pickle.UnpicklingError, EOFError, ValueError, TypeError) as error:
        _refuse(path, str(error))
    except (AttributeError, IndexError, KeyError, MemoryError, OverflowError) as error:
        _refuse(path, f"its pickle is damaged: {error}")
    if isinstance(content, np.ndarray) and content.dtype == object and content.shape == ():
        content = content.item()
    if not isinstance(content, dict):
        _refuse(path, f"it holds a {type(content).__name__}, not a dictionary")
    return content


class _RefusedError(Exception):
    """A pickle names what it may not."""


class _Reader(pickle.Unpickler):
    """An unpickler that knows the makers of arrays and numbers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        maker = _MAKERS.get((module.replace("numpy._core", "numpy.core"), name))
        if maker is None:
            raise _RefusedError(f"it asks for {module}.{name}, which no RBM needs")
        return maker

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _RefusedError("it refers to objects outside of it")


def _empty_array(kind: Any, shape: Any, code: Any) -> Any:
    """Stand in for an array until its state brings shape and numbers."""
    if kind is not np.ndarray:
        raise _RefusedError("it makes an array of a foreign type")
    return _reconstruct(np.ndarray, (0,), b"b")


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(data, bytes):
        raise _RefusedError("it makes a number of objects")
    return np.frombuffer(data, dtype, count=1)[0]


def _dtype(name: Any, *flags: Any) -> Any:
    if not isinstance(name, str) or not (name == "O8" or _PLAIN_TYPE.fullmatch(name)):
        raise _RefusedError(f"it asks for numbers of type {name!r}")
    return np.dtype(name.replace("O8", "O"))


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """Arrays of pickle protocol 5."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _RefusedError("it makes an array of objects")
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes as pickle protocol 2 writes them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedError("it makes bytes in an unusual way")
    return text.encode("latin1")


_reconstruct: Callable[..., Any] = np.zeros(0).__reduce__()[0]  # type: ignore[assignment]
_MAKERS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


def _finite(arrays: Mapping[str, Any]) -> bool:
    return all(bool(np.isfinite(x).all()) for x in arrays.values())


def _plain(value: Any) -> Any:
    """A number or boolean of NumPy as Python's."""
    return (
        value.item() if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 else value
    )


def _refuse(path: Path, why: str) -> NoReturn:
    raise BundleError(
        f"The file is no RBM of the older pipeline. Expected what OptimizedRBM.save or save_rbm "
        f"wrote. Received: {str(path)!r}: {why}. Nothing of it was run."
    )
