"""Pictures of series, scores, reasons, wirings and trainings, by matplotlib (extra `plots`).

Each function takes objects of the library and returns a figure of its own. None shows a window,
changes settings of matplotlib or imports its `pyplot`. A notebook shows the returned figure, and
`figure.savefig(path)` writes it. Series of any length are drawn with their peaks, in bounded time.

Examples:
    >>> from ember_core import nn, plots
    >>> figure = plots.wiring(nn.AutoNCP(19, 3).build(5), dark=True)
    >>> figure.axes[0].get_title(loc="left")
    'AutoNCP'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ember_core.distribution import install_command

if TYPE_CHECKING:
    from ._activations import activations as activations
    from ._contributions import contributions as contributions
    from ._energy import energy as energy
    from ._picture import Picture as Picture
    from ._rows import KeyRows as KeyRows
    from ._score import score as score
    from ._series import series as series
    from ._training import training as training
    from ._wiring import wiring as wiring

__all__ = [
    "KeyRows",
    "Picture",
    "activations",
    "contributions",
    "energy",
    "score",
    "series",
    "training",
    "wiring",
]

_HOMES = {name: f"_{name}" for name in __all__} | {"KeyRows": "_rows", "Picture": "_picture"}


if not TYPE_CHECKING:  # type checkers read the imports above, and see a misspelt name

    def __getattr__(name: str) -> Any:
        """Load a function at its first use (PEP 562), and matplotlib with it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "matplotlib":
                raise
            raise ModuleNotFoundError(
                f"Pictures need matplotlib. Install it with: {install_command('plots')}.",
                name="matplotlib",
            ) from None
        globals()[name] = value  # the next use finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
