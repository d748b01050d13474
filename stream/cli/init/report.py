"""Report of `ember init`: the choices, the channels by kind, and the next command."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.output import clean, shortened

from .channels import MEANINGS, Kind
from .plan import Plan

_SHOWN: Final = 3
_WIDTH: Final = 120


def print_plan(plan: Plan, out: Path | None, *, to_stderr: bool) -> None:
    """Print the choices with their reasons, and the next command.

    Args:
        plan: The choices.
        out: Settings file that was written; None: it was printed.
        to_stderr: True where stdout has the settings.
    """
    console = Console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")
    for decision in plan.decisions:
        table.add_row(decision.about, Text(clean(decision.choice)), Text(clean(decision.reason)))
    for kind, names in _by_kind(plan).items():
        count = f"{len(names)} {kind.removesuffix('?')}" + ("?" if kind.endswith("?") else "")
        table.add_row("channels", count, Text(f"{MEANINGS[kind]}: {shortened(names, _SHOWN)}"))
    console.print(table)
    for check in plan.findings:
        console.print(Text(f"! {clean(check.name)}: {clean(check.detail)}\n    {check.fix}"))
    for line in next_lines(plan, out):
        console.print(Text(line), soft_wrap=True)


def next_lines(plan: Plan, out: Path | None) -> list[str]:
    """Return the sentence about the file, and the next command."""
    path = out or Path("ember.toml")
    lines = [f"Wrote {out}."] if out else []
    since_option = " --since 14d" if plan.data.startswith("kafka:") else ""
    config = "" if str(path) == "ember.toml" else f" --config {shlex.quote(str(path))}"
    return [*lines, f"Next: ember train {plan.data}{since_option}{config} --out model"]


def as_json(plan: Plan, out: Path) -> dict[str, Any]:
    """Return the choices as one object."""
    return {
        "out": str(out),
        "source": plan.source,
        "input": plan.input,
        "window": plan.window,
        "decisions": [
            {"about": decision.about, "choice": decision.choice, "reason": decision.reason}
            for decision in plan.decisions
        ],
        "channels": [
            {"name": f.name, "share": round(f.share, 4), "kind": f.kind, "use": f.use or "value"}
            for f in plan.channels
        ],
        "texts": list(plan.texts),
        "findings": [check.as_json() for check in plan.findings],
        "next": next_lines(plan, out)[-1].removeprefix("Next: "),
    }


def _by_kind(plan: Plan) -> dict[Kind, list[str]]:
    counts = Counter(fact.kind for fact in plan.channels)
    return {
        kind: [fact.name for fact in plan.channels if fact.kind == kind]
        for kind, _ in counts.most_common()
    }
