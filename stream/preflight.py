"""Mistakes that show only between sections of the settings, or on this machine's disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stream.kafka.config import changelog_topic

from .scores import ScoresError, require_arrow
from .settings import OutputKind, Settings, SettingsError, name_fault

_KINDS: Final[dict[OutputKind, str]] = {
    "anomalies": "output.anomalies",
    "triggers": "output.triggers",
    "incidents": "output.incidents",
    "dead_letters": "output.dead_letters",
    "scores": "output.scores_topic",
}
"""Kinds of output topics, and the setting of each."""


def require_sound(settings: Settings) -> None:
    """Refuse to start with such a mistake.

    Raises:
        SettingsError: One sentence for each.
    """
    mistakes = find_mistakes(settings)
    if mistakes:
        raise SettingsError(mistakes)


def find_mistakes(settings: Settings) -> list[str]:
    """Return a sentence for each mistake; nothing is asked of a broker."""
    return [
        *_topic_mistakes(settings),
        *_file_mistakes(settings),
        *_package_mistakes(settings),
        *_profile_mistakes(settings),
    ]


def _topic_mistakes(settings: Settings) -> Iterator[str]:
    """Find outputs that are read again, written to a changelog, or have no legal name."""
    topics, group = settings.engine_topics, settings.kafka.group
    changelogs = [changelog_topic(group, topic) for topic in topics]
    # Topics of re-keyed records are read and written, but by the service itself.
    read_topics = {*settings.input.topics, *topics}
    internal = [topic for topic in topics if topic not in settings.input.topics]
    for topic in dict.fromkeys([*changelogs, *internal]):
        if topic in settings.input.topics:
            yield (
                f"The service would read its own state: {topic!r} is the changelog of group "
                f"{group!r}. Expected input.topics without it."
            )
        elif fault := name_fault(topic):
            yield f"`kafka.group` gives a topic that cannot be: {fault}."
    for name, topic in dict.fromkeys(_outputs(settings)):
        if topic in read_topics:
            yield (
                f"`{name}` makes the service read what it writes: {topic!r} is an input too. "
                f"Expected a topic that is not in input.topics. Received: {name}={topic!r}."
            )
        elif topic in changelogs:
            yield (
                f"`{name}` would write into the state of the group: {topic!r} is a changelog. "
                f"Expected a topic of its own. Received: {name}={topic!r}."
            )
        elif topic in settings.model_topics and name != "model.topic":
            yield (
                f"`{name}` would write among the model's bundles: {topic!r} is model.topic. "
                f"Expected a topic of its own. Received: {name}={topic!r}."
            )
        elif topic == settings.control_topic and name != "control.topic":
            yield (
                f"`{name}` would write among the documents: {topic!r} is control.topic. "
                f"Expected a topic of its own. Received: {name}={topic!r}."
            )
        elif fault := name_fault(topic):
            yield f"`{name}` gives a topic that cannot be: {fault}."


def _outputs(settings: Settings) -> Iterator[tuple[str, str]]:
    """Return the setting and the name of every topic that others write or read."""
    for topic in settings.model_topics:
        yield "model.topic", topic
    if settings.control_topic:
        yield "control.topic", settings.control_topic
    is_off = {
        "dead_letters": not settings.dead_letters.enabled,
        "scores": not settings.output.scored_keys,
    }
    for kind, name in _KINDS.items():
        if not is_off.get(kind, False):
            yield from ((name, topic) for topic in settings.output_topics(kind))


def _file_mistakes(settings: Settings) -> Iterator[str]:
    """Find files and folders that are named and cannot be read."""
    for section_name in type(settings).model_fields:
        section = getattr(settings, section_name)
        for name in type(section).model_fields:
            path = getattr(section, name)
            # Folders that the service makes itself are no files to be there; nor is the default.
            if not isinstance(path, Path) or name == "directory" or _is_default(section, name):
                continue
            if (section_name, name) in (("model", "path"), ("model", "shadow")):
                if not (path / "model.json").is_file():
                    yield (
                        f"`{section_name}.{name}` is no model bundle. Expected a folder with a "
                        f"model.json, as `ember train` makes. Received: {name}={str(path)!r}."
                    )
            elif not path.is_file() or not os.access(path, os.R_OK):
                cause = "cannot be read" if path.exists() else "is not there"
                yield (
                    f"The file of `{section_name}.{name}` {cause}. Expected a readable file. "
                    f"Received: {name}={str(path)!r}."
                )


def _profile_mistakes(settings: Settings) -> Iterator[str]:
    """Find profiles without a bundle."""
    if settings.model_topic:
        return  # names, not folders
    for pattern, path in settings.model.profiles.items():
        if not (path / "model.json").is_file():
            yield (
                f"Profile {pattern!r} of `model.profiles` has no model bundle. Expected a folder "
                f"with a model.json, as `ember train` makes. Received: {str(path)!r}."
            )


def _package_mistakes(settings: Settings) -> Iterator[str]:
    """Find packages that are needed and not installed."""
    if settings.output.scored_keys:
        try:
            require_arrow()
        except ScoresError as error:
            yield f"`output.scores` cannot be used. {error}"


def _is_default(section: object, name: str) -> bool:
    return name not in getattr(section, "model_fields_set", ())
