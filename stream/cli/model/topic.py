"""Deploy and rollback by the model topic, and `ember model history`.

The newest bundle of the topic is the one in service, also for a worker that starts later. Workers
follow the topic, so nobody has to notify them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from ember_core.pipeline import FleetModel
from stream.cli.options import ClusterArgs, ClusterOptions
from stream.cli.output import clean, message, print_json
from stream.configure import bundle_source, load_model
from stream.errors import UserError
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.catalogue import Catalogue, Decided, Published
from stream.kafka.model_topic.manifest import ManifestError
from stream.kafka.model_topic.publisher import describe, publish, republished
from stream.kafka.model_topic.source import BundleSource, TopicBundle
from stream.settings import Settings
from stream.tools import clients

from .profile import require_profile
from .replacement import replacement

_SHORT = 12
_T = TypeVar("_T")


def deploy(settings: Settings, bundle: Path, *, note: str, force: bool, json: bool) -> None:
    """Publish a bundle in the model topic.

    Args:
        settings: Settings of the service.
        bundle: Folder of the bundle.
        note: Words of the user about it.
        force: Publish even if no channel is in both bundles.
        json: Print one JSON object.

    Raises:
        UserError: If the bundle is the one in service already, of other telemetry, or refused.
    """
    new = load_model(settings, bundle)
    manifest = describe(new, bundle, note)
    source = _source(settings)
    current = _run(settings, source.newest())
    old = _model(settings, current)
    if current is not None and current.manifest.digest == manifest.digest:
        # A bundle that was signed since is published again, for workers that require it.
        if current.manifest.signature == manifest.signature:
            raise UserError(
                f"The newest bundle of topic {settings.model_topic!r} is this one already."
            )
        old = None
    result = replacement(old, new, str(bundle), force=force)
    _run(settings, publish(WorkerConfig.from_settings(settings), manifest, bundle))
    _print(settings, result | {"topic": settings.model_topic}, json=json)


def rollback(settings: Settings, digest: str, *, note: str, json: bool) -> None:
    """Publish an earlier bundle of the model topic anew.

    Args:
        settings: Settings of the service.
        digest: Beginning of its digest; empty: that before the one in service.
        note: Words of the user; empty: those of the bundle stay.
        json: Print one JSON object.

    Raises:
        UserError: If there is no such bundle, or it cannot be used.
    """
    source = _source(settings)
    current, catalogue = _run(settings, _contents(source))
    published = _chosen(settings, catalogue, current, digest)
    try:
        folder = _run(settings, source.load(published))
    except ManifestError as error:
        raise UserError(
            f"The bundle {published.manifest.digest} cannot be used: {error}. Expected one of "
            "`ember model history` that is whole. Publish it from its folder."
        ) from None
    new, old = load_model(settings, folder), _model(settings, current)
    result = replacement(old, new, published.manifest.digest, force=True)
    manifest = republished(published.manifest, note)
    _run(settings, publish(WorkerConfig.from_settings(settings), manifest, None))
    _print(settings, result | {"topic": settings.model_topic}, json=json)


def history(
    *, profile: str = "", json: bool = False, cluster: ClusterArgs = ClusterOptions()
) -> None:
    """Show the bundles of the model topic, the last one first.

    With `learn.enabled` each candidate that the workers trained has its decision, with reasons and
    figures. One that the gate refused is `held back`: nobody takes it.

    Args:
        profile: Pattern of model.profiles whose bundles are shown. Default: the other keys.
        json: Print one JSON object.
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    require_profile(settings, profile)
    settings = settings.by_profile[profile]
    if not settings.model_topic:
        raise UserError(
            "There is no history of a bundle in a folder. Expected model.topic. Received: "
            f"model.path={str(settings.model.path)!r}. Set for example model.topic='<group>-model'."
        )
    current, catalogue = _run(settings, _contents(_source(settings)))
    lines = _lines(catalogue, current)
    if json:
        print_json({"topic": settings.model_topic, "bundles": lines})
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(_text(line))
        for text in _decision_texts(line.get("decision")):
            console.print(text)
    if not lines:
        message(
            f"Topic {settings.model_topic!r} has no bundle. `ember model deploy` publishes one."
        )


def _lines(catalogue: Catalogue, current: TopicBundle | None) -> list[dict[str, Any]]:
    """Return the published bundles and the refused candidates; the last one comes first."""
    decided = {d.decision.manifest.digest: d.decision for d in catalogue.decisions()}
    lines = [_line(published, catalogue, current) for published in catalogue.newest_first()]
    for line in lines:
        if line["digest"] in decided:
            line["decision"] = decided.pop(line["digest"]).body()
    lines += [
        _held_back_line(d)
        for d in catalogue.decisions()
        if d.decision.manifest.digest in decided and not d.decision.accepted
    ]
    return sorted(lines, key=lambda line: -line["offset"])


def _held_back_line(decided: Decided) -> dict[str, Any]:
    decision = decided.decision
    line = {"state": "held back", "offset": decided.offset} | decision.manifest.body()
    return line | {"decision": decision.body()}


def _decision_texts(decision: dict[str, Any] | None) -> list[Text]:
    """Return the reasons and the figures of a decision, a line each."""
    if decision is None:
        return []
    verdict = "accepted" if decision["accepted"] else "refused"
    texts = [f"{verdict}: {clean(reason)}" for reason in decision["reasons"]] or [verdict]
    figures = ", ".join(f"{clean(n)} {value:g}" for n, value in decision["figures"].items())
    return [Text(f"    {text}", "dim") for text in (*texts, figures) if text]


def _line(
    published: Published, catalogue: Catalogue, current: TopicBundle | None
) -> dict[str, Any]:
    manifest = published.manifest
    if current is not None and current.manifest == manifest:
        state = "in service"
    elif not catalogue.is_whole(manifest):
        state = "incomplete"
    elif current is None or published.offset > catalogue.offset_of(current.manifest):
        state = "refused"
    else:
        state = "earlier"
    return {"state": state, "offset": published.offset} | manifest.body()


def _text(line: dict[str, Any]) -> Text:
    """Return a line of time, digest, state, size of the model, user, and note."""
    rows, keys = (line["training"].get(name) for name in ("rows", "keys"))
    trained = f", {rows:,} rows of {keys:,} keys" if rows and keys else ""
    text = Text(f"{clean(line['published_at'])}  ", "dim")
    text.append(f"{line['digest'][:_SHORT]}  ", "bold")
    text.append(f"{line['state']:<10}  ", "green" if line["state"] == "in service" else "")
    text.append(f"{len(line['channels'])} channels{trained}  ")
    text.append(clean(line["published_by"]), "dim")
    if line["note"]:
        text.append(f"  {clean(line['note'])}")
    return text


def _chosen(
    settings: Settings, catalogue: Catalogue, current: TopicBundle | None, digest: str
) -> Published:
    """Return the bundle that a rollback means."""
    in_service = "" if current is None else current.manifest.digest
    earlier = [p for p in catalogue.newest_first() if p.manifest.digest != in_service]
    if digest and in_service.startswith(digest):
        raise UserError(f"The bundle {in_service} is in service already.")
    candidate = catalogue.held_back()
    if digest and candidate is not None:  # the user may know better than the gate
        earlier.append(Published(candidate.decision.manifest, candidate.offset))
    matches = [p for p in earlier if p.manifest.digest.startswith(digest)]
    if not digest:
        matches = [p for p in earlier if catalogue.is_whole(p.manifest)][:1]
    if not earlier:
        raise UserError(
            f"There is no earlier bundle to go back to. Expected one in topic "
            f"{settings.model_topic!r}. Received: none. `ember model deploy` publishes one."
        )
    if len(matches) != 1:
        names = ", ".join(p.manifest.digest[:_SHORT] for p in earlier)
        raise UserError(
            f"{'Several bundles begin like that' if matches else 'There is no such bundle'}. "
            f"Expected the digest of an earlier bundle of {settings.model_topic!r}: {names}. "
            f"Received: {digest!r}."
        )
    return matches[0]


async def _contents(source: BundleSource) -> tuple[TopicBundle | None, Catalogue]:
    return await source.newest(), await source.read()


def _source(settings: Settings) -> BundleSource:
    clients.fetch_metadata(settings.kafka)  # a broker that is not there is one sentence
    return bundle_source(settings, kept=False)


def _model(settings: Settings, bundle: TopicBundle | None) -> FleetModel | None:
    return None if bundle is None else load_model(settings, bundle.folder)


def _run(settings: Settings, work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except KafkaError as error:
        raise UserError(
            f"The model topic cannot be read ({error}). Received: {settings.model_topic!r}. "
            "`ember topics plan --deploy` prints the rights."
        ) from None


def _print(settings: Settings, result: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
        return
    old = (result["before"] or "nothing")[:_SHORT]
    print(f"Topic {settings.model_topic} brings {result['deployed'][:_SHORT]}, before {old}.")
    if result.get("state"):
        print(f"A key keeps: {result['state']}.")
