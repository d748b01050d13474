"""PyTorch on an accelerator beside NumPy and PyTorch on the processor: speed, and how far apart.

Rows a second of a CfC step and of the pipeline's whole step by batch size, of the RBM's training
and of a liquid network's; state stays where it is computed. `kept`: the rows are there too, one
call follows the other. `fed`: rows come from the host and scores go back, as a service has it.
`--device cpu` goes the same way without an accelerator.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from benchmarks.frame import BenchmarkError, log_progress
from ember_core import nn, ops
from ember_core.models import RBM, LiquidForecaster
from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline
from ember_core.training import fit_rbm, fit_sequences

PARTS = ("cfc", "pipeline", "rbm", "liquid")
CHANNELS = 8
NEURONS, MOTORS = 32, 8
ROW_US = 10_000_000
COMPARED_ROWS, COMPARED_STEPS = 4_096, 16


class Place(NamedTuple):
    """A backend and its device."""

    name: str
    backend: str
    device: str

    def default(self) -> AbstractContextManager[None]:
        """New arrays are made there."""
        return ops.default_backend(self.backend, self.device)

    def there(self, x: Any) -> Any:
        """An array, moved there."""
        with self.default():
            return ops.from_numpy(x)

    def quiet(self) -> AbstractContextManager[Any]:
        """Nothing is kept for gradients."""
        if self.backend != "torch":
            return nullcontext()
        import torch

        mode: AbstractContextManager[Any] = torch.inference_mode()
        return mode

    def wait(self) -> None:
        """Until all that was asked of the device is done."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize()


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--device", default="cuda", help="PyTorch's, such as cuda, cuda:1 or cpu")
    parser.add_argument("--parts", default=",".join(PARTS), help="of it, with commas")
    parser.add_argument(
        "--batches", default="256,1024,4096,16384,65536,262144", help="rows of a step, with commas"
    )
    parser.add_argument("--seconds", type=float, default=0.6, help="of each figure")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the processor")
    parser.add_argument("--keys", type=int, default=16, help="keys the pipeline is trained on")
    parser.add_argument("--rows", type=int, default=1_000, help="of history, each key")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        For each part rows a second by place and batch size, the batch size from which the device
        is quicker than both others (`pays_from`), and the largest relative difference of scores.

    Raises:
        BenchmarkError: If PyTorch or the device is not there.
    """
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        raise BenchmarkError(f"parts are some of {', '.join(PARTS)}. Received: {options.parts!r}")
    devices = _places(options)
    batches = sorted(int(size) for size in options.batches.split(","))
    figures: dict[str, Any] = {"device": _device_name(options.device), "threads": options.threads}
    if "cfc" in parts:
        log_progress("CfC step")
        figures["cfc"] = cfc(devices, batches, options.seconds)
    if "pipeline" in parts:
        figures["pipeline"] = pipeline(devices, batches, options)
    if "rbm" in parts:
        log_progress("RBM training")
        figures["rbm"] = rbm(devices)
    if "liquid" in parts:
        log_progress("liquid training")
        figures["liquid"] = liquid(devices)
    return figures


def _places(options: argparse.Namespace) -> list[Place]:
    """NumPy, PyTorch on the processor, and the device, which is the last."""
    if find_spec("torch") is None:
        raise BenchmarkError("torch is not installed. Install the extra 'torch'")
    import torch

    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise BenchmarkError(
            "CUDA is not available to PyTorch here. Run it where there is a GPU, or with "
            "--device cpu to try the benchmark itself"
        )
    devices = [Place("numpy", "numpy", "cpu"), Place("torch-cpu", "torch", "cpu")]
    if options.device == "cpu":
        return devices
    return [*devices, Place(f"torch-{options.device}", "torch", options.device)]


def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    return str(torch.cuda.get_device_name(device))


def cfc(places: Sequence[Place], batches: Sequence[int], seconds: float) -> dict[str, Any]:
    """One step of a wired CfC cell in its fused form."""
    with ops.default_backend("numpy"):
        weights = _cell().state_dict()
    rates: dict[str, dict[str, int]] = {}
    states: list[Any] = []
    for device in places:
        with device.default(), device.quiet():
            cell = _cell()
            cell.load_state_dict(weights)
            step = nn.FusedCfC(cell)
            rates[device.name] = {}
            for size in batches:
                x, h, dt = _cell_rows(device, size)
                carry = {"h": h}

                def once(step: Any = step, x: Any = x, dt: Any = dt, carry: Any = carry) -> None:
                    carry["h"] = step(x, carry["h"], dt)[1]

                rates[device.name][str(size)] = rate(once, size, device, seconds)
            states.append(ops.to_numpy(step(*_cell_rows(device, 997))[1]))
    return {
        "rows_per_second": rates,
        "pays_from": pays_from(rates, places),
        "largest_difference": float(np.abs(states[-1] - states[0]).max()),
    }


def _cell() -> nn.WiredCfCCell:
    return nn.WiredCfCCell(CHANNELS, nn.AutoNCP(NEURONS, MOTORS, seed=3))


def _cell_rows(place: Place, size: int) -> tuple[Any, Any, Any]:
    """Input, state and elapsed times, the same in every place."""
    rng = np.random.default_rng(size)
    arrays = (
        rng.standard_normal((size, CHANNELS)),
        0.3 * rng.standard_normal((size, NEURONS)),
        rng.exponential(size=(size, 1)),
    )
    x, h, dt = (place.there(a.astype(np.float32)) for a in arrays)
    return x, h, dt


def pipeline(
    places: Sequence[Place], batches: Sequence[int], options: argparse.Namespace
) -> dict[str, Any]:
    """The whole step of a trained pipeline, one row per key."""
    log_progress("training a pipeline")
    trained = _trained(options.keys, options.rows)
    rates: dict[str, dict[str, dict[str, int]]] = {"kept": {}, "fed": {}}
    scores = {}
    for device in places:
        log_progress(f"pipeline on {device.name}")
        with device.default(), device.quiet():
            model = _moved(trained, device)
            for way in rates:
                rates[way][device.name] = {
                    str(size): _steps(model, device, size, options.seconds, fed=way == "fed")
                    for size in batches
                }
            scores[device.name] = _scores(model, device)
    first, last = scores["numpy"], scores[places[-1].name]
    difference = np.abs(last["score"] - first["score"])
    return {
        "rows_per_second": rates,
        "pays_from": {way: pays_from(speeds, places) for way, speeds in rates.items()},
        # To 1 nat where the score is smaller: a score near nothing is a difference of large terms.
        "largest_relative_difference": float(
            (difference / np.maximum(np.abs(first["score"]), 1.0)).max()
        ),
        "same_triggers": bool(np.array_equal(first["fires"], last["fires"])),
    }


def _values(keys: int, rows: int, seed: int) -> Any:
    """Noise with a memory `(rows, keys, CHANNELS)`, each key on a level of its own."""
    weights_rng, rng = np.random.default_rng(5), np.random.default_rng([5, seed])
    level, size = (
        weights_rng.normal(0, 100, (keys, CHANNELS)),
        weights_rng.uniform(2, 9, (keys, CHANNELS)),
    )
    x = rng.standard_normal((rows, keys, CHANNELS))
    for t in range(1, rows):
        x[t] += 0.7 * x[t - 1]
    return level + size * x


def _trained(keys: int, rows: int) -> FleetModel:
    """A model of the default chain, trained on NumPy."""
    history, times = _values(keys, rows, 0), np.arange(rows, dtype=np.int64) * ROW_US
    series = [Series(b"key-%d" % k, times, history[:, k].copy()) for k in range(keys)]
    config = PipelineConfig(channels=tuple(f"c{i}" for i in range(CHANNELS)))
    with ops.default_backend("numpy"):
        return fit_pipeline(series, config, epochs=5)


def _moved(trained: FleetModel, place: Place) -> FleetModel:
    """A copy of a model, elsewhere."""
    copy = type(trained.pipeline).from_config(trained.pipeline.get_config())
    copy.load_state_dict(trained.pipeline.state_dict())
    key_state, new_state = (
        {name: place.there(value) for name, value in state.items()}
        for state in (trained.key_state, trained.new_state)
    )
    model = FleetModel(copy, trained.keys, key_state, new_state, report={})
    model.pipeline.freeze()
    return model


def _state_of(model: FleetModel, place: Place, size: int) -> Any:
    """State of many keys, each like one of the model's."""
    key_index = place.there(np.arange(size) % len(model.keys))
    return {name: ops.take(value, key_index) for name, value in model.key_state.items()}


def _steps(model: FleetModel, place: Place, size: int, seconds: float, *, fed: bool) -> int:
    """Rows a second of `Pipeline.step`."""
    values = _values(len(model.keys), 2, 1)[1][np.arange(size) % len(model.keys)]
    carry: dict[str, Any] = {"state": _state_of(model, place, size), "row": 2_000}
    device_values = place.there(values)
    steps = place.there(np.ones(size, np.int64))

    def once() -> None:
        carry["row"] += 1
        time_us = carry["row"] * ROW_US
        if fed:
            rows = place.there(values)
            times = place.there(np.full(size, time_us, np.int64))
        else:
            rows, times = device_values, steps * time_us
        carry["state"], _, score, decision = model.pipeline.step(carry["state"], rows, times)
        if fed:
            ops.to_numpy(score), ops.to_numpy(decision.fires)

    return rate(once, size, place, seconds)


def _scores(model: FleetModel, place: Place) -> dict[str, Any]:
    """Scores of the same rows, and the triggers."""
    size, keys = COMPARED_ROWS, len(model.keys)
    series = _values(keys, COMPARED_STEPS, 2)
    noise = np.random.default_rng(3)
    state, out = _state_of(model, place, size), []
    for t in range(COMPARED_STEPS):
        values = series[t][np.arange(size) % keys] + noise.standard_normal((size, CHANNELS))
        if t == COMPARED_STEPS - 3:
            values[::5] += 60.0
        times = np.full(size, (2_000 + t) * ROW_US, np.int64)
        state, _, score, decision = model.pipeline.step(
            state, place.there(values), place.there(times)
        )
        out.append([ops.to_numpy(x) for x in (score, decision.fires)])
    score, fires = (np.stack(x) for x in zip(*out, strict=True))
    return {"score": score, "fires": fires}


def rbm(places: Sequence[Place]) -> dict[str, Any]:
    """Rows a second of CD-1 on rows that lie there, by batch size."""
    rows = np.random.default_rng(0).standard_normal((131_072, 64)).astype(np.float32)
    rates: dict[str, dict[str, int]] = {}
    for device in places:
        rates[device.name] = {}
        with device.default():
            device_rows = device.there(rows)
            for size in (128, 1_024, 8_192):
                count = min(len(rows), 200 * size)

                def train(
                    size: int = size, count: int = count, device_rows: Any = device_rows
                ) -> None:
                    model = RBM(64, 128, generator=ops.generator(0))
                    fit_rbm(
                        model,
                        device_rows[:count],
                        epochs=1,
                        batch_size=size,
                        generator=ops.generator(1),
                    )

                rates[device.name][str(size)] = rate(train, count, device, 0.0)
    return {"rows_per_second": rates, "pays_from": pays_from(rates, places)}


def liquid(places: Sequence[Place]) -> dict[str, Any]:
    """Rows a second of a liquid forecaster's training by gradients, by sequences of a batch."""
    steps = 32
    rng = np.random.default_rng(0)
    rates: dict[str, dict[str, int]] = {}
    for device in places:
        if device.backend == "numpy" and find_spec("autograd") is None:
            log_progress("NumPy is left out: the package autograd is not installed")
            continue
        rates[device.name] = {}
        for size in (32, 512, 4_096):
            x = rng.standard_normal((size, steps, CHANNELS)).astype(np.float32)
            with device.default():
                device_x = device.there(x)

                def train(size: int = size, device_x: Any = device_x) -> None:
                    cell = nn.WiredCfCCell(CHANNELS, nn.AutoNCP(NEURONS, MOTORS, seed=3))
                    fit_sequences(
                        LiquidForecaster(cell, CHANNELS),
                        device_x,
                        epochs=3,
                        batch_size=size,
                        generator=ops.generator(0),
                    )

                rates[device.name][str(size)] = rate(train, 3 * size * steps, device, 0.0)
    return {"rows_per_second": rates, "pays_from": pays_from(rates, places)}


def rate(call: Callable[[], Any], rows: int, place: Place, seconds: float) -> int:
    """Rows a second of a call over so many rows, after one that is not counted."""
    call()
    place.wait()
    calls, started = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        if calls % 8 and time.perf_counter() - started < seconds:
            continue
        place.wait()
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return round(calls * rows / elapsed)


def pays_from(rates: dict[str, dict[str, int]], places: Sequence[Place]) -> int | None:
    """Smallest size from which on, also for all larger ones, the last place is the quickest."""
    last = rates[places[-1].name]
    host_speeds = [speeds for name, speeds in rates.items() if name != places[-1].name]
    begin = None
    for size in sorted(last, key=int, reverse=True):
        if any(last[size] <= speeds[size] for speeds in host_speeds):
            break
        begin = int(size)
    return begin
