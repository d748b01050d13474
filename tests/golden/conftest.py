"""Reference arrays are NumPy's; models live on each backend in turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ember_core import ops
from ember_core.nn import Module


@pytest.fixture(scope="session")
def golden_data() -> Path:
    """Folder of the reference numbers."""
    return Path(__file__).with_name("data")


class There:
    """Takes NumPy arrays to the backend of a test, and results back."""

    def put(self, module: Module, arrays: Mapping[str, Any]) -> None:
        """Put NumPy arrays in place of a module's."""
        module.assign({name: self.array(value) for name, value in arrays.items()})

    def array(self, value: Any) -> Any:
        """A NumPy array on the backend."""
        return ops.from_numpy(np.ascontiguousarray(value))

    def run(self, function: Any, *values: Any, **more: Any) -> Any:
        """What `function` makes of NumPy arrays, as NumPy arrays."""
        result = function(
            *map(self.array, values), **{name: self.array(value) for name, value in more.items()}
        )
        return tuple(map(ops.to_numpy, result)) if isinstance(result, tuple) else result


@pytest.fixture
def there(backend: str) -> There:
    """The backends in turn; a comparison that asks for it holds on each of them."""
    return There()
