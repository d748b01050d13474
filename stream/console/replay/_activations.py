"""Neurons of the liquid network after each row of a key, by the model's own pipeline."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel
from ember_core.pipeline.packing import PackedRows
from stream.configure import engine_settings, load_models
from stream.engine import Profiles
from stream.errors import UserError
from stream.history import KeySamples, rows

from ._records import OnStep, read_records
from ._task import ActivationsTask

_BLOCK = 4_096


def activations(task: ActivationsTask, on_step: OnStep) -> dict[str, Any]:
    """Return the neurons after each row, the inputs of the row, and the forecast of the next one.

    Args:
        task: The task.
        on_step: Function told of the progress.

    Returns:
        Channels, numbers of neurons `H` and inputs `I`, and base64 of arrays: `time_us` `(n,)`
        int64, `basis` `(n, H + I)` and `forecast` `(n, C)`, float32.

    Raises:
        UserError: If model or records cannot be read.
    """
    models = load_models(task.settings)
    model = models.model_of(task.key) if isinstance(models, Profiles) else models
    if model is None:
        raise UserError("No model judges this key. Expected a key of a pattern of model.profiles.")
    dataset = read_records(task.settings, model.sources, [task.key], task.since_ms, on_step)
    on_step("replaying", 0.0)
    (table,) = dataset.select(model.sources).tables
    records = KeySamples(table.key, table.time_us, table.values, table.temporality, table.start_us)
    records = records.take(np.flatnonzero(np.isfinite(records.values).any(axis=1)))
    records = records.take(np.argsort(records.time_us, kind="stable"))
    window, _ = engine_settings(task.settings)
    (series,) = rows(model.sources, [records], window, model.recipe)
    return states_of(model, task.key, np.asarray(series.time_us), series.values)


def states_of(
    model: FleetModel, key: bytes, time_us: NDArray[np.int64], values: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the neurons after rows of a key, in the form of `activations`.

    Args:
        model: The model.
        key: Stream key.
        time_us: Times of the rows, `(n,)`, rising.
        values: Values of the channels, `(n, C)`.
    """
    pipeline = model.pipeline
    liquid, channels = pipeline.liquid, len(model.channels)
    state = model.new_state
    if key in model.keys:
        row = model.keys.index(key)
        state = {name: value[row : row + 1] for name, value in model.key_state.items()}
    basis_parts, forecast_parts = [], []
    for begin in range(0, len(time_us), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        count = len(time_us[part])
        observation = pipeline.observe(state, values[part], time_us[part], PackedRows([1] * count))
        forecast = liquid.ahead(observation.basis)[:, :channels] + observation.slow
        forecast_parts.append(pipeline.normaliser.restore(observation.moments, forecast))
        basis_parts.append(observation.basis)
        state = state | observation.state
    width = liquid.hidden + channels + liquid.n_clock
    basis = np.concatenate([np.zeros((0, width), np.float32), *basis_parts])
    forecasts = np.concatenate([np.zeros((0, channels)), *forecast_parts])
    return {
        "channels": list(model.channels),
        "neurons": liquid.hidden,
        "inputs": width - liquid.hidden,
        "time_us": _text(time_us.astype(np.int64)),
        "basis": _text(basis.astype(np.float32)),
        "forecast": _text(forecasts.astype(np.float32)),
    }


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
