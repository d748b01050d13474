"""Network endpoints: the wiring of the model, and a key's neurons at a time."""

from __future__ import annotations

from typing import Final

import numpy as np

from ember_core.pipeline import FleetModel
from stream.errors import UserError
from stream.keys import key_of

from . import answers, requests
from .endpoint import Call, Endpoint
from .numbers import numbers_of, rounded
from .replay import ActivationsTask
from .views import NotKnownError

_HOUR_MS: Final = 3_600_000


def network(call: Call) -> answers.NetworkAnswer:
    """Return the wiring of the liquid network, from the inputs to the motor neurons."""
    model = call.console.models.of(call.console.settings)
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
        severity_unit="row" if model.pipeline.config.evidence == "joint" else "day",
        row_seconds=_row_seconds(model),
    )


def activations(call: Call) -> answers.ActivationsAnswer:
    """Return the neurons of a key after its last row up to a time, and the forecast of the next."""
    query: requests.ActivationsQuery = call.query
    key = key_of(call.path["key"])
    with call.console.store.locked() as store:
        if store.table.find(key) is None:
            raise NotKnownError("There is no such key. Expected one that `/api/keys` lists.")
    console = call.console
    model = console.models.of(console.settings, key)
    if console.replayer is None:
        raise UserError("This console has no input topic to replay.")
    since_ms = console.now_us() // 1000 - round(console.store.hours * _HOUR_MS)
    task = ActivationsTask(console.settings, key, since_ms)
    replayed = console.activations.of(task, query.time_us, console.replayer)
    row = int(np.searchsorted(replayed.time_us, query.time_us, side="right")) - 1
    if row < 0:
        raise NotKnownError("The key has no row up to that time in the hours that are replayed.")
    basis = numbers_of(replayed.basis[row])
    names = [f"n{i}" for i in range(replayed.neurons)]
    names += [f"s{i}" for i in range(len(basis) - replayed.neurons)]
    forecast = numbers_of(replayed.forecast[row])
    return answers.ActivationsAnswer(
        time_us=int(replayed.time_us[row]),
        model=f"{model.name} {model.version}",
        activations=dict(zip(names, basis, strict=True)),
        forecast=dict(zip(replayed.channels, forecast, strict=True)),
    )


def _row_seconds(model: FleetModel) -> float | None:
    """Return the usual time between two rows of a key in the history; None without calibration."""
    calibration = model.report.get("calibration")
    return float(calibration["interval_seconds"]) if calibration else None


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
