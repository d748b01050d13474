"""Modules and parameters: the base of everything that holds weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from ember_core import ops
from ember_core.ops import Array

from ._config import constructor_config, decode, encode
from ._state import check_state, read_config, read_state, take_over, write_state


class Parameter:
    """A trainable array in a field of a module.

    Args:
        data: The array, or what `ops.asarray` makes one of.
        trainable: Whether `nn.value_and_grad` differentiates by it; false freezes it.

    Attributes:
        data: The array; training puts another one in its place.
        trainable: Whether it is differentiated by.
        grad: Its gradient in the last `nn.value_and_grad`, in its shape and dtype; None before.
    """

    __slots__ = ("data", "grad", "trainable")

    def __init__(self, data: Any, trainable: bool = True) -> None:
        self.data: Array = ops.asarray(data)
        self.trainable = trainable
        self.grad: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return ops.shape(self.data)

    @property
    def dtype(self) -> str:
        """Name of the element type, such as `"float32"`."""
        return ops.dtype(self.data)

    @property
    def device(self) -> str:
        """Name of the device it is on, such as `"cpu"`."""
        return ops.device(self.data)

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", trainable=False"
        return f"Parameter({self.dtype}, shape={self.shape}{frozen})"


class Module:
    """Arrays and modules under declared names, and a `forward` that uses them.

    A subclass declares its fields with types, takes its configuration in `__init__` under the same
    names, and assigns `Parameter(array)` to fields that are trained. `register_buffer` holds arrays
    that are saved but not trained. Values that change while it runs are no part of a module: the
    state of a recurrent cell is an argument and a result.

    Examples:
        >>> from ember_core import nn, ops
        >>> class Scale(nn.Module):
        ...     width: int
        ...     factor: nn.Parameter
        ...
        ...     def __init__(self, width):
        ...         self.width = width
        ...         self.factor = nn.Parameter(ops.ones((width,)))
        ...
        ...     def forward(self, x):
        ...         return x * self.factor.data
        >>> scale = Scale(3)
        >>> scale(ops.full((2, 3), 5.0)).tolist()
        [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]]
        >>> dict(scale.named_parameters()), scale.get_config()
        ({'factor': Parameter(float32, shape=(3,))}, {'width': 3})
    """

    training: bool = True

    def register_buffer(self, name: str, value: Any) -> None:
        """Hold an array that is saved with the module but not trained, in the field `name`."""
        self.__dict__.setdefault("_buffers", {})[name] = None  # a dict keeps the order
        setattr(self, name, ops.asarray(value))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; every subclass that is called has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward. Write one.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module under the name `prefix`, and all inside it, as `("layers.0", module)`."""
        yield prefix, self
        for name, value in self.__dict__.items():
            if name.startswith("_"):
                continue
            for path, child in _modules_in(f"{prefix}.{name}" if prefix else name, value):
                yield from child.named_modules(path)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Parameters here and inside with their names, such as `("layers.0.weight", p)`."""
        for path, module in self.named_modules():
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter):
                    yield f"{path}.{name}" if path else name, value

    def parameters(self) -> list[Parameter]:
        """Parameters here and inside, in the order of `named_parameters`."""
        return [value for _, value in self.named_parameters()]

    def _buffer_fields(self) -> Iterator[tuple[str, Module, str]]:
        """(full name, owner, field) of every buffer."""
        for path, module in self.named_modules():
            for name in module.__dict__.get("_buffers", ()):
                yield f"{path}.{name}" if path else name, module, name

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Arrays that are saved but not trained, with their names."""
        for name, module, field in self._buffer_fields():
            yield name, getattr(module, field)

    def state_dict(self) -> dict[str, Array]:
        """Every parameter's and buffer's array by name; the arrays themselves, not copies."""
        parameters = {name: parameter.data for name, parameter in self.named_parameters()}
        return parameters | dict(self.named_buffers())

    def arrays_changed(self) -> None:
        """Told when `assign`, `load_state_dict` or `to` has put other arrays in place.

        A module that keeps something made of its arrays drops it here.
        """

    def assign(self, values: Mapping[str, Array]) -> None:
        """Put arrays in place of the parameters or buffers of these names, as they are.

        Raises:
            ValueError: If a name or a shape is not the module's; nothing is assigned then.
        """
        current = self.state_dict()
        check_state(type(self).__name__, {n: x for n, x in current.items() if n in values}, values)
        parameters = dict(self.named_parameters())
        buffers = {name: (module, field) for name, module, field in self._buffer_fields()}
        for name, value in values.items():
            if name in parameters:
                parameters[name].data = value
            else:
                setattr(*buffers[name], value)
        for _, module in self.named_modules():
            module.arrays_changed()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over copies of all arrays, on the module's own backend, device and dtypes.

        Args:
            state: Arrays of any backend by name, as `state_dict` gives them.

        Raises:
            ValueError: With every name that is missing, unexpected, of another shape or of a dtype
                that would lose what it holds; nothing is taken over then.
        """
        current = self.state_dict()
        check_state(type(self).__name__, current, state)
        self.assign({name: take_over(state[name], value) for name, value in current.items()})

    def to(
        self, *, backend: str | None = None, device: str | None = None, dtype: str | None = None
    ) -> Self:
        """Move all parameters and buffers, in place.

        Args:
            backend: `"numpy"`, `"torch"` or `"mlx"`; unchanged without one.
            device: A device of that backend, such as `"cuda"`; unchanged without one.
            dtype: Element type of floating-point arrays; unchanged without one.

        Returns:
            This module. Gradients are dropped.

        Raises:
            ValueError: If there is no such backend or device; nothing is moved then.
            ImportError: If the backend's package is not installed.

        Examples:
            >>> from ember_core import nn
            >>> nn.Linear(5, 3).to(backend="numpy", dtype="float64").weight
            Parameter(float64, shape=(5, 3))
        """
        converted = {}
        for name, value in self.state_dict().items():
            kind = dtype if ops.dtype(value).startswith("float") else None
            converted[name] = ops.to(value, backend=backend, device=device, dtype=kind)
        self.assign(converted)
        for parameter in self.parameters():
            parameter.grad = None
        return self

    def astype(self, dtype: str) -> Self:
        """`to(dtype=dtype)`."""
        return self.to(dtype=dtype)

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules inside."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values; a generator is none of them."""
        return constructor_config(self, skip=frozenset({"generator"}))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A module made anew from `get_config`, with fresh weights."""
        from ._wiring import Wiring

        return cls(**{name: decode(value, Module, Wiring) for name, value in config.items()})

    def save(self, path: str | Path) -> None:
        """Write weights and configuration to one safetensors file."""
        header = {"class": type(self).__name__, "config": json.dumps(encode(self.get_config()))}
        write_state(Path(path), self.state_dict(), header)

    @classmethod
    def load(
        cls, path: str | Path, *, backend: str | None = None, device: str | None = None
    ) -> Self:
        """The module that `save` wrote, on any backend.

        Args:
            path: Its file.
            backend: Backend of its arrays; the default one without it.
            device: Their device; the default one without it.

        Raises:
            ValueError: If the file cannot be read or holds another class, or there is no such
                backend or device.
        """
        state, header = read_state(Path(path))
        name, config = read_config(Path(path), header)
        if name != cls.__name__:
            raise ValueError(
                f"The file holds another module. Expected {cls.__name__}. Received: "
                f"class={name!r} in {str(path)!r}. Load it with {name}.load."
            )
        with ops.default_backend(backend or ops.backend_name(), device):
            module = cls.from_config(config)
            module.load_state_dict(state)
        return module


def _modules_in(path: str, value: Any) -> Iterator[tuple[str, Module]]:
    """Modules in a field's value, through lists, tuples and dicts."""
    if isinstance(value, Module):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _modules_in(f"{path}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _modules_in(f"{path}.{key}", item)
