"""Expectations of a model: pages, reach, and the faults that it would catch."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

from ember_core.pipeline import FleetModel, GroupMotor
from ember_core.pipeline.fit import USUAL_BUDGET, expected_pages

from .errors import UserError
from .thresholds import page_rates

CAUGHT: Final = 0.9
"""Share of the faults of a size from which on a kind counts as caught."""
SIZE_SHOWN: Final = 3.0
"""Size of which the share is told, in usual ranges."""


def require_reach(model: FleetModel, budget: str) -> None:
    """Refuse a threshold that no fault can reach.

    Args:
        model: The model, with its threshold.
        budget: The budget that it follows from, in words.

    Raises:
        UserError: If training has found that no evidence reaches it.
    """
    reach = (model.report.get("faults") or {}).get("reach")
    threshold = model.pipeline.motor.on
    if reach is None or isinstance(model.pipeline.motor, GroupMotor) or reach["all"] >= threshold:
        return
    raise UserError(
        f"A budget of {budget} can never fire: it needs an evidence of {threshold:.2f}, and "
        f"faults of all channels reach {reach['all']:.2f}. Expected a larger budget, or a longer "
        "history to train on."
    )


def expectations(model: FleetModel) -> dict[str, Any]:
    """Return what to expect of a model at its threshold, as JSON values."""
    report, motor = model.report, model.pipeline.motor
    out: dict[str, Any] = {"on": motor.on, "pages_per_key_day": expected_pages(model)}
    rates = page_rates(model)
    if isinstance(motor, GroupMotor) and rates is not None:
        level = min(rates.level(USUAL_BUDGET), rates.reachable)
        out["default"] = {"on": level, "pages_per_key_day": rates.pages_at(level)}
    elif report.get("calibration"):
        level = report["calibration"]["level"]
        out["default"] = {"on": level, "pages_per_key_day": expected_pages(model, level)}
    faults = report.get("faults")
    if faults:
        out["reach"] = faults["reach"]
        out["faults"] = {
            kind: {
                "caught_from": _caught_from(sizes, motor.on, faults["on"]),
                "caught": {
                    "any" if entry["size"] is None else f"{entry['size']:g}": _share(
                        entry, motor.on, faults["on"]
                    )
                    for entry in sizes
                },
            }
            for kind, sizes in faults["kinds"].items()
        }
    return out


def expectation_lines(model: FleetModel) -> list[str]:
    """Return what to expect of a model, as lines of text."""
    values, report = expectations(model), model.report
    text = f"{_rate(values['pages_per_key_day'])} per key and day to expect at this threshold"
    if default := values.get("default"):
        text += (
            f"; {_rate(default['pages_per_key_day'])} by the default, a threshold of "
            f"{default['on']:.2f}"
        )
    lines = [f"Pages: {text}."]
    if "faults" not in report:
        return lines
    faults = report["faults"]
    if not faults:
        return [*lines, "Faults: no key has enough rows to put some into."]
    reach = values["reach"]
    text = f"a single channel can reach {reach['channel']:.2f}"
    if reach["channel"] < values["on"]:
        text += f", all together {reach['all']:.2f}: no fault of a single channel pages"
    lines.append(f"Largest evidence: {text}.")
    lines.append(
        f"Faults put into {faults['moments']:,} moments of {faults['keys']:,} keys, for "
        f"{faults['rows']:,} rows each. One is as large as the range of 9 in 10 values:"
    )
    lines.append(f"  {'fault':<20}{'9 in 10 caught':>16}{'caught at 3 ranges':>20}")
    for kind, figures in values["faults"].items():
        shares = figures["caught"]
        share = shares.get(f"{SIZE_SHOWN:g}", shares.get("any"))
        has_size = "any" not in shares
        smallest = figures["caught_from"]
        if not has_size:
            start = "yes" if smallest is not None else "no"
        else:
            start = "at no size" if smallest is None else f"from {smallest:g} ranges"
        lines.append(f"  {kind:<20}{start:>16}{'' if share is None else f'{share:.0%}':>20}")
    return lines


def caught_text(model: FleetModel) -> str:
    """Return the kinds of faults that a model catches, and from which size, in one line."""
    faults = expectations(model).get("faults", {})
    caught_kinds, missed_kinds = [], []
    for kind, figures in faults.items():
        smallest = figures["caught_from"]
        if smallest is None:
            missed_kinds.append(kind)
        else:
            caught_kinds.append(f"{kind} from {smallest:g} usual ranges" if smallest else kind)
    parts = [f"catches 9 in 10 of: {', '.join(caught_kinds)}"] if caught_kinds else []
    parts += [f"fewer of: {', '.join(missed_kinds)}"] if missed_kinds else []
    return "; ".join(parts)


def _caught_from(sizes: list[dict[str, Any]], on: float, measured_on: float) -> float | None:
    """Return the smallest size from which on 9 in 10 are caught; 0 for kinds without a size."""
    smallest = None
    for entry in reversed(sizes):
        if _share(entry, on, measured_on) < CAUGHT:
            break
        smallest = entry["size"] or 0.0
    return smallest


def _share(entry: dict[str, Any], on: float, measured_on: float) -> float:
    """Return the share of faults that page at a threshold.

    At that of the training it was counted with the motor neuron. At another one it follows from
    the largest evidence of the faults.
    """
    if abs(on - measured_on) < 1e-6 or not isfinite(measured_on):
        return float(entry["caught"] / entry["faults"])
    levels = entry["evidence"]
    return float(sum(level >= on for level in levels) / len(levels))


def _rate(pages: float) -> str:
    return f"{pages:,.0f}" if pages >= 10.0 else f"{pages:.2g}"
