"""What the thresholds of a model mean to an operator."""

from __future__ import annotations

from ember_core.pipeline import FleetModel, GroupMotor, PageRates


def episode_text(model: FleetModel) -> str:
    """Return when an episode begins and ends, and how often to expect that, in one line."""
    motor = model.pipeline.motor
    if not isinstance(motor, GroupMotor):
        return (
            f"fires at evidence {motor.on:.2f}, resolves below {motor.off:.2f}; leaks over "
            f"{motor.time_constant_rows:g} rows, {motor.refractory_rows} rows of rest"
        )
    text = f"fires at severity {motor.on:.2f} ({once_in(motor.on)} of a key)"
    rates = page_rates(model)
    if rates is None:
        return text
    pages = 30.0 * rates.pages_at(motor.on)
    return (
        f"{text}; expected pages per key and month: {pages:.2g}; evidence can reach "
        f"{rates.reachable:.2f}"
    )


def page_rates(model: FleetModel) -> PageRates | None:
    """Return the pages of a model's history by threshold; None where it has none."""
    pages = model.report.get("pages")
    return None if pages is None else PageRates.from_json(pages)


def once_in(severity: float) -> str:
    """Express a severity in days of a key."""
    days = 10.0**severity
    return f"once in {days:,.0f} days" if days >= 1 else f"{1 / days:,.0f} times in a day"
