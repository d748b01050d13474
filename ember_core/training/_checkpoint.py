"""A training on disk, to go on with later as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from ember_core import ops
from ember_core.files import write_atomically

from ._history import History
from ._run import Callback, Run

_FORMAT = "ember-checkpoint-1"


class Checkpoint(Callback):
    """Save a training after each epoch, and resume from the saved file.

    The file holds everything: weights and buffers, the optimiser's state, the generator's, the
    persistent chain, what other callbacks know, and the history. A training that is cut off and
    resumed ends with the same bits as one that was not. Nothing is pickled.

    Args:
        path: The file; process `n` of a training over several adds `.n` to its name.
        every: Epochs from one to the next; the last one is always kept.
        resume: Whether to go on from the file where it is there. Else it is overwritten.

    Examples:
        >>> import tempfile
        >>> from ember_core import ops
        >>> from ember_core.models import RBM
        >>> from ember_core.training import Checkpoint, fit_rbm
        >>> rows = ops.random.normal(ops.generator(1), (29, 5))
        >>> def train(epochs, folder, seed=3):
        ...     rbm = RBM(5, 3)
        ...     kept = Checkpoint(f"{folder}/rbm.checkpoint", resume=True)
        ...     fit_rbm(rbm, rows, epochs=epochs, generator=ops.generator(seed), callbacks=[kept])
        ...     return rbm.weights.data
        >>> with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        ...     whole = train(6, one)
        ...     _ = train(2, two)  # cut off
        ...     bool((train(6, two) == whole).all())
        True
    """

    last = True

    def __init__(self, path: str | Path, *, every: int = 1, resume: bool = False) -> None:
        if every < 1:
            raise ValueError(
                f"A checkpoint is kept every few epochs. Expected every >= 1. Received: {every=}."
            )
        self.path = Path(path)
        self.every = every
        self.resume = resume

    def on_start(self, run: Run) -> None:
        """Go on from the file.

        Raises:
            ValueError: If it is not one, or of another model, optimiser or generator.
        """
        if self.resume and self._file(run).exists():
            _restore(run, self._file(run))

    def on_epoch(self, run: Run) -> None:
        """Keep the training as it is now."""
        finished = run.stopped or run.history.epochs >= run.epochs
        if finished or run.history.epochs % self.every == 0:
            _keep(run, self._file(run))

    def _file(self, run: Run) -> Path:
        rank = run.strategy.rank
        return self.path if rank == 0 else self.path.with_name(f"{self.path.name}.{rank}")


def _keep(run: Run, path: Path) -> None:
    arrays: dict[str, Any] = {}
    numbers = {
        "format": _FORMAT,
        "optimizer": type(run.optimizer).__name__,
        "figures": run.history.figures,
        "steps": run.history.steps,
        "stopped": run.stopped,
        "state": _part("state", run.state, arrays),
        "memory": _part("memory", run.memory, arrays),
        "module": _part("module", run.module.state_dict(), arrays),
        "generator": _part("generator", _generator_state(run.generator), arrays),
        "callbacks": [
            _part(f"callbacks/{i}", callback.state_dict(), arrays)
            for i, callback in enumerate(run.callbacks)
        ],
    }
    write_atomically(path, safetensors.numpy.save(arrays, {"training": json.dumps(numbers)}))


def _restore(run: Run, path: Path) -> None:
    arrays, numbers = _read(path)
    name = type(run.optimizer).__name__
    if numbers["optimizer"] != name or len(numbers["callbacks"]) != len(run.callbacks):
        raise ValueError(
            f"The checkpoint is of another training. Expected {name} with {len(run.callbacks)} "
            f"callbacks. Received: {numbers['optimizer']} with {len(numbers['callbacks'])} in "
            f"{str(path)!r}. Train with the same settings, or without resume."
        )
    like = next(iter(run.parameters.values()))

    def part(name: str, saved: Mapping[str, Any]) -> dict[str, Any]:
        return _whole(name, saved, arrays, like)

    run.module.load_state_dict(part("module", numbers["module"]))
    parameters = dict(run.module.named_parameters())
    run.parameters = {name: parameters[name].data for name in run.parameters}
    run.state = part("state", numbers["state"])
    run.memory = part("memory", numbers["memory"])
    _set_generator_state(run.generator, part("generator", numbers["generator"]))
    for i, (callback, saved) in enumerate(zip(run.callbacks, numbers["callbacks"], strict=True)):
        callback.load_state_dict(part(f"callbacks/{i}", saved))
    run.history = History(numbers["figures"], numbers["steps"])
    run.stopped = numbers["stopped"]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            numbers = json.loads((file.metadata() or {})["training"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"The checkpoint cannot be read. Expected a file written by Checkpoint. "
            f"Received: path={str(path)!r} ({error}). Remove it to begin anew."
        ) from error
    return arrays, numbers


def _part(path: str, values: Mapping[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a tree as JSON; its arrays go to `arrays` under their path."""
    numbers: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers[name] = _part(f"{path}/{name}", value, arrays)
        elif hasattr(value, "shape"):
            arrays[f"{path}/{name}"] = ops.to_numpy(ops.ascontiguous(value))
            numbers[name] = {"array": f"{path}/{name}"}
        else:
            numbers[name] = value
    return numbers


def _whole(
    path: str, numbers: Mapping[str, Any], arrays: Mapping[str, Any], like: Any
) -> dict[str, Any]:
    """The tree `_part` took apart, its arrays on the backend and device of `like`."""
    restored: dict[str, Any] = {}
    for name, value in numbers.items():
        if not isinstance(value, dict):
            restored[name] = value
        elif value.keys() == {"array"}:
            restored[name] = ops.from_numpy(arrays[value["array"]], like=like)
        else:
            restored[name] = _whole(f"{path}/{name}", value, arrays, like)
    return restored


def _generator_state(generator: Any) -> dict[str, Any]:
    """Return the position of a generator: NumPy's numbers, or the array of PyTorch and MLX."""
    if hasattr(generator, "bit_generator"):
        return {"numpy": generator.bit_generator.state}
    return {"state": ops.copy(generator.get_state())}


def _set_generator_state(generator: Any, state: Mapping[str, Any]) -> None:
    if ("numpy" in state) != hasattr(generator, "bit_generator"):
        raise ValueError(
            "The checkpoint was written with a generator of another backend. Expected "
            f"{type(generator).__name__}. Received: state={sorted(state)}. Train on that backend."
        )
    if "numpy" in state:
        generator.bit_generator.state = state["numpy"]
    else:
        # PyTorch wants it on the CPU, wherever the generator is.
        generator.set_state(ops.to(state["state"], device="cpu"))
