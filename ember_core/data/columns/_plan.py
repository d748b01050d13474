"""Plan of a column: from its profile to the block that turns it into features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ._blocks import Block, CategoryBlock, NumberBlock, TextBlock, TimeBlock
from ._encoders import HashEncoder, OneHotEncoder, OrdinalEncoder, TargetEncoder
from ._profile import ColumnType, Profile
from ._scalers import Imputer, MinMaxScaler, RobustScaler, Scaler, StandardScaler

SCALERS: dict[str, type[Scaler] | None] = {
    "standard": StandardScaler,
    "robust": RobustScaler,
    "minmax": MinMaxScaler,
    "none": None,
}
CATEGORICAL = ("onehot", "ordinal", "hash", "target")
DATETIME = ("cyclical", "components", "both")
TEXT = ("basic", "hash", "both")


@dataclass(frozen=True)
class ColumnReport:
    """Report of a column: its type, values seen in training and resulting features."""

    column: str
    root: str
    """The table's own column, where it is a field of a struct; else the same."""
    type: ColumnType
    missing: float
    """Share of rows without a value, 0 to 1."""
    distinct: int
    """Distinct values, as far as they were followed (2,048 numbers, 100,000 texts)."""
    constant: bool
    """Whether all values are the same."""
    used: bool
    """Whether it gives features."""
    why: str
    """Why not, or how."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Choices:
    """Choices of how columns of each type become features; arguments of `ColumnFeatures`."""

    numeric: str
    impute: Any
    fill_value: float
    categorical: str
    datetime: str
    text: str
    null_threshold: float
    drop_constant: bool
    max_categories: int
    n_hash: int
    smoothing: float
    indicate_missing: bool
    handle_unknown: Any

    def check(self) -> None:
        """Refuse values that are none of the choices.

        Raises:
            ValueError: With the choices there are.
        """
        for name, allowed in (
            ("numeric", tuple(SCALERS)),
            ("categorical", CATEGORICAL),
            ("datetime", DATETIME),
            ("text", TEXT),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"Unknown choice. Expected {name} to be one of {', '.join(allowed)}. "
                    f"Received: {name}={getattr(self, name)!r}."
                )
        Imputer(self.impute)
        OneHotEncoder(handle_unknown=self.handle_unknown)
        if not (0 <= self.null_threshold <= 1 and self.max_categories >= 1 and self.n_hash >= 1):
            raise ValueError(
                "Unknown choice. Expected null_threshold in [0, 1], max_categories >= 1 and "
                f"n_hash >= 1. Received: null_threshold={self.null_threshold}, "
                f"max_categories={self.max_categories}, n_hash={self.n_hash}."
            )

    @property
    def quantiles(self) -> bool:
        """True where quantiles are needed."""
        return self.numeric == "robust" or self.impute in ("median", "forward")

    def scaler(self) -> Scaler | None:
        """A fresh scaler, or none."""
        kind = SCALERS[self.numeric]
        return None if kind is None else kind()


def plan(
    profile: Profile, root: str, choices: Choices, prior: float | None
) -> tuple[ColumnReport, Block | None]:
    """Decide a column's type and make its block.

    Args:
        profile: Profile of the column from one pass.
        root: Column of the table it is derived from.
        choices: Features of each type.
        prior: The target's mean; None without a target.
    """
    kind = profile.type()
    missing = profile.missing / max(profile.rows, 1)
    refusal = _refused(profile, kind, missing, choices)
    block = None if refusal else _block(profile, kind, choices, prior)
    report = ColumnReport(
        column=profile.name,
        root=root,
        type=kind,
        missing=missing,
        distinct=profile.distinct(),
        constant=profile.constant(),
        used=block is not None,
        why=refusal or _how(block),
    )
    return report, block


def _refused(profile: Profile, kind: str, missing: float, choices: Choices) -> str:
    if kind == "empty" or not profile.present:
        return "no row has a value"
    if kind == "unsupported":
        return "it holds lists or objects"
    if kind == "identifier":
        return "it names rows: nearly every value is its own"
    if missing > choices.null_threshold:
        return f"{100 * missing:.1f} % of the rows have no value"
    if (
        choices.drop_constant
        and profile.constant()
        and not (choices.indicate_missing and missing > 0)
    ):
        return "every value is the same"
    return ""


def _how(block: Block | None) -> str:
    if isinstance(block, CategoryBlock):
        return type(block.encoder).__name__
    return type(block).__name__.removesuffix("Block").lower()


def _block(profile: Profile, kind: str, choices: Choices, prior: float | None) -> Block:
    name = profile.name
    if kind == "boolean":
        imputer = Imputer("most_frequent").fit_stats(profile.stats, [profile.numbers])
        return NumberBlock(name, imputer, indicate=choices.indicate_missing)
    if kind == "numeric":
        imputer = Imputer(choices.impute, fill_value=choices.fill_value)
        imputer.fit_stats(profile.stats, [profile.numbers])
        scaler = choices.scaler()
        if scaler is not None:
            scaler.fit_stats(imputer.statistics(profile.stats))
        return NumberBlock(name, imputer, scaler, indicate=choices.indicate_missing)
    if kind == "datetime":
        if choices.datetime == "cyclical":
            return TimeBlock(name)
        imputer = Imputer("mean").fit_stats(profile.times, [])
        scaler = choices.scaler()
        if scaler is not None:
            scaler.fit_stats(imputer.statistics(profile.times))
        return TimeBlock(name, cycles=choices.datetime == "both", imputer=imputer, scaler=scaler)
    if kind == "text":
        basics, width = choices.text != "hash", choices.n_hash if choices.text != "basic" else 0
        scaler = choices.scaler() if basics else None
        if scaler is not None:
            scaler.fit_stats(profile.text_stats().observed())
        return TextBlock(name, basics=basics, scaler=scaler, width=width)
    return CategoryBlock(name, _encoder(profile, choices, prior))


def _encoder(profile: Profile, choices: Choices, prior: float | None) -> Any:
    levels = profile.categories()
    unknown = choices.handle_unknown
    if choices.categorical == "target" and prior is not None:
        encoder = TargetEncoder(choices.smoothing, handle_unknown=unknown)
        return encoder.fit_levels(levels, prior)
    if choices.categorical == "ordinal":
        return OrdinalEncoder(levels.top(levels.distinct), handle_unknown=unknown)
    too_many = levels.distinct > choices.max_categories or levels.overflowed
    if choices.categorical == "hash" or too_many:
        return HashEncoder(choices.n_hash)
    categories = levels.top(choices.max_categories)
    return OneHotEncoder(categories, handle_unknown=unknown, missing=profile.missing > 0)
