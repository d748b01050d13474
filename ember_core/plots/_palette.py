"""Colours of the pictures: Okabe and Ito's, which colour-blind eyes tell apart, on two papers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours of one theme, as CSS hexadecimal text.

    Attributes:
        paper: Background.
        ink: Text, and the curve that matters most.
        soft: Text of ticks, axes.
        grid: Grid.
        value: Measured values.
        band: Usual band, drawn half transparent.
        usual: Usual values.
        episode: Episodes, thresholds, and the end of a scale that is bad.
        quiet: Curves in the background.
        excite: Synapses that excite.
        inhibit: Synapses that inhibit.
        layers: Neurons by layer.
        curves: Further curves, in their order.
        heat: Name of matplotlib's colour map of sizes.
        signed: Name of its colour map of values around 0.
    """

    paper: str
    ink: str
    soft: str
    grid: str
    value: str
    band: str
    usual: str
    episode: str
    quiet: str
    excite: str
    inhibit: str
    layers: dict[str, str]
    curves: tuple[str, ...]
    heat: str
    signed: str = "PuOr_r"


LIGHT = Palette(
    paper="#ffffff",
    ink="#1a1d21",
    soft="#5b6470",
    grid="#e4e7eb",
    value="#0072b2",
    band="#56b4e9",
    usual="#3d7ea6",
    episode="#d55e00",
    quiet="#a9b3c1",
    excite="#009e73",
    inhibit="#d55e00",
    layers={"sensory": "#6b7683", "inter": "#0072b2", "command": "#8a63d2", "motor": "#b36b00"},
    curves=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b36b00", "#5b6470"),
    heat="YlOrBr",
)
DARK = Palette(
    paper="#16181c",
    ink="#f0f1f3",
    soft="#a7afba",
    grid="#2e333b",
    value="#7cc4f5",
    band="#56b4e9",
    usual="#9bcbe8",
    episode="#ff8a4c",
    quiet="#5d6774",
    excite="#2fc79b",
    inhibit="#ff8a4c",
    layers={"sensory": "#8c97a4", "inter": "#56b4e9", "command": "#b79bf0", "motor": "#e69f00"},
    curves=("#56b4e9", "#ff8a4c", "#2fc79b", "#e69ac4", "#e69f00", "#a7afba"),
    heat="cividis",
)


def palette(dark: bool) -> Palette:
    """Return the colours of a theme."""
    return DARK if dark else LIGHT
