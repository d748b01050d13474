"""Configuration of a pipeline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

ADJUSTABLE: Final = (
    "anomaly_severity",
    "max_gap",
    "warmup_score",
    "warmup_alarm",
    "quiet_rows",
)
"""Fields of `PipelineConfig` that shape neither weights nor state.

They may change without training. Meta rows hold them in this order.
"""


@dataclass(frozen=True)
class PipelineConfig:
    """Shape and thresholds of a pipeline; times in the key's usual intervals or in rows.

    Attributes:
        channels: Names of the channels, in column order.
        evidence: `"joint"`: the score of all channels together decides. `"channels+joint"`: each
            channel's departure from its usual value at the time of the week decides too.
        windows: `"exponential"` (in time), `"dilated"` or `"hop"` (of rows).
        half_lives: Half-life of each exponential window, in usual intervals.
        strides: Stride of each window of rows.
        window_size: Rows in a window of rows.
        levels: Also use the moving averages (needed where levels matter).
        periods_seconds: Periods of the clock; found in training.
        harmonics: Harmonics of each period.
        clock_visible: Give the clock to the RBM too.
        hidden: Liquid neurons.
        horizons: Forecast horizons of the read-out, in rows; the first is the next row.
        residuals: Horizons whose residuals are visible units of the RBM. One row ahead makes
            little difference on complete records and helps where some are lost (ASD with half
            of the rows .46 to .48 VUS-PR); more horizons helped no set but one's keys.
        tau_max: Longest liquid time constant, in usual intervals.
        rbm_hidden: Hidden units of the RBM.
        whiten: Take the usual correlations out of the visible units first; the smallest
            eigenvalue that counts, 0 for no whitening. Makes a broken correlation visible where
            channels follow each other closely, and hides faults where they do not (ASD .48 to
            .37 VUS-PR).
        warmup_score: Rows before an unknown key is scored.
        warmup_alarm: Rows before an unknown key may alarm; its scales stand still after that.
        quiet_rows: Rows of any state, also a known key's, before it may alarm: windows and liquid
            network find their level first.
        max_gap: How long a missing channel is carried forward, in usual intervals.
        anomaly_severity: Severity from which a row is an anomaly.
        seed: Seed of all weights.

    Raises:
        ValueError: If there is no channel, or one is there twice.
    """

    channels: tuple[str, ...]
    evidence: str = "joint"
    windows: str = "exponential"
    half_lives: tuple[float, ...] = (1.5, 5.0, 15.0)
    strides: tuple[int, ...] = (1, 3, 5)
    window_size: int = 10
    levels: bool = True
    periods_seconds: tuple[float, ...] = ()
    harmonics: int = 2
    clock_visible: bool = True
    hidden: int = 32
    horizons: tuple[int, ...] = (1,)
    residuals: tuple[int, ...] = (1,)
    tau_max: float = 2880.0
    rbm_hidden: int = 128
    whiten: float = 0.0
    warmup_score: int = 500
    warmup_alarm: int = 2000
    quiet_rows: int = 128
    max_gap: float = 10.0
    anomaly_severity: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse channels that share a name."""
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(
                "A pipeline needs channels of different names. Expected one or more. "
                f"Received: channels={self.channels}."
            )

    def as_json(self) -> dict[str, Any]:
        """Return plain values for `model.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PipelineConfig:
        """Make a configuration from `as_json`."""
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**plain)
