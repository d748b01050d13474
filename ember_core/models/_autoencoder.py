"""A liquid network that has to say a sequence again through a narrow place."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Cell, Linear
from ember_core.ops import Array

from ._reading import ElapsedScale, ReadingModel


class AutoencoderCell(Cell):
    """Two cells with a narrow place between them: code and reconstruction of each row.

    Args:
        encoder: Cell over the input, F columns.
        decoder: Cell over the code; its `input_size` is the width of the narrow place.
        n_targets: Columns O that are reconstructed.
        generator: Generator of the initial weights of code and read-out; seed 0 without one.

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
        encoder_size, inputs = self.encoder.state_size, self.encoder.input_size
        encoded, first = self.encoder(x[:, :inputs], state[:, :encoder_size], elapsed)
        decoded, second = self.decoder(
            ops.tanh(self.code(encoded)), state[:, encoder_size:], elapsed
        )
        reconstruction = self.readout(decoded)
        missed = x[:, inputs:] - reconstruction
        error = ops.mean(ops.square(missed), axis=1, keepdims=True)
        return (
            ops.concatenate([reconstruction, error, self.scale(missed, elapsed)], axis=1),
            ops.concatenate([first, second], axis=1),
        )


class LiquidAutoencoder(ReadingModel):
    """Reconstructions of each row from what a narrow code of the past and it allows.

    Args:
        encoder: Any recurrent cell, over F columns.
        decoder: Any recurrent cell; its `input_size` is the width of the narrow place.
        n_targets: Columns O that are reconstructed; those of the input where not given.
        generator: Generator of the initial weights of code and read-out; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> from ember_core.models import LiquidAutoencoder
        >>> model = LiquidAutoencoder(nn.liquid_cell("cfc", 5, 13), nn.liquid_cell("cfc", 2, 13))
        >>> reading, state = model(ops.ones((2, 7, 5)), elapsed=ops.full((2, 7), 0.5))
        >>> reading.output.shape, reading.score.shape
        ((2, 7, 5), (2, 7))
    """

    def __init__(
        self, encoder: Cell, decoder: Cell, n_targets: int | None = None, *, generator: Any = None
    ) -> None:
        n_targets = encoder.input_size if n_targets is None else n_targets
        super().__init__(
            AutoencoderCell(encoder, decoder, n_targets, generator=generator), n_targets
        )
