"""Synapses among neurons and from inputs: the base of all wirings.

Structure only, made once and by NumPy whatever the backend: a seed gives one wiring everywhere.
Class and argument names are those of the `ncps` package, and so are the wirings of a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ._config import constructor_config, find_class
from ._drawing import draw, positions


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
        edits: Changes by hand, `[sensory, source, target, polarity]` each, 0 for a removal.
    """

    units: int
    output_dim: int
    input_dim: int | None
    adjacency_matrix: NDArray[np.int8]
    sensory_adjacency_matrix: NDArray[np.int8] | None
    edits: list[tuple[bool, int, int, int]]

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
        self.edits = []

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
            for edit in self.edits:  # changes by hand are kept
                self._apply(*edit)
        return self

    def _wire(self, input_dim: int) -> None:
        """Add the synapses that wait for the inputs."""
        raise NotImplementedError(f"{type(self).__name__} wires no inputs. Write _wire.")

    def add_synapse(self, source: int, target: int, polarity: int) -> None:
        """Let neuron `source` drive neuron `target`; `polarity` is 1 or -1.

        Changes by hand are part of the configuration. Make them before a cell is made of the
        wiring: a cell takes its masks then.

        Raises:
            ValueError: If there is no such neuron or polarity.
        """
        self._edit(False, source, target, polarity, allowed=(-1, 1))

    def add_sensory_synapse(self, source: int, target: int, polarity: int) -> None:
        """Let input `source` drive neuron `target`; `polarity` is 1 or -1. Only after `build`.

        Raises:
            ValueError: If there is no such input, neuron or polarity, or no input yet.
        """
        self._edit(True, source, target, polarity, allowed=(-1, 1))

    def remove_synapse(self, source: int, target: int) -> None:
        """Remove the synapse from neuron `source` to neuron `target`.

        Raises:
            ValueError: If there is no such neuron.
        """
        self._edit(False, source, target, 0, allowed=(0,))

    def remove_sensory_synapse(self, source: int, target: int) -> None:
        """Remove the synapse from input `source` to neuron `target`. Only after `build`.

        Raises:
            ValueError: If there is no such input or neuron, or no input yet.
        """
        self._edit(True, source, target, 0, allowed=(0,))

    def _edit(
        self, sensory: bool, source: int, target: int, polarity: int, allowed: tuple[int, ...]
    ) -> None:
        sources = len(self.sensory()) if sensory else self.units
        fits = 0 <= source < sources and 0 <= target < self.units
        if polarity not in allowed or not fits:
            raise ValueError(
                f"There can be no such synapse. Expected 0 <= source < {sources}, "
                f"0 <= target < {self.units} and polarity 1 or -1. "
                f"Received: source={source}, target={target}, polarity={polarity}."
            )
        self.edits.append((sensory, source, target, polarity))
        self._apply(sensory, source, target, polarity)

    def _apply(self, sensory: bool, source: int, target: int, polarity: int) -> None:
        matrix = self.sensory() if sensory else self.adjacency_matrix
        matrix[source, target] = polarity

    def _join(self, source: int, target: int, polarity: int) -> None:
        """Add a synapse that the wiring makes itself."""
        self._apply(False, source, target, polarity)

    def _join_input(self, source: int, target: int, polarity: int) -> None:
        """Add a synapse from an input that the wiring makes itself."""
        self._apply(True, source, target, polarity)

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
        inner = {"inter": ids[self.output_dim :]} if self.output_dim < self.units else {}
        return inner | {"motor": ids[: self.output_dim]}

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

    def to_svg(self, title: str | None = None) -> str:
        """The wiring as a picture, in SVG.

        Sensory, inter, command and motor neurons stand in columns; synapses that excite are green,
        those that inhibit red. Within a column neurons are ordered so that few synapses cross.
        Names of neurons and synapses show under the pointer. Equal wirings give equal text.

        Args:
            title: Caption; the class's name where not given.

        Returns:
            The text of an SVG document.

        Examples:
            >>> from ember_core.nn import AutoNCP
            >>> svg = AutoNCP(19, 3).build(5).to_svg()
            >>> svg.count("<circle"), svg.startswith("<svg")
            (24, True)
        """
        return draw(self.to_graph(), type(self).__name__ if title is None else title)

    def positions(self) -> dict[str, tuple[float, float]]:
        """Place of each neuron in a picture, by its id in `to_graph`.

        Layers are columns, from sensory at 0 to motor; within one, neurons are ordered so that few
        synapses cross.

        Returns:
            Number of the column, and distance from the top in rows of the fullest column.

        Examples:
            >>> from ember_core.nn import AutoNCP
            >>> AutoNCP(19, 3).build(2).positions()["sensory_0"][0]
            0.0
        """
        return positions(self.to_graph())

    def get_config(self) -> dict[str, Any]:
        """The class, the constructor's arguments, `input_dim` and edits, as JSON values."""
        config = {"class": type(self).__name__, **constructor_config(self, skip=frozenset())}
        config["input_dim"] = self.input_dim
        return config | ({"edits": [list(edit) for edit in self.edits]} if self.edits else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The wiring of `get_config`, of the class it names.

        Raises:
            ValueError: If that class is not `cls` or derived from it.
        """
        arguments = dict(config)
        made_by = find_class(arguments.pop("class", cls.__name__), cls)
        input_dim, edits = arguments.pop("input_dim", None), arguments.pop("edits", ())
        wiring: Self = made_by(**arguments)
        if input_dim is not None:
            wiring.build(input_dim)
        for sensory, source, target, polarity in edits:
            wiring._edit(sensory, source, target, polarity, allowed=(-1, 0, 1))
        return wiring


def layer_masks(wiring: Wiring) -> list[NDArray[np.float32]]:
    """Masks of a cell that updates layer after layer: the sources of each neuron.

    Returns:
        For each layer of n neurons, float32 `(sources + n, n)` of 0 and 1: synapses from the layer
        before (the inputs before the first), then the layer itself, whose neurons all hear each
        other.
    """
    masks = []
    synapses = wiring.sensory()
    for ids in wiring.layers.values():
        recurrent = np.ones((len(ids), len(ids)))
        # Neurons of a layer are all joined to each other, as in `ncps`.
        masks.append(np.concatenate([np.abs(synapses[:, ids]), recurrent]).astype(np.float32))
        synapses = wiring.adjacency_matrix[ids]
    return masks
