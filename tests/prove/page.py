"""The results that are kept, as tables for docs/proofs.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import table

from .frame import FOLDER, PROOFS

TABLES = ("proofs", "disturbances", "bugs", "fuzzing", "survivors")
"""Parts of the page."""

_DISTURBANCES = {
    "kill": "SIGKILL at a random moment",
    "join_and_leave": "a second worker joins, works and leaves",
    "restart_broker": "the broker ends (in turn by SIGTERM and SIGKILL) and comes back",
    "upgrade": "the group changes its release, one worker after another, and back the next time",
    "change_rules": "rules of operators change, every other time while nobody works",
    "suspend": "SIGSTOP beyond the session, another takes over, SIGCONT",
    "zombies_that_ended_themselves": "of these, the suspended worker ended by itself",
    "zombies_that_were_fenced": "of these, it said that it was fenced",
    "recoveries_from_the_log_alone": "killed, and nothing left on its disk",
    "cleaned_records": "records that the cleaner was seen to take out of the changelog",
}


def kept() -> dict[str, Any]:
    """All results by their file's name."""
    paths = sorted(FOLDER.glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def part(name: str, results: Mapping[str, Any]) -> str:
    """A table in Markdown."""
    head, rows = {
        "proofs": (("proof", "claim", "what ran", "holds"), _proofs),
        "disturbances": (("disturbance", *_series(results)), _disturbances),
        "bugs": (("bug", "found after schedules"), _bugs),
        "fuzzing": (("target", "inputs", "past the first stage", "growth, MiB"), _fuzzing),
        "survivors": (("change", "why it cannot be seen here"), _survivors),
    }[name]
    if all(result["proof"] != _MADE_BY[name] for result in results.values()):
        return f'No result is kept yet: `make prove ARGS="{_MADE_BY[name]} --save"` makes one.\n'
    return table(head, rows(results))


_MADE_BY = {
    "proofs": "simulation",
    "disturbances": "series",
    "bugs": "simulation",
    "fuzzing": "fuzz",
    "survivors": "mutants",
}


def _series(results: Mapping[str, Any]) -> list[str]:
    found = [r for r in results.values() if r["proof"] == "series"]
    return [_guarantee(r) for r in found]


def _guarantee(result: Mapping[str, Any]) -> str:
    rekeyed = ", re-keyed" if result["settings"].get("rekeyed") else ""
    rules = ", with changes of rules" if result["settings"].get("rules") else ""
    upgrades = ", with upgrades" if result["settings"].get("upgrades") else ""
    return result["guarantee"].replace("_", " ") + rekeyed + rules + upgrades


def _proofs(results: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, result in results.items():
        ran = _RAN[result["proof"]](result)
        claim = PROOFS[result["proof"]].claim
        took = _time(result["seconds"]) + _at(result["machine"].get("commit", ""))
        yield [f"`{name}`", claim, f"{ran}; {took}", _yes(result["holds"])]


_RAN = {
    "simulation": lambda r: (
        f"{r['schedules']:,} schedules, {r['deaths']:,} deaths, {r['violations']} violations; "
        f"about {r['schedules'] / r['seconds']:.0f} schedules a second in "
        f"{r['settings']['processes']} processes"
    ),
    "mutants": lambda r: (
        f"{r['mutants']} changes, {r['noticed']} noticed, {len(r['survivors'])} explained"
    ),
    "series": lambda r: (
        f"{r['records']:,} records of {r['rows']:,} keys, {r['events']:,} events "
        f"({r['repeated_events']:,} repeated), {_guarantee(r)}"
    ),
    "reading": lambda r: (
        f"{r['cases']:,} files, {r['rows']:,} rows, {r['refused_files']:,} files refused"
    ),
    "fuzz": lambda r: (
        f"{r['inputs']:,} inputs, {r['past_the_first_stage']:.0%} past the first stage"
    ),
    "functions": lambda r: (
        f"{sum(r['values'].values()):,} values of {', '.join(r['values'])}; "
        f"{sum(r['close'].values())} close to where the rounding tips"
    ),
    "soak": lambda r: (
        f"{r['minutes']:.0f} minutes at {_load(r)}: "
        f"{r['resident_mib_last']:.0f} MiB, {r['resident_mib_a_minute']:+.2f} MiB a minute, "
        f"longest lag {r['longest_lag_seconds']:.1f} s, {len(r['warnings'])} warnings"
    ),
}


def _load(result: Mapping[str, Any]) -> str:
    if "most_per_second" not in result:
        return f"{result['settings']['per_second']:,.0f} records/s"
    share = f"{result['settings']['share']:.0%} of the {result['most_per_second']:,}"
    return f"{result['per_second']:,} records/s ({share} that this machine does)"


def _disturbances(results: Mapping[str, Any]) -> Iterator[list[str]]:
    found = [r["disturbances"] for r in results.values() if r["proof"] == "series"]
    for name, text in _DISTURBANCES.items():
        yield [text, *(f"{r[name]:,}" if name in r else "-" for r in found)]


def _bugs(results: Mapping[str, Any]) -> Iterator[list[str]]:
    for result in results.values():
        for bug, after in result.get("bugs_found_after_schedules", {}).items():
            yield [bug.replace("_", " "), f"{after:,}" if after else "not found"]


def _fuzzing(results: Mapping[str, Any]) -> Iterator[list[str]]:
    for result in results.values():
        for name, r in result.get("targets", {}).items():
            share = f"{r['past_the_first_stage']:.0%}"
            yield [name, f"{r['inputs']:,}", share, f"{r['growth_mib']:.1f}"]


def _survivors(results: Mapping[str, Any]) -> Iterator[list[str]]:
    for result in results.values():
        for change, why in result.get("survivors", {}).items():
            yield [change.replace("|", "\\|"), why]


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} s"


def _at(commit: str) -> str:
    """Where a result says of which commit it is."""
    head, _, dirty = commit.partition(" ")
    return f"; at `{head[:10]}`{', changed' if dirty else ''}" if head else ""


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"
