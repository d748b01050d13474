"""The library beside its peers: CfC step, RBM training, features; one thread each, float32.

Times are processor seconds of the measuring thread, the smallest of several turns that alternate
between ours and the peer, so that a busy machine hits both alike.
"""

from __future__ import annotations

import argparse
import importlib
import time
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.frame import BenchmarkError, log_progress
from ember_core import nn, ops
from ember_core.models import RBM
from ember_core.training import fit_rbm

PARTS = ("cfc", "rbm", "features")
CLOSE = 1e-5  # float32 over one step


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--parts", default=",".join(PARTS), help="of it, with commas")
    parser.add_argument("--keys", type=int, default=4_096, help="rows of a CfC step")
    parser.add_argument("--inputs", type=int, default=8, help="columns of its input")
    parser.add_argument("--neurons", type=int, default=32, help="of its wiring, as the service's")
    parser.add_argument("--motors", type=int, default=8, help="motor neurons among them")
    parser.add_argument("--hidden", type=int, default=256, help="hidden units of the RBM")
    parser.add_argument("--batch", type=int, default=128, help="rows of an RBM's batch")
    parser.add_argument("--epochs", type=int, default=20, help="of the RBM")
    parser.add_argument("--rows", type=int, default=20_000_000, help="of the file of the features")
    parser.add_argument("--pandas-rows", type=int, default=2_000_000, help="pandas is timed on")
    parser.add_argument("--turns", type=int, default=15, help="of each measurement")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `ratios` (how many times faster than the peer) of the parts that were asked for, and each
        part's figures.
    """
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        raise BenchmarkError(f"parts are some of {', '.join(PARTS)}. Received: {options.parts!r}")
    report: dict[str, Any] = {"ratios": {}}
    if "cfc" in parts:
        log_progress("CfC step")
        report["cfc"] = cfc(options)
        report["ratios"]["cfc_step_vs_ncps"] = report["cfc"].pop("ratio")
    if "rbm" in parts:
        log_progress("RBM training")
        report["rbm"] = rbm(options)
        report["ratios"]["rbm_vs_sklearn"] = report["rbm"].pop("ratio")
    if "features" in parts and find_spec("benchmarks.library_features"):
        log_progress("features")
        figures = importlib.import_module("benchmarks.library_features").measure(options)
        report["ratios"] |= figures.pop("ratios")
        report["features"] = figures
    return report


def cfc(options: argparse.Namespace) -> dict[str, Any]:
    """One step of a wired CfC cell with irregular elapsed times, the weights those of `ncps`."""
    _need("torch", "ncps")
    import torch
    from ncps.torch import WiredCfCCell as TheirCell
    from ncps.wirings import AutoNCP as TheirWiring

    torch.set_num_threads(1)
    peer_cell = TheirCell(
        options.inputs, TheirWiring(options.neurons, options.motors, 0.5, seed=3), mode="default"
    ).eval()
    cell = nn.WiredCfCCell(
        options.inputs,
        nn.AutoNCP(options.neurons, options.motors, sparsity_level=0.5, seed=3),
    )
    for number, head in enumerate(cell.layers):
        _copy_head(getattr(peer_cell, f"layer_{number}"), head)
    steps: dict[str, Any] = {"numpy": nn.FusedCfC(cell)}
    with ops.default_backend("torch"):
        torch_cell = nn.WiredCfCCell.from_config(cell.get_config())
    torch_cell.load_state_dict(cell.state_dict())
    steps["torch"] = nn.FusedCfC(torch_cell)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.keys, options.inputs)).astype(np.float32)
    state = (0.3 * rng.standard_normal((options.keys, options.neurons))).astype(np.float32)
    elapsed = rng.exponential(size=(options.keys, 1)).astype(np.float32)
    tensors = [torch.from_numpy(a) for a in (x, state, elapsed)]
    rows = {"numpy": (x, state, elapsed), "torch": tensors}
    states = {name: step(*rows[name])[1] for name, step in steps.items()}  # laid out as it is given
    for name, cell_state in states.items():
        cell_state[...] = rows[name][1]

    def their_step() -> Any:
        with torch.inference_mode():
            return peer_cell(*tensors)

    expected = their_step()[1].numpy()
    new_states = [step(*rows[name])[1] for name, step in steps.items()]
    new_states.append(cell(x, state, elapsed)[1])
    difference = max(
        float(np.abs(np.asarray(new_state) - expected).max()) for new_state in new_states
    )
    if not difference < CLOSE:
        raise BenchmarkError(f"the outputs differ by {difference:.2g}")

    def in_place(name: str) -> Callable[[], Any]:
        """A step whose state replaces the one before, as a stream has it."""
        step, (inputs, _, dt), state = steps[name], rows[name], states[name]
        return lambda: step(inputs, state, dt, state)

    durations = alternate(
        {
            "ncps": their_step,
            "fused_numpy": in_place("numpy"),
            "fused_torch": in_place("torch"),
            "cell_numpy": lambda: cell(x, state, elapsed),
        },
        options.turns,
        calls=5,
    )
    fastest = min(("numpy", "torch"), key=lambda name: durations[f"fused_{name}"])
    best = durations[f"fused_{fastest}"]
    return {
        "ratio": round(durations["ncps"] / best, 2),
        "fastest_backend": fastest,
        "ratio_numpy": round(durations["ncps"] / durations["fused_numpy"], 2),
        "microseconds": {name: round(1e6 * s, 1) for name, s in durations.items()},
        "nanoseconds_per_key": round(1e9 * best / options.keys, 1),
        "largest_difference": difference,
        "peak_mib": {"fused_numpy": peak_mib(lambda: steps["numpy"](x, state, elapsed))},
    }


def rbm(options: argparse.Namespace) -> dict[str, Any]:
    """Persistent CD-1 of a binary RBM on the digits of scikit-learn, and how good both became."""
    _need("sklearn")
    from sklearn.datasets import load_digits
    from sklearn.neural_network import BernoulliRBM

    rows = (load_digits().data > 7).astype(np.float32)
    train, test = rows[:1_500], rows[1_500:]
    width = rows.shape[1]
    rate = 0.02

    def fit_peer() -> Any:
        return BernoulliRBM(
            options.hidden,
            learning_rate=rate,
            batch_size=options.batch,
            n_iter=options.epochs,
            random_state=0,
        ).fit(train)

    def fit_ember() -> RBM:
        model = RBM(width, options.hidden, visible="binary")
        fit_rbm(
            model,
            train,
            epochs=options.epochs,
            batch_size=options.batch,
            learning_rate=rate,
            persistent=True,
            sample="all",
            momentum=0.0,
            weight_decay=0.0,
            generator=ops.generator(0),
        )
        return model

    fitted_rbm, peer = fit_ember(), RBM(width, options.hidden, visible="binary")
    peer_rbm = fit_peer()
    peer.assign(
        {
            "weights": np.ascontiguousarray(peer_rbm.components_.T),
            "visible_bias": peer_rbm.intercept_visible_,
            "hidden_bias": peer_rbm.intercept_hidden_,
        }
    )
    durations = alternate(
        {"sklearn": fit_peer, "ours": fit_ember}, max(3, options.turns // 3), calls=1
    )
    steps = options.epochs * -(-len(train) // options.batch)
    return {
        "ratio": round(durations["sklearn"] / durations["ours"], 2),
        "microseconds_per_batch": {n: round(1e6 * s / steps, 1) for n, s in durations.items()},
        "rows_per_second": round(options.epochs * len(train) / durations["ours"]),
        "peak_mib": {"sklearn": peak_mib(fit_peer), "ours": peak_mib(fit_ember)},
        "quality": {"sklearn": quality(peer, test), "ours": quality(fitted_rbm, test)},
    }


def quality(model: RBM, rows: Any) -> dict[str, float]:
    """Figures of rows that were not trained on: error, and log pseudo-likelihood of one unit."""
    flip = np.random.default_rng(1).integers(0, rows.shape[1], len(rows))
    flipped = rows.copy()
    flipped[np.arange(len(rows)), flip] = 1.0 - flipped[np.arange(len(rows)), flip]
    gap = np.asarray(model.free_energy(flipped), np.float64) - model.free_energy(rows)
    return {
        "reconstruction_error": round(float(model.reconstruction_error(rows).mean()), 3),
        "pseudo_likelihood": round(float(-np.logaddexp(0.0, -gap).mean()), 4),
    }


def alternate(
    contestants: dict[str, Callable[[], Any]], rounds: int, *, calls: int
) -> dict[str, float]:
    """Measure the processor seconds of one call of each, the smallest of all rounds."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, call in contestants.items():
            started = time.thread_time()
            for _ in range(calls):
                call()
            best[name] = min(best[name], (time.thread_time() - started) / calls)
    return best


def peak_mib(call: Callable[[], Any]) -> float:
    """MiB that NumPy holds at most during a call."""
    tracemalloc.start()
    try:
        call()
        return round(tracemalloc.get_traced_memory()[1] / 2**20, 2)
    finally:
        tracemalloc.stop()


def _copy_head(theirs: Any, head: Any) -> None:
    """Weights of one layer of `ncps` as ours has them, with random biases instead of small ones."""
    import torch

    parts = [getattr(theirs, name) for name in ("ff1", "ff2", "time_a", "time_b")]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in parts:
            part.bias.copy_(0.3 * torch.randn(part.bias.shape, generator=generator))
    weights = [part.weight.detach().numpy().T for part in parts]
    head.weight.data = np.ascontiguousarray(np.concatenate(weights, axis=1))
    head.bias.data = np.concatenate([part.bias.detach().numpy() for part in parts])


def _need(*packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise BenchmarkError(
            f"{', '.join(missing)} is not installed. Install the group 'bench' of pyproject.toml"
        )
