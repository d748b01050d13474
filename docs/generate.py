"""The parts of docs/ that are made from the code: `make docs` writes them, a test compares them.

A part stands between `<!-- made by docs/generate.py: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quality import page
from ember_core.pipeline import Pipeline, PipelineConfig
from stream.engine.layout import RowLayout, WindowSpec, engine_fields
from stream.observe import Metrics
from stream.settings import json_schema

FOLDER = Path(__file__).resolve().parent
PAGES = ("architecture.md", "metrics.md", "quality.md", "running.md")
CHANNELS = tuple(f"channel_{n}" for n in range(8))

_PART = re.compile(r"(<!-- made by docs/generate\.py: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _layout(window: WindowSpec) -> RowLayout:
    pipeline = Pipeline(PipelineConfig(CHANNELS))
    return RowLayout((*pipeline.state_fields(), *engine_fields(len(CHANNELS), window)))


def _shape(field: Mapping[str, Any]) -> str:
    return " x ".join(map(str, field["shape"])) or "1"


def row_layout() -> str:
    """Fields of a row of the default pipeline, 8 channels, each record a row."""
    layout = _layout(WindowSpec())
    rows = (
        (str(f["offset"]), f"`{f['name']}`", f"`{f['dtype'][1:]}`", _shape(f), f["doc"])
        for f in layout.describe()
    )
    table = _table(("byte", "field", "type", "shape", "what it holds"), rows)
    return f"{table}\n{layout.nbytes:,} bytes a key.\n"


def window_fields() -> str:
    """Fields that a row has besides when samples are gathered into intervals."""
    layout = _layout(WindowSpec(mode="time"))
    plain = {f["name"] for f in _layout(WindowSpec()).describe()}
    rows = (
        (f"`{f['name']}`", f"`{f['dtype'][1:]}`", _shape(f), f["doc"])
        for f in layout.describe()
        if f["name"] not in plain
    )
    table = _table(("field", "type", "shape", "what it holds"), rows)
    return f"{table}\n{layout.nbytes:,} bytes a key.\n"


def settings() -> str:
    """Every setting of every section."""
    schema = json_schema()
    parts = []
    for section, reference in schema["properties"].items():
        described = schema["$defs"][reference["$ref"].rpartition("/")[2]]
        rows = (
            (f"`{key}`", _default(field), _cell(_meaning(field)), f"`{field['x-env']}`")
            for key, field in described["properties"].items()
        )
        table = _table(("key", "default", "meaning", "variable"), rows)
        parts.append(f"### `[{section}]`\n\n{_cell(described['description'])}\n\n{table}")
    return "\n".join(parts)


def metrics() -> str:
    """Every metric of a worker."""
    rows = (
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), _cell(text))
        for name, kind, labels, text in Metrics(["telemetry"]).describe()
    )
    return _table(("metric", "type", "labels", "meaning"), rows)


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "unset"
    if isinstance(value, list):
        return f"`[{', '.join(_literal(item) for item in value)}]`"
    return f"`{_literal(value)}`"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{}"
    return f'"{value}"' if isinstance(value, str) else f"{value:,}".replace(",", "_")


def _meaning(field: Mapping[str, Any]) -> str:
    choices = field.get("enum")
    text = str(field["description"])
    if not choices:
        return text
    shown = ", ".join(f"`{choice}`" if choice else "empty" for choice in choices)
    return f"{text} One of {shown}."


def _cell(text: str) -> str:
    """On one line, with nothing that would end a table's cell or count as HTML outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()).replace("|", "\\|"))
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;") for p in parts)


PARTS = {
    "row-layout": row_layout,
    "window-fields": window_fields,
    "settings": settings,
    "metrics": metrics,
    **{name: functools.partial(page.part, name, page.kept()) for name in page.TABLES},
}


def render(text: str) -> str:
    """A page with its parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", text)


def main() -> None:
    """Write the pages that have changed."""
    for name in PAGES:
        page = FOLDER / name
        text = page.read_text(encoding="utf-8")
        if (made := render(text)) != text:
            page.write_text(made, encoding="utf-8")
            sys.stderr.write(f"docs/{name} is new\n")


if __name__ == "__main__":
    main()
