"""`ember rules suggest`: the narrowest rule that would have kept events quiet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from stream.backtest import Backtest
from stream.backtest import backtest as run
from stream.configure import engine_settings, load_models
from stream.control import NO_CONTROL, ControlSet, Document
from stream.control.files import render_one
from stream.control.rules import Rule
from stream.errors import UserError
from stream.keys import key_of, key_text
from stream.rule_suggestion import suggestions
from stream.rule_trial import Page, RuleChanges, compare, pages, pages_of
from stream.settings import Settings
from stream.tools.event_lookup import EventLog, FileLog, PublishedEvent, TopicLog
from stream.types import CodecName
from stream.users import current_user

from .data_options import DataArgs, DataOptions, RecordArgs, RecordOptions, codec_of, read_data
from .event_choice import episode_of, event_of
from .options import ClusterArgs, ClusterOptions
from .output import clean, message, print_json

_WRITTEN = "1970-01-01T00:00:00Z"
_MOST = 20


@dataclass(frozen=True)
class _Trial:
    """A rule, and the changes that it makes of recorded telemetry; None where none was given."""

    rule: Rule
    changes: RuleChanges | None
    others: tuple[Page, ...] = ()


def suggest(
    events: Sequence[str],
    /,
    *,
    events_file: Path | None = None,
    data: tuple[str, ...] = (),
    model: Path | None = None,
    options: DataArgs = DataOptions(),
    records: RecordArgs = RecordOptions(),
    topic: str | None = None,
    name: str = "suggested",
    warm: bool = False,
    codec: CodecName | None = None,
    json: bool = False,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Propose the narrowest rule that would have kept events quiet.

    With --data the rule is tried on recorded telemetry: it is widened until the events are quiet,
    and the other pages that it takes away are named.

    Args:
        events: Ids of events (the first digits are enough), or files of `ember backtest --events`.
        events_file: File to find the ids in, instead of the output topics.
        data: Telemetry with the events, as of `ember backtest`: files or kafka:TOPIC. May be
            repeated.
        model: Folder of the bundle. Default: model.path.
        options: Columns and rows of the files.
        records: Records of topics, such as --since 14d.
        topic: Name of the input topic in the events of the replay. Default: that of the events.
        name: Name of the rule.
        warm: Feed the training rows first.
        codec: Format of the records of topics, and of files that are dumps of one.
        json: Print one JSON object: the rule, and what else it keeps quiet.
        cluster: Settings file, and Kafka cluster for topics.
    """
    settings = cluster.settings(input={"codec": codec_of(data, codec)})
    given_events = _given(events, events_file, settings)
    bodies = [event.body for event in given_events]
    stream = topic or str((bodies[0].get("labels") or {}).get("topic", "")) if bodies else ""
    if data:
        replay = _replay(
            settings, model, data, options, records, codec, given_events, topic=stream, warm=warm
        )
        trial = _tried(replay, given_events, name)
    else:
        trial = _Trial(next(suggestions(bodies)), None)
    document = _document(trial.rule, name)
    if json:
        others = None if trial.changes is None else [page.as_json() for page in trial.others]
        print_json({"rule": _table(document), "tried": bool(data), "also_quiet": others})
        return
    print(_table(document), end="")
    if trial.changes is None:
        message("Not tried: give --data and --model to prove it, and to see what else it hides.")
        return
    message(
        f"Tried: {len(trial.changes.before):,} pages of these keys without it, "
        f"{len(trial.changes.after):,} with it. It takes {len(trial.others):,} others away, and "
        f"brings {len(trial.changes.new):,} new ones."
    )
    for page in trial.others[:_MOST]:
        message(f"  {page.start} {page.key} {page.name} {', '.join(page.channels)}".rstrip())


def _given(
    events: Sequence[str], events_file: Path | None, settings: Settings
) -> list[PublishedEvent]:
    """Return the events that are meant, with all those of their episodes."""
    by_id: dict[str, PublishedEvent] = {}
    ids = [item for item in events if not Path(item).is_file()]
    for path in (Path(item) for item in events if item not in ids):
        by_id |= {event.id: event for event in FileLog(path).scan()}
    if ids:
        log: EventLog
        log = TopicLog(settings, None, None) if events_file is None else FileLog(events_file)
        for text in ids:
            event = event_of(text, log)
            by_id |= {each.id: each for each in (event, *episode_of(event, log))}
    return list(by_id.values())


def _replay(
    settings: Settings,
    model: Path | None,
    data: Sequence[str],
    options: DataOptions,
    records: RecordOptions,
    codec: CodecName | None,
    found: Sequence[PublishedEvent],
    *,
    topic: str,
    warm: bool,
) -> Callable[[ControlSet], Backtest]:
    """Return the replay of the events' keys under some documents."""
    fleet = load_models(settings, model)
    spec, limits = engine_settings(settings)
    reading = records.reading(channels=fleet.sources)
    dataset = read_data(data, options, lambda: settings, reading, dumps=codec is not None)
    keys = {key_of(event.key) for event in found}
    tables = tuple(table for table in dataset.tables if table.key in keys)
    if not tables:
        raise UserError(
            "The data have none of the events' keys. Expected "
            f"{', '.join(sorted({event.key for event in found})[:5])}. Received: "
            f"{len(dataset.tables)} other keys. Name the column of keys with --key.",
            exit_code=2,
        )
    replay = partial(
        run,
        fleet,
        replace(dataset, tables=tables),
        topic=topic or "telemetry",
        window=spec,
        limits=limits,
        warm=warm,
    )
    return lambda control: replay(control=control)


def _tried(
    replay: Callable[[ControlSet], Backtest], found: Sequence[PublishedEvent], name: str
) -> _Trial:
    """Return the first rule under which the replay keeps the events quiet.

    Raises:
        UserError: If the replay does not bring the events about, or no rule keeps them quiet.
    """
    events_without = replay(NO_CONTROL).events
    given_pages = pages(event.body for event in found)
    anomalies = {(e.key, e.time_us) for e in found if e.kind == "anomaly"}
    wanted = [page for page in pages_of(events_without) if any(map(page.overlaps, given_pages))]
    if not wanted and not anomalies:
        raise UserError(
            "The replay of these data does not bring the events about. Expected the telemetry "
            "that the service had, the model it had, and the topic of the events. Received: "
            f"{len(pages_of(events_without))} other pages. Give --topic, --warm or older data.",
        )
    for rule in suggestions([event.body for event in found]):
        control = ControlSet.of([_document(rule, name)])
        events_with = replay(control).events
        is_quiet = not any(page.overlaps(w) for page in pages_of(events_with) for w in wanted)
        is_quiet &= not any(
            e.kind == "anomaly" and (key_text(e.key), e.time_us) in anomalies for e in events_with
        )
        if is_quiet:
            changes = compare(events_without, events_with, control)
            others = [page for page in changes.gone if page not in wanted]
            return _Trial(rule, changes, tuple(others))
    raise UserError(
        "No rule for the channels of these events keeps them quiet: other channels are unusual "
        "too. Expected events of a few channels. Give all events of the episode, or write a rule "
        "with ignore = true for more channels and try it with `ember backtest --rules`."
    )


def _table(document: Document) -> str:
    """Return a document for a file, without the comment on who wrote it."""
    _, *lines = render_one(document).splitlines()
    return "\n".join(["[[rule]]", *map(clean, lines)]) + "\n"


def _document(rule: Rule, name: str) -> Document:
    return Document(name=name, author=current_user(), time=_WRITTEN, body=rule).checked()
