"""Network endpoints: the wiring of the model, and a key's neurons at a time."""

from __future__ import annotations

import base64
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from stream.configure import load_models
from stream.engine import Profiles
from stream.errors import UserError
from stream.keys import key_of

from . import answers, requests
from .endpoint import Call, Endpoint
from .replay import ActivationsTask
from .views import NotKnownError, numbers_of, rounded

_MODEL_SECONDS: Final = 60.0
_KEPT_KEYS: Final = 8
_KEPT_SECONDS: Final = 300.0
_HOUR_MS: Final = 3_600_000


class Models:
    """Model of the settings, read when it is asked for, and again after a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: FleetModel | Profiles | None = None
        self._read_at = float("-inf")

    def of(self, call: Call, key: bytes | None = None) -> FleetModel:
        """Return the model that judges a key; without a key that of the service, or its first.

        Raises:
            UserError: If it cannot be read.
            NotKnownError: If no model judges the key.
        """
        with self._lock:
            if self._model is None or time.monotonic() - self._read_at > _MODEL_SECONDS:
                self._model = load_models(call.console.settings)
                self._read_at = time.monotonic()
            models = self._model
        if not isinstance(models, Profiles):
            return models
        model = models.models[0] if key is None else models.model_of(key)
        if model is None:
            raise NotKnownError("No model judges this key: no pattern of model.profiles fits it.")
        return model


@dataclass
class _Activations:
    """Replayed rows of a key."""

    read_at: float
    time_us: NDArray[np.int64]
    basis: NDArray[np.float32]
    forecast: NDArray[np.float32]
    channels: list[str]
    neurons: int


class ActivationCache:
    """Replays of the keys that were asked for last."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, _Activations] = OrderedDict()

    def of(self, call: Call, key: bytes, time_us: int) -> _Activations:
        """Return the replay of a key; one that is too old for a time is made anew."""
        kept = self._keys.get(key)
        if kept is not None and _is_enough(kept, time_us):
            self._keys.move_to_end(key)
            return kept
        replayer = call.console.replayer
        if replayer is None:
            raise UserError("This console has no input topic to replay.")
        since_ms = call.console.now_us() // 1000 - round(call.console.store.hours * _HOUR_MS)
        plain = replayer.run(ActivationsTask(call.console.settings, key, since_ms))
        kept = _decoded(plain)
        self._keys[key] = kept
        while len(self._keys) > _KEPT_KEYS:
            self._keys.popitem(last=False)
        return kept


def network(call: Call) -> answers.NetworkAnswer:
    """Return the wiring of the liquid network, from the inputs to the motor neurons."""
    model = call.console.models.of(call)
    liquid = model.pipeline.liquid
    wiring, inputs = liquid.wiring, _input_names(model)
    layers = [answers.Layer("sensory", [answers.Neuron(f"s{i}", n) for i, n in enumerate(inputs)])]
    for name, ids in wiring.layers.items():
        neurons = [answers.Neuron(f"n{i}", f"{name} {i}") for i in ids.tolist()]
        layers.append(answers.Layer(name, neurons))
    weights = np.asarray(liquid.synapses.data)
    sensory, inner = weights[: len(inputs)], weights[len(inputs) :]
    signs = np.asarray(wiring.sensory_adjacency_matrix), np.asarray(wiring.adjacency_matrix)
    synapses = [
        answers.Synapse(
            source=f"{prefix}{i}",
            target=f"n{j}",
            sign=1 if matrix[i, j] >= 0 else -1,
            weight=rounded(matrix[i, j]),
        )
        for prefix, matrix, wired in (("s", sensory, signs[0]), ("n", inner, signs[1]))
        for i, j in np.argwhere(wired != 0).tolist()
    ]
    return answers.NetworkAnswer(
        layers=layers,
        synapses=synapses,
        channels=list(model.channels),
        model=f"{model.name} {model.version}",
        sha256=model.sha256,
    )


def activations(call: Call) -> answers.ActivationsAnswer:
    """Return the neurons of a key after its last row up to a time, and the forecast of the next."""
    query: requests.ActivationsQuery = call.query
    key = key_of(call.path["key"])
    with call.console.store.locked() as store:
        if store.table.find(key) is None:
            raise NotKnownError("There is no such key. Expected one that `/api/keys` lists.")
    model = call.console.models.of(call, key)
    replayed = call.console.activations.of(call, key, query.time_us)
    place = int(np.searchsorted(replayed.time_us, query.time_us, side="right")) - 1
    if place < 0:
        raise NotKnownError("The key has no row up to that time in the hours that are replayed.")
    basis = numbers_of(replayed.basis[place])
    names = [f"n{i}" for i in range(replayed.neurons)]
    names += [f"s{i}" for i in range(len(basis) - replayed.neurons)]
    forecast = numbers_of(replayed.forecast[place])
    return answers.ActivationsAnswer(
        time_us=int(replayed.time_us[place]),
        model=f"{model.name} {model.version}",
        activations=dict(zip(names, basis, strict=True)),
        forecast=dict(zip(replayed.channels, forecast, strict=True)),
    )


def _is_enough(kept: _Activations, time_us: int) -> bool:
    is_past = bool(len(kept.time_us)) and time_us <= int(kept.time_us[-1])
    return is_past or time.monotonic() - kept.read_at < _KEPT_SECONDS / 10


def _decoded(plain: dict[str, Any]) -> _Activations:
    width = plain["neurons"] + plain["inputs"]
    return _Activations(
        read_at=time.monotonic(),
        time_us=np.frombuffer(base64.b64decode(plain["time_us"]), np.int64),
        basis=np.frombuffer(base64.b64decode(plain["basis"]), np.float32).reshape(-1, width),
        forecast=np.frombuffer(base64.b64decode(plain["forecast"]), np.float32).reshape(
            -1, len(plain["channels"])
        ),
        channels=plain["channels"],
        neurons=plain["neurons"],
    )


def _input_names(model: FleetModel) -> list[str]:
    """Return names of the inputs: the channels, then sines and cosines of the clock."""
    count = model.pipeline.liquid.n_clock
    clock = [f"{'sin' if i % 2 == 0 else 'cos'} {i // 2 + 1}" for i in range(count)]
    return [*model.channels, *clock]


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/network",
        requests.NoQuery,
        answers.NetworkAnswer,
        network,
        "Wiring of the liquid network.",
    ),
    Endpoint(
        "GET",
        "/api/keys/{key}/activations",
        requests.ActivationsQuery,
        answers.ActivationsAnswer,
        activations,
        "Neurons of a key at a time, and its forecast of the next row.",
    ),
)
