"""Wirings without layers: every synapse, or a random share of them."""

from __future__ import annotations

import numpy as np

from ._wiring import Wiring

# Two synapses in three excite.
_POLARITIES = (-1, 1, 1)


class FullyConnected(Wiring):
    """Every neuron drives every neuron, and every input drives them all.

    Args:
        units: Neurons U.
        output_dim: Motor neurons, the first of them; all where not given.
        erev_init_seed: Seed of the polarities.
        self_connections: Whether a neuron drives itself.
    """

    def __init__(
        self,
        units: int,
        output_dim: int | None = None,
        erev_init_seed: int = 1111,
        self_connections: bool = True,
    ) -> None:
        super().__init__(units, output_dim)
        self.erev_init_seed = erev_init_seed
        self.self_connections = self_connections
        self._rng = np.random.default_rng(erev_init_seed)
        for source in range(units):
            for target in range(units):
                if source != target or self_connections:
                    self._join(source, target, int(self._rng.choice(_POLARITIES)))

    def _wire(self, input_dim: int) -> None:
        for source in range(input_dim):
            for target in range(self.units):
                self._join_input(source, target, int(self._rng.choice(_POLARITIES)))


class Random(Wiring):
    """A random share of all synapses.

    Args:
        units: Neurons U.
        output_dim: Motor neurons, the first of them; all where not given.
        sparsity_level: Share of the possible synapses left out, in [0, 1).
        random_seed: Seed of the choice and of the polarities.
    """

    def __init__(
        self,
        units: int,
        output_dim: int | None = None,
        sparsity_level: float = 0.0,
        random_seed: int = 1111,
    ) -> None:
        super().__init__(units, output_dim)
        if not 0.0 <= sparsity_level < 1.0:
            raise ValueError(
                "The wiring's sparsity is out of range. Expected 0 <= sparsity_level < 1. "
                f"Received: sparsity_level={sparsity_level}."
            )
        self.sparsity_level = sparsity_level
        self.random_seed = random_seed
        self._rng = np.random.default_rng(random_seed)
        for source, target in self._choose(units):
            self._join(source, target, int(self._rng.choice(_POLARITIES)))

    def _choose(self, sources: int) -> list[tuple[int, int]]:
        """(source, target) of the synapses that are there, in random order."""
        possible = sources * self.units
        count = round(possible * (1.0 - self.sparsity_level))
        indices = self._rng.choice(possible, size=count, replace=False)
        return [(int(i) // self.units, int(i) % self.units) for i in indices]

    def _wire(self, input_dim: int) -> None:
        for source, target in self._choose(input_dim):
            self._rng.choice(_POLARITIES)  # ncps draws twice here and keeps the second
            self._join_input(source, target, int(self._rng.choice(_POLARITIES)))
