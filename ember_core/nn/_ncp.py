"""Neural circuit policies: sensory -> inter -> command -> motor neurons, sparse, as in a worm.

After Lechner et al., "Neural circuit policies enabling auditable autonomy" (2020). The draws of a
seed follow the `ncps` package, so that its wirings can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ._wiring import Wiring


class NCP(Wiring):
    """A wiring in four layers, by numbers of neurons and synapses.

    Ids: motor neurons first, then command, then inter neurons. A neuron that the fan-outs left
    without a synapse gets the mean number of them.

    Args:
        inter_neurons: Neurons that inputs drive.
        command_neurons: Neurons that inter neurons drive; they also drive each other.
        motor_neurons: Neurons that command neurons drive: the outputs.
        sensory_fanout: Inter neurons each input drives.
        inter_fanout: Command neurons each inter neuron drives.
        recurrent_command_synapses: Synapses drawn among command neurons; equal draws are one.
        motor_fanin: Command neurons that drive each motor neuron.
        seed: Seed of the synapses and their polarities.

    Raises:
        ValueError: If a fan is larger than the layer it goes to or comes from.
    """

    def __init__(
        self,
        inter_neurons: int,
        command_neurons: int,
        motor_neurons: int,
        sensory_fanout: int,
        inter_fanout: int,
        recurrent_command_synapses: int,
        motor_fanin: int,
        seed: int = 22222,
    ) -> None:
        _check_fan("sensory_fanout", sensory_fanout, "inter_neurons", inter_neurons)
        _check_fan("inter_fanout", inter_fanout, "command_neurons", command_neurons)
        _check_fan("motor_fanin", motor_fanin, "command_neurons", command_neurons)
        super().__init__(inter_neurons + command_neurons + motor_neurons, motor_neurons)
        self.inter_neurons = inter_neurons
        self.command_neurons = command_neurons
        self.motor_neurons = motor_neurons
        self.sensory_fanout = sensory_fanout
        self.inter_fanout = inter_fanout
        self.recurrent_command_synapses = recurrent_command_synapses
        self.motor_fanin = motor_fanin
        self.seed = seed

    @property
    def layers(self) -> dict[str, NDArray[np.int64]]:
        """Neuron ids by layer, in the order they are updated."""
        ids = np.arange(self.units)
        first_inter = self.motor_neurons + self.command_neurons
        return {
            "inter": ids[first_inter:],
            "command": ids[self.motor_neurons : first_inter],
            "motor": ids[: self.motor_neurons],
        }

    def _wire(self, input_dim: int) -> None:
        # The legacy generator: it is the one whose draws a published seed means.
        rng = np.random.RandomState(self.seed)
        inter, command, motor = (ids.tolist() for ids in self.layers.values())
        inputs = list(range(input_dim))
        _fan(rng, inputs, inter, self.sensory_fanout, self._join_input)
        _fan(rng, inter, command, self.inter_fanout, self._join)
        for _ in range(self.recurrent_command_synapses):
            source, target = int(rng.choice(command)), int(rng.choice(command))
            self._join(source, target, _polarity(rng))

        def drive(target: int, source: int, polarity: int) -> None:
            self._join(source, target, polarity)

        _fan(rng, motor, command, self.motor_fanin, drive)


class AutoNCP(NCP):
    """An `NCP` sized from the number of neurons, of outputs, and one sparsity.

    Args:
        units: Neurons U in all.
        output_size: Motor neurons; at most `units - 3`.
        sparsity_level: Share of the synapses left out, 0.1 to 1.
        seed: Seed of the synapses and their polarities.

    Raises:
        ValueError: If there are too many outputs, or the sparsity is out of range.

    Examples:
        >>> from ember_core.nn import AutoNCP
        >>> wiring = AutoNCP(19, 3, seed=7).build(5)
        >>> {name: len(ids) for name, ids in wiring.layers.items()}
        {'inter': 10, 'command': 6, 'motor': 3}
    """

    def __init__(
        self, units: int, output_size: int, sparsity_level: float = 0.5, seed: int = 22222
    ) -> None:
        if not 1 <= output_size < units - 2 or not 0.1 <= sparsity_level <= 1:
            raise ValueError(
                "The wiring cannot be sized so. Expected 1 <= output_size < units - 2 and "
                f"0.1 <= sparsity_level <= 1. Received: units={units}, "
                f"output_size={output_size}, sparsity_level={sparsity_level}."
            )
        self.output_size = output_size
        self.sparsity_level = sparsity_level
        density = 1.0 - sparsity_level
        command = max(int(0.4 * (units - output_size)), 1)
        inter = units - output_size - command
        super().__init__(
            inter,
            command,
            output_size,
            sensory_fanout=max(int(inter * density), 1),
            inter_fanout=max(int(command * density), 1),
            recurrent_command_synapses=max(int(command * density * 2), 1),
            motor_fanin=max(int(command * density), 1),
            seed=seed,
        )


def _fan(
    rng: np.random.RandomState,
    near: Sequence[int],
    far: Sequence[int],
    count: int,
    connect: Callable[[int, int, int], None],
) -> None:
    """Join each of `near` to `count` of `far`; those of `far` left alone get the mean number."""
    alone = dict.fromkeys(far)
    for a in near:
        for b in rng.choice(far, size=count, replace=False):
            alone.pop(int(b), None)
            connect(a, int(b), _polarity(rng))
    mean = min(max(len(near) * count // len(far), 1), len(near))
    for b in alone:
        for a in rng.choice(near, size=mean, replace=False):
            connect(int(a), b, _polarity(rng))


def _polarity(rng: np.random.RandomState) -> int:
    return int(rng.choice((-1, 1)))


def _check_fan(name: str, fan: int, layer: str, size: int) -> None:
    if not 1 <= fan <= size:
        raise ValueError(
            f"The wiring's {name} does not fit. Expected 1 <= {name} <= {layer}. "
            f"Received: {name}={fan}, {layer}={size}."
        )
