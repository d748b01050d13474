"""Which neuron drives which: the base of all wirings.

Structure only, made once and by NumPy whatever the backend: a seed gives one wiring everywhere.
Class and argument names are those of the `ncps` package, and so are the wirings of a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ._config import constructor_config, find_class


class Wiring:
    """Signed synapses among neurons, and from inputs to neurons.

    Abstract: use `FullyConnected`, `Random`, `NCP` or `AutoNCP`. Synapses from the inputs are
    made by `build`, once the number of inputs is known.

    Attributes:
        units: Neurons U; the first `output_dim` of them are motor neurons.
        output_dim: Motor neurons.
        input_dim: Inputs D, or `None` before `build`.
        adjacency_matrix: int8 `(U, U)`, row = source, column = target: 1 excites, -1 inhibits.
        sensory_adjacency_matrix: int8 `(D, U)`, or `None` before `build`.
    """

    units: int
    output_dim: int
    input_dim: int | None
    adjacency_matrix: NDArray[np.int8]
    sensory_adjacency_matrix: NDArray[np.int8] | None

    def __init__(self, units: int, output_dim: int | None) -> None:
        output_dim = units if output_dim is None else output_dim
        if not 1 <= output_dim <= units:
            raise ValueError(
                "The wiring has the wrong number of motor neurons. Expected 1 <= output_dim <= "
                f"units. Received: units={units}, output_dim={output_dim}."
            )
        self.units = units
        self.output_dim = output_dim
        self.input_dim = None
        self.adjacency_matrix = np.zeros((units, units), np.int8)
        self.sensory_adjacency_matrix = None

    def build(self, input_dim: int) -> Self:
        """Wire the inputs; a second call with the same number changes nothing.

        Raises:
            ValueError: If `input_dim` is below 1, or the wiring has another number of inputs.
        """
        if input_dim < 1 or self.input_dim not in (None, input_dim):
            raise ValueError(
                f"The wiring cannot take these inputs. Expected "
                f"{'at least 1' if self.input_dim is None else self.input_dim}. "
                f"Received: input_dim={input_dim}. Make a wiring of its own for them."
            )
        if self.input_dim is None:
            self.input_dim = input_dim
            self.sensory_adjacency_matrix = np.zeros((input_dim, self.units), np.int8)
            self._wire(input_dim)
        return self

    def _wire(self, input_dim: int) -> None:
        """Add the synapses that wait for the inputs."""
        raise NotImplementedError(f"{type(self).__name__} wires no inputs. Write _wire.")

    def add_synapse(self, source: int, target: int, polarity: int) -> None:
        """Let neuron `source` drive neuron `target`; `polarity` is 1 or -1."""
        _add(self.adjacency_matrix, source, target, polarity)

    def add_sensory_synapse(self, source: int, target: int, polarity: int) -> None:
        """Let input `source` drive neuron `target`; `polarity` is 1 or -1. Only after `build`."""
        _add(self.sensory(), source, target, polarity)

    def sensory(self) -> NDArray[np.int8]:
        """`sensory_adjacency_matrix`, which has to be there.

        Raises:
            ValueError: If the wiring was not built.
        """
        if self.sensory_adjacency_matrix is None:
            raise ValueError(
                "The wiring has no inputs yet. Expected build(input_dim) before this. "
                f"Received: {type(self).__name__} with input_dim=None."
            )
        return self.sensory_adjacency_matrix

    @property
    def synapse_count(self) -> int:
        """Synapses among neurons."""
        return int(np.count_nonzero(self.adjacency_matrix))

    @property
    def sensory_synapse_count(self) -> int:
        """Synapses from inputs."""
        return int(np.count_nonzero(self.sensory()))

    @property
    def layers(self) -> dict[str, NDArray[np.int64]]:
        """Neuron ids by layer, in the order they are updated; `"motor"` is always there."""
        ids = np.arange(self.units)
        rest = {"inter": ids[self.output_dim :]} if self.output_dim < self.units else {}
        return rest | {"motor": ids[: self.output_dim]}

    def neuron_type(self, neuron: int) -> str:
        """Layer a neuron belongs to.

        Raises:
            IndexError: If there is no such neuron.
        """
        for name, ids in self.layers.items():
            if neuron in ids:
                return name
        raise IndexError(
            f"There is no such neuron. Expected 0 <= neuron < {self.units}. "
            f"Received: neuron={neuron}."
        )

    def to_graph(self) -> dict[str, list[dict[str, Any]]]:
        """The wiring as nodes and edges, for drawing.

        Returns:
            `nodes`, each with `id` and `layer` (inputs are `"sensory_0"` ...), and `edges`, each
            with `source`, `target` and `polarity` (1 or -1).
        """
        names = [f"{self.neuron_type(i)}_{i}" for i in range(self.units)]
        inputs = [f"sensory_{i}" for i in range(self.input_dim or 0)]
        nodes = [{"id": name, "layer": name.rpartition("_")[0]} for name in inputs + names]
        matrix = self.adjacency_matrix
        if self.sensory_adjacency_matrix is not None:
            matrix = np.concatenate([self.sensory_adjacency_matrix, matrix])
        edges = [
            {
                "source": nodes[source]["id"],
                "target": names[target],
                "polarity": int(matrix[source, target]),
            }
            for source, target in np.argwhere(matrix)
        ]
        return {"nodes": nodes, "edges": edges}

    def get_config(self) -> dict[str, Any]:
        """The class, the constructor's arguments, and `input_dim`, as JSON values."""
        arguments = constructor_config(self, skip=frozenset())
        return {"class": type(self).__name__, **arguments, "input_dim": self.input_dim}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The wiring of `get_config`, of the class it names.

        Raises:
            ValueError: If that class is not `cls` or derived from it.
        """
        arguments = dict(config)
        made_by = find_class(arguments.pop("class", cls.__name__), cls)
        input_dim = arguments.pop("input_dim", None)
        wiring: Self = made_by(**arguments)
        return wiring if input_dim is None else wiring.build(input_dim)


def _add(matrix: NDArray[np.int8], source: int, target: int, polarity: int) -> None:
    sources, targets = matrix.shape
    if polarity not in (-1, 1) or not (0 <= source < sources and 0 <= target < targets):
        raise ValueError(
            f"There can be no such synapse. Expected 0 <= source < {sources}, "
            f"0 <= target < {targets} and polarity 1 or -1. "
            f"Received: source={source}, target={target}, polarity={polarity}."
        )
    matrix[source, target] = polarity
