"""Effective settings as TOML, as JSON, and their JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from ._load import Settings, env_name

_MASK = "**********"
_UNSET = {
    ("alerts", "budget"): ": as trained, or else 1/month (with joint evidence: a threshold that 3 "
    "in 1,000 training rows reach)",
    ("alerts", "refractory_rows"): ": as trained",
    ("alerts", "pages"): ": all incidents page",
}
"""Meaning of settings that are not set, where it is no value of their own."""


def render_toml(settings: Settings) -> str:
    """Render the effective settings as TOML, secrets masked, with the source of each value."""
    lines: list[str] = []
    for section in Settings.model_fields:
        if section == "channels":
            lines += _channel_rules(settings)
            continue
        lines.append(f"[{section}]")
        table: BaseModel = getattr(settings, section)
        entries = []
        for key in type(table).model_fields:
            value = getattr(table, key)
            # TOML has no null: an unset value is a comment.
            text = f"# {key} =" if value is None else f"{key} = {_toml(value)}"
            note = _UNSET.get((section, key), "") if value is None else ""
            if (section, key) == ("model", "path") and settings.model.other_keys is None:
                note = ": not used, keys of no profile have no model"
            entries.append((text, settings.source(section, key) + note))
        width = max(len(text) for text, _ in entries)
        lines += [f"{text:<{width}}  # {source}" for text, source in entries]
        lines.append("")
    return "\n".join(lines)


def _channel_rules(settings: Settings) -> list[str]:
    """Return the rules of the channels, a table each."""
    source = settings.source("channels", "rules")
    lines = []
    for rule in settings.channels.rules:
        lines.append(f"[[channels]]  # {source}")
        lines += [f"{key} = {_toml(value)}" for key, value in rule.settings.items()]
        lines.append("")
    return lines or [f"# [[channels]]: none  # {source}", ""]


def render_json(settings: Settings) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the settings as `{section: {key: {"value": .., "source": ..}}}`, secrets masked."""
    return {
        section: {
            key: {"value": value, "source": settings.source(section, key)}
            for key, value in getattr(settings, section).model_dump(mode="json").items()
        }
        for section in Settings.model_fields
    }


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `ember.toml`; `x-env` is a setting's environment variable."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "ember.toml"
    for section, reference in schema["properties"].items():
        name = reference["$ref"].rpartition("/")[2]
        table = schema["$defs"][name]
        if section == "kafka":  # Kafka's own dotted names are accepted there
            table["additionalProperties"] = True
        if section == "channels":  # a list of tables in the file
            del table["type"]
            rule = table["properties"]["rules"]["items"]
            table["anyOf"] = [{"type": "object"}, {"type": "array", "items": rule}]
        for key, field in table["properties"].items():
            field["x-env"] = env_name(section, key)
    return schema


def _toml(value: Any) -> str:
    if isinstance(value, SecretStr):
        return json.dumps(_MASK if value.get_secret_value() else "")
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return json.dumps(value)
