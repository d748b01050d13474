"""`ember doctor`: what is wrong, and the mend."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from stream.errors import UserError
from stream.settings import Settings
from stream.tools import clients

from .cluster_checks import CLUSTER_CHECKS
from .findings import Check, Cluster
from .sample import sample

_BROKER_SECONDS = 5.0
_MARKS = {
    "ok": ("\u2713", "green"),
    "warn": ("!", "yellow"),
    "fail": ("\u2717", "bold red"),
    "skip": ("-", "dim"),
}


def doctor(
    *,
    json: bool = False,
    model: Path | None = None,
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Check broker, topics, records, model and group, and say how to mend what is wrong.

    Nothing is changed. Ends with 1 when something must be mended before the service can run.

    Args:
        json: Print one JSON object: ok, and the checks.
        model: Folder of the model bundle; default model.path.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    settings = Settings.load(
        config, kafka={"bootstrap_servers": bootstrap_servers}, model={"path": model}
    )
    console = Console(highlight=False, soft_wrap=True)
    checks: list[Check] = []
    for check in examine(settings):
        checks.append(check)
        if not json:
            console.print(_line(check))
    failed = sum(check.status == "fail" for check in checks)
    if json:
        answer = {"ok": not failed, "checks": [check.as_json() for check in checks]}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    elif failed:
        sys.stderr.write(f"{failed} of {len(checks)} checks failed.\n")
    if failed:
        sys.exit(1)


def examine(settings: Settings) -> Iterator[Check]:
    """All checks in order, each as soon as it is known."""
    check, channels = _model(settings)
    yield check
    try:
        metadata = clients.fetch_metadata(settings.kafka, _BROKER_SECONDS)
    except UserError as error:
        what, _, mend = error.message.rpartition(". ")
        yield Check("broker", "fail", f"{what}.", mend)
        return
    cluster = Cluster(settings, metadata)
    for ask in CLUSTER_CHECKS:
        yield from ask(cluster)
    yield from sample(cluster, channels, int(time.time() * 1000))


def _model(settings: Settings) -> tuple[Check, Sequence[str] | None]:
    from stream.configure import load_model

    name = f"model {settings.model.path}"
    try:
        found = load_model(settings)
    except (UserError, OSError) as error:
        mend = "Train one (`ember train DATA... --out DIR`), or set model.path or --model."
        return Check(name, "fail", str(error), mend), None
    detail = f"{found.name} {found.version}: {len(found.channels)} channels, "
    return Check(name, "ok", f"{detail}{len(found.keys)} keys."), found.channels


def _line(check: Check) -> Text:
    mark, style = _MARKS[check.status]
    line = Text()
    line.append(f"{mark} ", style)
    line.append(f"{check.name}: ", "bold")
    line.append(check.detail)
    if check.mend:
        line.append(f"\n    {check.mend}", "cyan")
    return line
