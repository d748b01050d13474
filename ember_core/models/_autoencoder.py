"""A liquid network that has to say a sequence again through a narrow place."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Cell, Linear, Module, Recurrent
from ember_core.ops import Array

from ._reading import ElapsedScale, Reading


class AutoencoderCell(Cell):
    """Two cells with a narrow place between them: code and reconstruction of each row.

    Args:
        encoder: Cell over the input, F columns.
        decoder: Cell over the code; its `input_size` is the width of the narrow place.
        n_targets: Columns O that are reconstructed.
        generator: Of the initial weights of code and read-out; seed 0 without one.

    Attributes:
        code: From the encoder's output to the code.
        readout: From the decoder's output to the reconstruction.
        scale: What error is usual after how much time.
    """

    encoder: Cell
    decoder: Cell
    n_targets: int
    code: Linear
    readout: Linear
    scale: ElapsedScale

    def __init__(
        self, encoder: Cell, decoder: Cell, n_targets: int, *, generator: Any = None
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = encoder.input_size + n_targets
        self.encoder = encoder
        self.decoder = decoder
        self.n_targets = n_targets
        self.code = Linear(encoder.output_size, decoder.input_size, generator=generator)
        self.readout = Linear(decoder.output_size, n_targets, generator=generator)
        self.scale = ElapsedScale(n_targets)

    @property
    def state_size(self) -> int:
        """Columns of the state: the encoder's, then the decoder's."""
        return self.encoder.state_size + self.decoder.state_size

    @property
    def output_size(self) -> int:
        """Columns of the output: `[reconstruction, error, score]`, O + 2."""
        return self.n_targets + 2

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One row; `x` is `[input, targets]`, `(B, F + O)`, the rest as `Cell` says."""
        own, inputs = self.encoder.state_size, self.encoder.input_size
        seen, first = self.encoder(x[:, :inputs], state[:, :own], elapsed)
        said, second = self.decoder(ops.tanh(self.code(seen)), state[:, own:], elapsed)
        again = self.readout(said)
        missed = x[:, inputs:] - again
        error = ops.mean(ops.square(missed), axis=1, keepdims=True)
        return (
            ops.concatenate([again, error, self.scale(missed, elapsed)], axis=1),
            ops.concatenate([first, second], axis=1),
        )


class LiquidAutoencoder(Module):
    """Reconstructions of each row from what a narrow code of the past and it allows.

    Args:
        encoder: Any recurrent cell, over F columns.
        decoder: Any recurrent cell; its `input_size` is the width of the narrow place.
        n_targets: Columns O that are reconstructed; those of the input where not given.
        generator: Of the initial weights of code and read-out; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> from ember_core.models import LiquidAutoencoder
        >>> model = LiquidAutoencoder(nn.liquid_cell("cfc", 5, 13), nn.liquid_cell("cfc", 2, 13))
        >>> reading, state = model(ops.ones((2, 7, 5)), elapsed=ops.full((2, 7), 0.5))
        >>> reading.output.shape, reading.score.shape
        ((2, 7, 5), (2, 7))
    """

    n_targets: int
    sequence: Recurrent

    def __init__(
        self, encoder: Cell, decoder: Cell, n_targets: int | None = None, *, generator: Any = None
    ) -> None:
        self.n_targets = encoder.input_size if n_targets is None else n_targets
        cell = AutoencoderCell(encoder, decoder, self.n_targets, generator=generator)
        self.sequence = Recurrent(cell)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        config = self.sequence.cell.get_config()
        return {name: config[name] for name in ("encoder", "decoder", "n_targets")}

    @property
    def state_size(self) -> int:
        """Columns of the state."""
        return self.sequence.cell.state_size

    @property
    def scale(self) -> ElapsedScale:
        """What error is usual after how much time."""
        scale: ElapsedScale = self.sequence.cell.scale  # type: ignore[attr-defined]
        return scale

    def forward(
        self,
        x: Array,
        state: Array | None = None,
        elapsed: Array | float = 1.0,
        mask: Array | None = None,
        target: Array | None = None,
    ) -> tuple[Reading, Array]:
        """Go through sequences; one row at a time where T is 1 and the state is handed along.

        Args:
            x: Input, `(B, T, F)`.
            state: State before them, `(B, state_size)`; zeros where not given.
            elapsed: Time since the step before, a number or `(B, T)`.
            mask: `(B, T)`, true where a step is there; see `nn.SequenceLayer`.
            target: Rows to be said again, `(B, T, O)`; `x` where not given.

        Returns:
            Per step: the reconstruction, its error and its score; and the state after the
            sequences.

        Raises:
            ValueError: If a shape does not fit.
        """
        target = x if target is None else target
        both = ops.concatenate([x, target], axis=2)
        output, state = self.sequence(both, state, elapsed, mask)
        n = self.n_targets
        return Reading(output[:, :, :n], output[:, :, n], output[:, :, n + 1]), state
