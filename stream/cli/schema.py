"""`ember schema`: the JSON Schema of anomalies, triggers and incidents."""

from __future__ import annotations

import json
from typing import Literal

import msgspec

from stream.correlation import IncidentBody
from stream.records import Anomaly, Trigger


def schema(event: Literal["anomaly", "trigger", "incident", "all"] = "all", /) -> None:
    """Print the JSON Schema of the events.

    Args:
        event: Kind of event.
    """
    types: dict[str, type] = {"anomaly": Anomaly, "trigger": Trigger, "incident": IncidentBody}
    selected = list(types.values()) if event == "all" else [types[event]]
    refs, components = msgspec.json.schema_components(selected, ref_template="#/$defs/{name}")
    document: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    document |= refs[0] if len(refs) == 1 else {"anyOf": list(refs)}
    document["$defs"] = components
    print(json.dumps(document, indent=2))
