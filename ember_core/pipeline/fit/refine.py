"""Refine the liquid cell: the forecasts' error, back through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.ops import Array
from ember_core.pipeline.liquid import LiquidNetwork
from ember_core.training import Adam, Callback, EarlyStop, Optimizer, fit

SPAN = 32  # steps an error is followed back through
HELD_SHARE = 0.2  # of each sequence, its end
BATCH = 8  # spans
PATIENCE = 3
LARGEST = 7.0  # of a weight; exact products take less than 8
Sequences = list[tuple[Any, ...]]


def split(sequences: Sequences, network: LiquidNetwork) -> tuple[Sequences, Sequences]:
    """Head and held-back end of every sequence whose end is long enough to be judged on.

    Raises:
        ValueError: If none is.
    """
    least = int(np.ceil((_span_rows(network) + 1) / HELD_SHARE))
    used = [s for s in sequences if len(s[0]) >= least]
    if not used:
        longest = max((len(s[0]) for s in sequences), default=0)
        raise ValueError(
            "The history is too short to refine the liquid network on. "
            f"Expected a key with {least} rows or more after the first, on which windows fill. "
            f"Received: {longest} rows. Leave it at the ridge read-out: refine=0."
        )
    cuts = [int(len(s[0]) * (1.0 - HELD_SHARE)) for s in used]
    heads = [tuple(x[:cut] for x in s) for s, cut in zip(used, cuts, strict=True)]
    held = [tuple(x[cut:] for x in s) for s, cut in zip(used, cuts, strict=True)]
    return heads, held


def refine_cell(
    network: LiquidNetwork,
    sequences: Sequences,
    *,
    epochs: int,
    optimizer: Optimizer | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[Sequences, dict[str, float]]:
    """Descend the mean squared error of all horizons, through spans of 32 steps, in place.

    Truncated back-propagation through time: every epoch the sequences are run with the weights as
    they are, and each span begins at the state found there. The last fifth of each sequence is held
    back: training ends when its error has not become smaller for three epochs, and the best weights
    stay, those of before where none is better. No synapse is added.

    Args:
        network: The network, with a read-out fitted on the heads.
        sequences: As of `fit_liquid`, with elapsed times.
        epochs: Most times the spans are gone through.
        optimizer: `Adam(3e-3)` without one.
        callbacks: Beside the early stop.

    Returns:
        The sequences as the refined cell runs through them; the error on held-back rows before and
        after.
    """
    heads, held = split(sequences, network)
    begin = {name: ops.copy(x) for name, x in network.state_dict().items()}
    synapses = {
        name: ops.astype(begin[name] != 0.0, ops.dtype(begin[name]))
        for name in ("synapses", "content_gate")
    }

    def constrain(arrays: dict[str, Array]) -> dict[str, Array]:
        bounded = {name: ops.clip(x, -LARGEST, LARGEST) for name, x in arrays.items()}
        return bounded | {n: bounded[n] * m for n, m in synapses.items() if n in bounded}

    before = float(forecast_error(network, _spans(network, held)))
    network.train()
    try:
        history = fit(
            network,
            lambda: [_spans(network, heads)],
            loss=forecast_error,
            optimizer=Adam(3e-3) if optimizer is None else optimizer,
            epochs=epochs,
            batch_size=BATCH,
            max_gradient_norm=1.0,
            constrain=constrain,
            evaluate=lambda net: {"validation_loss": _held_error(net, held)},
            generator=ops.generator(network.seed),
            callbacks=[EarlyStop("validation_loss", patience=PATIENCE), *callbacks],
        )
    finally:
        network.eval()
    after = min(history["validation_loss"])
    if after >= before:
        network.load_state_dict(begin)
        return sequences, {"held_ridge": before, "held_refined": before}
    network.freeze()
    states = _run(network, sequences)
    width = network.hidden
    again = [
        (np.concatenate([h, s[0][:, width:]], axis=1), *s[1:])
        for h, s in zip(states, sequences, strict=True)
    ]
    return again, {"held_ridge": before, "held_refined": after}


def forecast_error(network: LiquidNetwork, batch: Any) -> Array:
    """Mean squared error of all horizons over spans, in usual deviations squared.

    Args:
        network: The network.
        batch: `(x, h, elapsed, z, anchor)` of shapes `(N, L, inputs)`, `(N, H)`, `(N, L)`,
            `(N, L, C)` and `(N, L, C)`; `h` is the state before the first row.
    """
    x, h, elapsed, z, anchor = batch
    states = []
    for t in range(ops.shape(x)[1]):
        h = network.advance(x[:, t], h, elapsed[:, t])
        states.append(h)
    ahead = network.ahead(ops.concatenate([ops.stack(states, axis=1), x], axis=2))
    c, total = network.n_channels, 0.0
    for i, horizon in enumerate(network.horizons):
        said = anchor[:, :-horizon] + ahead[:, :-horizon, i * c : (i + 1) * c]
        total = total + ops.mean(ops.square(z[:, horizon:] - said))
    return total / float(len(network.horizons))


def _held_error(network: LiquidNetwork, held: Sequences) -> float:
    """Error on the held-back rows, as inference would make it."""
    network.eval()
    try:
        network.freeze()
        return float(forecast_error(network, _spans(network, held)))
    finally:
        network.train()


def _span_rows(network: LiquidNetwork) -> int:
    """Rows of a span: each of its steps has every horizon's target."""
    return SPAN + max(network.horizons)


def _spans(network: LiquidNetwork, sequences: Sequences) -> tuple[Any, ...]:
    """Spans of all sequences, `forecast_error`'s batch, on the network's backend."""
    rows, width = _span_rows(network), network.hidden
    parts: list[tuple[Any, ...]] = []
    for h, (basis, z, anchor, elapsed) in zip(_run(network, sequences), sequences, strict=True):
        for start in range(1, len(z) - rows + 1, SPAN):
            at = slice(start, start + rows)
            parts.append((basis[at, width:], h[start - 1], elapsed[at], z[at], anchor[at]))
    like = network.bias.data
    return tuple(
        ops.from_numpy(np.stack(column).astype(np.float32), like=like)
        for column in zip(*parts, strict=True)
    )


def _run(network: LiquidNetwork, sequences: Sequences) -> list[Any]:
    """Liquid states `(T, H)` after each row, all sequences side by side.

    The state after the first row is that of the sequence: what came before is not known here.
    """
    width, like = network.hidden, network.bias.data
    order = sorted(range(len(sequences)), key=lambda k: -len(sequences[k][0]))
    lengths = np.array([len(sequences[k][0]) for k in order])
    out = [np.empty((len(s[0]), width), dtype=np.float32) for s in sequences]
    h = np.stack([sequences[k][0][0, :width] for k in order]).astype(np.float32)
    for k, first in zip(order, h, strict=True):
        out[k][0] = first
    h = ops.from_numpy(h, like=like)
    for t in range(1, int(lengths[0])):
        n = int(np.count_nonzero(lengths > t))
        x = np.stack([sequences[k][0][t, width:] for k in order[:n]]).astype(np.float32)
        dt = np.array([sequences[k][3][t] for k in order[:n]], dtype=np.float32)
        h = network.advance(ops.from_numpy(x, like=like), h[:n], ops.from_numpy(dt, like=like))
        for k, now in zip(order[:n], ops.to_numpy(h), strict=True):
            out[k][t] = now
    return out
