"""`ember doctor`: run all checks and print each finding with its fix."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from stream.cli.options import ClusterArgs, ClusterOptions
from stream.cli.output import message, print_json
from stream.errors import UserError
from stream.preflight import find_mistakes
from stream.settings import Settings
from stream.tools import clients

from .cluster_checks import CLUSTER_CHECKS
from .evidence import AllModels, Model
from .findings import Check, Cluster
from .remote_write_check import remote_write
from .sample import sample

if TYPE_CHECKING:
    from ember_core.pipeline import FleetModel

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
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Check broker, topics, records, model and group, and name the fix of every problem.

    Nothing is changed in the cluster. A store of the section remote_write gets two samples, if the
    section is there. The exit code is 1 if the service cannot run without a fix.

    Args:
        json: Print one JSON object: ok, and the checks.
        model: Folder of the model bundle. Default: model.path.
        cluster: Kafka cluster.
    """
    settings = cluster.settings(model={"path": model})
    console = Console(highlight=False, soft_wrap=True)
    checks: list[Check] = []
    for check in examine(settings):
        checks.append(check)
        if not json:
            console.print(_line(check))
    failed = sum(check.status == "fail" for check in checks)
    if json:
        answer = {"ok": not failed, "checks": [check.as_json() for check in checks]}
        print_json(answer)
    elif failed:
        message(f"{failed} of {len(checks)} checks failed.")
    if failed:
        sys.exit(1)


def examine(settings: Settings) -> Iterator[Check]:
    """Run all checks in order, and yield each finding at once."""
    for mistake in find_mistakes(settings):
        yield Check("settings", "fail", mistake)
    checks, model = _models(settings)
    yield from checks
    yield from remote_write(settings)
    try:
        metadata = clients.fetch_metadata(settings.kafka, _BROKER_SECONDS)
    except UserError as error:
        # The last sentence of an error is the fix.
        detail, _, fix = error.message.rpartition(". ")
        yield Check("broker", "fail", f"{detail}.", fix)
        return
    cluster = Cluster(settings, metadata)
    for check_cluster in CLUSTER_CHECKS:
        try:
            yield from check_cluster(cluster)
        except UserError as error:  # a broker that does not answer; the other checks may
            detail, _, fix = error.message.rpartition(". ")
            yield Check(check_cluster.__name__, "fail", f"{detail}.", fix)
            if isinstance(error, clients.UnreachableError):
                # Their leaders would be asked in vain for most of a minute.
                yield Check("records", "skip", "Not looked at: a broker does not answer.")
                return
    yield from sample(cluster, model)


def _models(settings: Settings) -> tuple[list[Check], Model | None]:
    """Return a finding on each model of the settings, and what the other checks need of them."""
    from stream.configure import NoModelError, load_models, models_of

    name = f"model {settings.model_topic or settings.model.path}"
    try:
        models = load_models(settings)
    except (UserError, OSError) as error:
        if isinstance(error, NoModelError) and settings.learn.enabled:
            detail = "There is no model yet: the workers train one (learn.enabled)."
            fix = "/readyz of a worker says how far it is."
            return [Check(name, "warn", detail, fix)], None
        fix = "Train one (`ember train DATA... --out DIR`), or set model.path or --model."
        if settings.model.profiles:
            name = "models of model.profiles"
        if settings.model_topic:
            fix = "Train one (`ember train DATA... --out DIR`), and `ember model deploy DIR`."
        return [Check(name, "fail", str(error), fix)], None
    by_profile = models_of(models)
    checks = [
        _about(f"model of {pattern}" if pattern else name, model, settings)
        for pattern, model in by_profile.items()
    ]
    return checks, AllModels.of(models.sources, models.keys, by_profile.values())


def _about(name: str, model: FleetModel, settings: Settings) -> Check:
    from stream.channel_rules import contradictions
    from stream.expectations import caught_text
    from stream.thresholds import episode_text

    detail = f"{model.name} {model.version}: {len(model.channels)} channels, "
    if differs := contradictions(model.recipe, model.channels, settings.channels.rules):
        fix = "Train again, or take the rules of `ember model show` over into the settings."
        return Check(name, "warn", f"{detail}{len(model.keys)} keys. {differs}", fix)
    text = "; ".join(filter(None, (episode_text(model), caught_text(model))))
    return Check(name, "ok", f"{detail}{len(model.keys)} keys; {text}.")


def _line(check: Check) -> Text:
    mark, style = _MARKS[check.status]
    line = Text()
    line.append(f"{mark} ", style)
    line.append(f"{check.name}: ", "bold")
    line.append(check.detail)
    if check.fix:
        line.append(f"\n    {check.fix}", "cyan")
    return line
