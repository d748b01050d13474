"""A fitted pipeline with the first state of each key, and the bundle that holds both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ember_core import ops
from ember_core.rows import RowRecipe
from ember_core.serialize import (
    BundleError,
    bundle_digest,
    card_digest,
    load_bundle,
    save_bundle,
)

from .arguments import as_key, require_positive
from .bands import Bands
from .config import ADJUSTABLE
from .group_motor import GroupMotor
from .motor import Calibration, MotorNeuron
from .page_rates import PageRates
from .pauses import Pauses
from .pipeline import Pipeline
from .stage import Role, State, names_with, zero_state

_BUNDLE_NAMES = {"visible.whitener": "whitener"}
"""Weights that bundles hold under an older name."""


_ADDED = (
    *("arrival.confidence", "arrival.tail_rows"),
    *("normaliser.mean_rows", "normaliser.least", "normaliser.most"),
    *("channels.level_rows", "channels.level_least", "channels.level_most", "channels.widening"),
)
"""Weights that bundles of earlier versions have not: a key never seen warms up without them."""

_FOREIGN = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""Errors that follow from a card whose values are not those that `save` writes."""


_SIZES = (
    "hidden",
    "rbm_hidden",
    "window_size",
    "harmonics",
    "strides",
    "horizons",
    "residuals",
)
"""Settings of a pipeline that memory grows with."""


@dataclass
class FleetModel:
    """Weights and thresholds of a fleet, and the first state of each of its keys.

    Attributes:
        pipeline: The chain; its weights are shared by all keys.
        keys: Keys seen in training.
        key_state: First state of each, fields of shape `(K, ...)`.
        new_state: First state of a key never seen, fields of shape `(1, ...)`.
        report: Results of training: digest of the data, figures, thresholds.
        name: Name of the bundle.
        version: Version of the bundle, as the user counts.
        recipe: How the channels of a row come from the samples; None: as they stand there.
        sha256: Digest of the bundle, of its card, which holds that of the arrays; empty until saved
            or loaded.
        pauses: Usual pauses of the keys; None: none was seen.
        bands: Bands that keys begin with; None in bundles of earlier versions: those of noise.

    Raises:
        ValueError: If a key is there twice, or has no state.
    """

    pipeline: Pipeline
    keys: list[bytes]
    key_state: State
    new_state: State
    report: dict[str, Any] = field(default_factory=dict)
    name: str = "model"
    version: str = "1"
    sha256: str = ""
    recipe: RowRecipe | None = None
    pauses: Pauses | None = None
    bands: Bands | None = None

    def __post_init__(self) -> None:
        """Refuse keys that do not belong to the states."""
        self.keys = [as_key(key) for key in self.keys]
        rows = {ops.shape(value)[0] for value in self.key_state.values()}
        if rows != {len(self.keys)} or len(set(self.keys)) < len(self.keys):
            raise ValueError(
                "Every key has one state. Expected different keys, and as many rows of states. "
                f"Received: {len(self.keys)} keys, {len(set(self.keys))} different ones, and "
                f"states of {sorted(rows)} rows."
            )
        if self.bands is not None and len(self.bands.known) != len(self.keys):
            raise ValueError(
                f"Every key has one band. Expected {len(self.keys)} bands. "
                f"Received: {len(self.bands.known)}. Choose those of the same keys."
            )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in column order."""
        return self.pipeline.config.channels

    @property
    def sources(self) -> tuple[str, ...]:
        """Names that are read from the records, in the order of a decoded sample."""
        return self.channels if self.recipe is None else self.recipe.sources

    @property
    def identity(self) -> tuple[str, ...]:
        """The channels, each with its recipe: what a key remembers counts for equal ones only."""
        return self.channels if self.recipe is None else self.recipe.identity

    def configure(
        self,
        *,
        budget_per_week: float | None = None,
        evidence_rows: float | None = None,
        refractory_rows: int | None = None,
        **config: Any,
    ) -> FleetModel:
        """Apply settings that need no training.

        Args:
            budget_per_week: False triggers accepted per key and week: sets the on-threshold.
            evidence_rows: Time constant of the evidence, in rows.
            refractory_rows: Rows without a new firing after a resolve.
            config: Fields of `PipelineConfig` that shape nothing: `warmup_score`,
                `warmup_alarm`, `quiet_rows`, `max_gap`, `anomaly_severity`.

        Returns:
            This model.

        Raises:
            ValueError: If a field of `config` shapes weights or state, or a number is out of range.
        """
        require_positive(budget_per_week=budget_per_week, evidence_rows=evidence_rows)
        if not config.keys() <= set(ADJUSTABLE):
            raise ValueError(
                f"These fields are fixed by training. Expected some of {sorted(ADJUSTABLE)}. "
                f"Received: {sorted(config.keys() - set(ADJUSTABLE))}."
            )
        for name, value in {"refractory_rows": refractory_rows, **config}.items():
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must not be negative. Received: {name}={value}.")
        p = self.pipeline
        p.config = replace(p.config, **config)
        if isinstance(p.motor, GroupMotor):
            return self._configure_groups(budget_per_week, refractory_rows)
        motor = p.motor.get_config()
        if evidence_rows is not None:
            motor["time_constant_rows"] = evidence_rows
        if refractory_rows is not None:
            motor["refractory_rows"] = refractory_rows
        if budget_per_week is not None and "calibration" in self.report:
            motor["on"] = Calibration(**self.report["calibration"]).at_budget(budget_per_week)
        p.motor = MotorNeuron(**motor)
        return self

    def _configure_groups(
        self, budget_per_week: float | None, refractory_rows: int | None
    ) -> FleetModel:
        motor = self.pipeline.motor.get_config()
        if refractory_rows is not None:
            motor["refractory_rows"] = refractory_rows
        if budget_per_week is not None and "pages" in self.report:
            rates = PageRates.from_json(self.report["pages"])
            motor["on"] = rates.checked_level(budget_per_week / 7.0)
        self.pipeline.motor = GroupMotor(**motor)
        return self

    def to(self, *, backend: str | None = None, device: str | None = None) -> FleetModel:
        """Move weights and states to another backend or device.

        Args:
            backend: `"numpy"`, `"torch"` or `"mlx"`; unchanged without one.
            device: A device of that backend; unchanged without one.

        Returns:
            This model, its pipeline ready for inference.

        Raises:
            ValueError: If there is no such backend or device.
            ImportError: If the backend's package is not installed.
        """
        self.pipeline.to(backend=backend, device=device).freeze()
        for state in (self.key_state, self.new_state):
            for name, value in state.items():
                state[name] = ops.to(value, backend=backend, device=device)
        return self

    def save(self, directory: str | Path) -> None:
        """Write the bundle: `model.safetensors` and `model.json`.

        Args:
            directory: Folder; made if it is not there.
        """
        p = self.pipeline
        arrays = {
            f"weights.{_BUNDLE_NAMES.get(name, name)}": ops.to_numpy(value)
            for name, value in p.state_dict().items()
        }
        learned = names_with(Role.LEARNED, p.state_fields())
        for prefix, state in (("key", self.key_state), ("new", self.new_state)):
            arrays |= {f"{prefix}.{name}": ops.to_numpy(state[name]) for name in learned}
        if self.pauses is not None:
            arrays |= {"key.pauses": self.pauses.longest, "key.pause_time": self.pauses.time_us}
        if self.bands is not None:
            arrays |= {"key.bands": self.bands.known, "new.bands": self.bands.new}
        card = {
            "name": self.name,
            "version": self.version,
            **p.get_config(),
            "keys": [_key_text(k) for k in self.keys],
            "report": self.report,
        }
        if self.recipe is not None:
            card["recipe"] = self.recipe.as_json()
        save_bundle(directory, arrays, card)
        self.sha256 = bundle_digest(directory)

    @classmethod
    def load(
        cls, directory: str | Path, *, backend: str | None = None, device: str | None = None
    ) -> FleetModel:
        """Read a bundle, on any backend.

        Args:
            directory: Folder of the bundle.
            backend: Backend of its arrays; the default one without it.
            device: Their device; the default one without it.

        Raises:
            BundleError: If it is missing, damaged, foreign, or of a newer format.
            ValueError: If there is no such backend or device.
        """
        with ops.default_backend(backend or ops.backend_name(), device):
            return cls._load(directory)

    @classmethod
    def _load(cls, directory: str | Path) -> FleetModel:
        arrays, card = load_bundle(directory)
        digest = card_digest(card)  # of the bytes read: the files may have changed since
        try:
            _check_sizes(card["config"], sum(value.size for value in arrays.values()))
            pipeline = Pipeline.from_config(card)
            names = {old: name for name, old in _BUNDLE_NAMES.items()}
            weights = {k[8:]: v for k, v in arrays.items() if k.startswith("weights.")}
            weights = {names.get(k, k): v for k, v in weights.items()}
            if not weights.keys() & set(_ADDED):
                weights |= {k: v for k, v in pipeline.state_dict().items() if k in _ADDED}
            pipeline.load_state_dict(weights)
            keys = [_key_bytes(k) for k in card["keys"]]
            states = []
            for prefix, batch in (("key", len(keys)), ("new", 1)):
                state = zero_state(pipeline.state_fields(), batch)
                for name in names_with(Role.LEARNED, pipeline.state_fields()):
                    state[name][...] = arrays[f"{prefix}.{name}"]
                states.append({n: ops.from_numpy(v) for n, v in state.items()})
            pipeline.freeze()
            pauses = None
            if "key.pauses" in arrays:
                pauses = Pauses(arrays["key.pauses"], arrays["key.pause_time"])
            bands = None
            if "key.bands" in arrays:
                bands = Bands(arrays["key.bands"], arrays["new.bands"])
            recipe = RowRecipe.from_json(card["recipe"]) if card.get("recipe") else None
            if recipe is not None and recipe.names != pipeline.config.channels:
                raise ValueError("the recipe makes other channels than the pipeline has")
            return cls(
                pipeline,
                keys,
                states[0],
                states[1],
                report=card.get("report", {}),
                name=str(card.get("name", "model")),
                version=str(card.get("version", "1")),
                sha256=digest,
                recipe=recipe,
                pauses=pauses,
                bands=bands,
            )
        except _FOREIGN as error:
            raise BundleError(
                f"The bundle does not hold a pipeline of this version. Received: {directory}: "
                f"{type(error).__name__}: {error}. Train it again with 'ember train'."
            ) from error


def _check_sizes(config: dict[str, Any], numbers: int) -> None:
    """Refuse sizes that the bundle's arrays cannot have, before memory is asked for them.

    Raises:
        ValueError: If a size is larger than the count of numbers in all arrays, or a flag is a
            number.
    """
    for name in ("levels", "clock_visible"):
        if not isinstance(config.get(name, True), bool):  # a number would be taken for a count
            raise ValueError(f"{name}={config[name]}, but it is true or false")
    for name in _SIZES:
        value = config.get(name, 0)
        for size in value if isinstance(value, list) else [value]:
            if size > numbers:
                raise ValueError(f"{name}={value}, but the arrays hold {numbers} numbers")


def _key_text(key: bytes) -> str:
    """Return a key as JSON can hold it: its text, or NUL and hexadecimal."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return "\0" + key.hex()
    return "\0" + key.hex() if text.startswith("\0") else text


def _key_bytes(text: str) -> bytes:
    """Return the key of a text from `_key_text`."""
    return bytes.fromhex(text[1:]) if text.startswith("\0") else text.encode()
