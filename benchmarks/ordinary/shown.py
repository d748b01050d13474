"""The result for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COLUMNS = {"false/d": 8, "paged": 9, "true": 6, "named": 6, "hidden": 8, "delay": 7, "resolve": 8}
_HEAD = " " * 44 + "".join(f"{name:>{width}}" for name, width in _COLUMNS.items())


def lines(result: Mapping[str, Any]) -> list[str]:
    """A table per fleet: a line for each detector and budget."""
    out: list[str] = []
    for fleet in result["fleets"]:
        use = f", seed for {fleet['seed_is_for']}" if fleet["seed_is_for"] else ""
        out += ["", f"{fleet['variant']} {fleet['seed']} ({fleet['keys']} keys{use})", _HEAD]
        for name, budgets in fleet["detectors"].items():
            for budget, row in budgets.items():
                out.append(_line(f"  {name} at {budget}", row))
                if "new_keys" in row:
                    out.append(_line("    of the new keys", row["new_keys"]))
    return out


def _line(label: str, row: Mapping[str, Any]) -> str:
    share_named = "" if row["named"] is None else row["named"]
    return (
        f"{label:44}{row['false_a_day']:>8.3f}{row['paged']:>5}/{row['faults']:<3}"
        f"{row.get('true_rate', ''):>6}{share_named:>6}"
        f"{row['hidden_paged']:>5}/{row['hidden']:<2}"
        f"{_minutes(row['delay_minutes']):>7}{_minutes(row['resolve_minutes']):>8}"
    )


def _minutes(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
