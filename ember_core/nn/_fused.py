"""A wired CfC cell for inference on many rows: weights stacked once, neurons along the first axis.

The cell's own `forward` is written to be read and differentiated. This form gives the same numbers
to float32's rounding, several times faster:

- masks are applied once, and the bias is a row of the weights;
- arrays are `(neurons, rows)`, so that `f1`, `f2`, `a` and `b` are contiguous blocks, and rows are
  taken by tiles that stay in the cache, in arrays that are filled anew and not made anew;
- with `sigmoid(u) = (1 + tanh(u / 2)) / 2` there is one kind of squashing for a whole layer: tanh
  on NumPy, `h' = f1 + (1 + tanh((a dt + b) / 2)) / 2 (f2 - f1)`, and the sigmoid on PyTorch, whose
  tanh takes five times as long on some processors, and which brings the sums and the
  interpolation as one pass each.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ember_core import ops
from ember_core.ops import Array

from ._cell import check_step
from ._cfc import WiredCfCCell

_PADDING = 16  # numbers of a line of the cache
_TILE_ROWS = 2048  # of a step: its arrays stay in the second-level cache
_PRODUCT_ROWS = 512  # of one product: beyond, OpenBLAS copies its operands first


class FusedCfC:
    """The step of a `WiredCfCCell`, for float32 rows on the cell's backend, NumPy or PyTorch.

    A copy of the weights is taken: fuse again after training. No gradient goes through it.

    Args:
        cell: The cell, of mode `"default"` or `"no_gate"`.

    Raises:
        ValueError: If the cell is of mode `"pure"`, which has other formulas, or on a backend
            without such a form.

    Examples:
        >>> import numpy as np
        >>> from ember_core import nn
        >>> cell = nn.WiredCfCCell(5, nn.AutoNCP(11, 2))
        >>> fused = nn.FusedCfC(cell)
        >>> rows = np.ones((7, 5), np.float32), np.zeros((7, 11), np.float32)
        >>> elapsed = np.full((7, 1), 0.5, np.float32)
        >>> output, state = fused(*rows, elapsed)
        >>> bool(np.allclose(state, cell(*rows, elapsed)[1], atol=1e-6)), output.shape
        (True, (7, 2))
    """

    def __init__(self, cell: WiredCfCCell) -> None:
        if cell.mode == "pure":
            raise ValueError(
                "This cell cannot be fused. Expected mode 'default' or 'no_gate'. "
                "Received: mode='pure'. Use the cell itself."
            )
        self._cell = cell
        self._like = cell.layers[0].weight.data
        backend = ops.backend_name(self._like)
        layers = [
            _stacked(ops.to_numpy(x.weight.data), ops.to_numpy(x.bias.data), x.mask)
            for x in cell.layers
        ]
        gated = cell.mode == "default"
        self._tiles: Any
        if backend == "numpy":
            self._tiles = _Tiles(layers, gated)
        elif backend == "torch":
            from ._fused_torch import TorchTiles

            self._tiles = TorchTiles(layers, gated, self._like)
        else:
            raise ValueError(
                "This cell cannot be fused. Expected arrays of NumPy or PyTorch. "
                f"Received: backend={backend!r}. Use the cell itself, or cell.to(backend=...)."
            )

    def __call__(
        self, x: Array, state: Array, elapsed: Array, out: Array | None = None
    ) -> tuple[Any, Any]:
        """One step, as the cell's.

        Args:
            x: Input, `(B, F)` float32.
            state: Neurons before the step, `(B, U)` float32; fastest as the last step gave it.
            elapsed: Time since the step before, `(B, 1)`.
            out: Array for the state after the step, `(B, U)` float32; it may be `state` itself.

        Returns:
            The motor neurons `(B, output_dim)` and the state after the step `(B, U)`: views of
            one array of `(U, B)`.

        Raises:
            ValueError: If a shape does not fit, or `out` is no float32.
            TypeError: If an array is of another backend.
        """
        cell = self._cell
        check_step(cell, x, state, elapsed)
        rows = len(x)
        if out is None:
            new_state = self._tiles.empty(cell.state_size, rows)
        else:
            new_state = _checked(out, (rows, cell.state_size)).T
        self._check_backend(x, state, elapsed, new_state)
        x_t, old_state, dt = (ops.astype(a, "float32").T for a in (x, state, elapsed))
        size = self._tiles.rows or max(rows, 1)
        for start in range(0, rows, size):
            tile = slice(start, min(start + size, rows))
            self._tiles.step(x_t[:, tile], old_state[:, tile], dt[:, tile], new_state[:, tile])
        return new_state[len(new_state) - cell.output_size :].T, new_state.T

    def _check_backend(self, *arrays: Array) -> None:
        expected = ops.backend_name(self._like)
        received = next((n for n in map(ops.backend_name, arrays) if n != expected), None)
        if received is not None:
            raise TypeError(
                "The rows are not on the cell's backend. "
                f"Expected: {expected}. Received: {received}. Convert with ops.to(x, backend=...)."
            )


class _Tiles:
    """Tiles of rows on NumPy.

    Args:
        layers: Weights of each layer, `(4 H, F + H + 1)`, the bias last.
        gated: Whether `f1` fades as the gate opens.
    """

    rows = _TILE_ROWS

    def __init__(self, layers: list[Any], gated: bool) -> None:
        self._gated = gated
        for weights in layers:
            # sigmoid(u) = (1 + tanh(u / 2)) / 2: one tanh serves the candidates and the gate.
            weights[len(weights) // 2 :] *= 0.5  # of the gate, for its tanh
        for weights, previous in zip(layers[1:], layers, strict=False):
            weights[:, : len(previous) // 4] *= 0.5  # it gets twice the state of the layer before
        self._layers = layers
        self._local = threading.local()  # of each thread: arrays that every step fills anew

    def empty(self, units: int, rows: int) -> Any:
        """Room for a state, `(U, B)`."""
        # Neurons a power of two apart would share the same few lines of the cache.
        return np.empty((units, rows + _PADDING), np.float32)[:, :rows]

    def step(self, x: Any, before: Any, dt: Any, after: Any) -> None:
        """One tile: `(F, b)`, `(U, b)`, `(1, b)` in, `(U, b)` out."""
        buffers = self._layer_buffers(dt.shape[1])
        np.copyto(buffers[0].input, x)
        for weights, buffer in zip(self._layers, buffers, strict=True):
            f1, f2, gate, change = buffer.f1, buffer.f2, buffer.gate, buffer.offset
            np.copyto(buffer.state, before[buffer.units])
            for inputs, product in buffer.products:
                np.matmul(weights, inputs, out=product)
            gate *= dt
            gate += change  # b, not needed afterwards
            np.tanh(buffer.squashed, out=buffer.squashed)
            if self._gated:
                np.subtract(f2, f1, out=change)
                f1 += f2
            else:
                np.copyto(change, f2)
                f1 += f1
                f1 += f2
            change *= gate
            # Twice the state, which the next layer's weights are made for; and it is in the cache.
            f1 = np.add(f1, change, out=buffer.output)
            np.multiply(f1, 0.5, out=after[buffer.units])

    def _layer_buffers(self, columns: int) -> list[_Buffers]:
        """Arrays of every layer, `columns` rows wide."""
        if getattr(self._local, "columns", None) != columns:
            buffers: list[_Buffers] = []
            # One layer's products are gone when the next one's are made.
            # The largest layer sets the size; the others use the first rows.
            y = np.empty((max(map(len, self._layers)), columns), np.float32)
            # Buffers are made from the last layer to the first: each needs the next one's input.
            for weights in reversed(self._layers):
                output = buffers[-1].input if buffers else None
                buffers.append(_Buffers(weights.shape, y, output))
            first = 0
            for buffer in reversed(buffers):
                buffer.units = slice(first, first + len(buffer.f1))
                first += len(buffer.f1)
            self._local.layers, self._local.columns = buffers[::-1], columns
        return self._local.layers  # type: ignore[no-any-return]


class _Buffers:
    """A layer's arrays of one tile, and views of them.

    Args:
        shape: Shape of the weights, `(4 n, F + n + 1)`.
        y: Array that receives the products, `(4 n or more, columns)`.
        output: Array that receives the neurons, `(n, columns)`: part of the next layer's input.
    """

    units: slice  # its neurons among all

    def __init__(self, shape: tuple[int, int], y: Any, output: Any) -> None:
        n = shape[0] // 4
        y = y[: shape[0]]
        inputs = np.ones((shape[1], y.shape[1]), np.float32)  # and the last row stays of ones
        self.input = inputs[: shape[1] - n - 1]
        self.state = inputs[shape[1] - n - 1 : -1]
        self.products = list(zip(_pieces(inputs), _pieces(y), strict=True))
        self.f1, self.f2, self.gate, self.offset = np.split(y, 4)
        self.squashed = y[: 3 * n]
        self.output = self.f1 if output is None else output


def _pieces(x: Any) -> list[Any]:
    """Views of `(m, columns)` for products: one of all whole pieces `(p, m, 512)`, and the rest."""
    count = x.shape[1] // _PRODUCT_ROWS
    full_rows = count * _PRODUCT_ROWS
    pieces = x[:, :full_rows].reshape(len(x), count, _PRODUCT_ROWS).swapaxes(0, 1)
    return [part for part in (pieces, x[:, full_rows:]) if part.size]


def _checked(out: Any, shape: tuple[int, int]) -> Any:
    if ops.shape(out) != shape or ops.dtype(out) != "float32":
        raise ValueError(
            f"The state does not go there. Expected out of shape {shape}, float32. "
            f"Received: shape={ops.shape(out)}, dtype={ops.dtype(out)}."
        )
    return out


def _stacked(weight: Any, bias: Any, mask: Array | None) -> Any:
    """Weights `(4 H, F + 1)` with the bias last."""
    weight = weight if mask is None else weight * ops.to_numpy(mask)
    stacked = np.concatenate([weight, bias[None]]).T.astype(np.float32)
    return np.asfortranarray(stacked)  # the order in which the product is quickest
