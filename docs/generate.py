"""Parts of docs/ made from the code: `make docs` writes them, a test compares them.

A part stands between `<!-- made by docs/generate.py: NAME -->` and `<!-- end -->`. The pages of
docs/reference and the drawing of a wiring are made whole.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import bands, feedback, library_page, performance_page, retraining
from benchmarks.frame import kept_result
from benchmarks.markdown import table
from benchmarks.ordinary import page as ordinary
from benchmarks.quality import page as quality
from ember_core import nn
from ember_core.pipeline import Pipeline, PipelineConfig
from stream.bridge import OUTCOMES, RESULTS
from stream.engine.state.layout import (
    RowLayout,
    WindowSpec,
    channel_fields,
    control_fields,
    engine_fields,
    pause_fields,
)
from stream.observe import WORKER_UP, BridgeMetrics, ConsoleMetrics, IncidentMetrics, Metrics
from stream.settings import json_schema
from tests.prove import page as proofs

FOLDER = Path(__file__).resolve().parent
PAGES = (
    "metrics.md",
    "performance.md",
    "proofs.md",
    "quality.md",
    "row-layout.md",
    "scores.md",
    "settings.md",
)
CHANNELS = tuple(f"channel_{n}" for n in range(8))
REFERENCE = (
    "ember_core",
    "ember_core.ops",
    "ember_core.ops.linalg",
    "ember_core.ops.random",
    "ember_core.ops.fft",
    "ember_core.ops.losses",
    "ember_core.nn",
    "ember_core.pipeline",
    "ember_core.pipeline.fit",
    "ember_core.rows",
    "ember_core.models",
    "ember_core.training",
    "ember_core.data",
    "ember_core.data.cells",
    "ember_core.data.columns",
    "ember_core.data.sources",
    "ember_core.evaluate",
    "ember_core.serialize",
    "stream.records",
    "stream.engine",
    "stream.codecs",
    "stream.settings",
    "stream.testing",
)
"""Public modules; each has a page of docs/reference."""

_PART = re.compile(r"(<!-- made by docs/generate\.py: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _layout(window: WindowSpec) -> RowLayout:
    pipeline = Pipeline(PipelineConfig(CHANNELS))
    c = len(CHANNELS)
    return RowLayout(
        (*pipeline.state_fields(), *engine_fields(c, window), *channel_fields(c), *pause_fields())
    )


def _shape(field: Mapping[str, Any]) -> str:
    return " x ".join(map(str, field["shape"])) or "1"


def row_layout() -> str:
    """Fields of a row of the default pipeline, 8 channels, each record a row."""
    layout = _layout(WindowSpec())
    rows = (
        (str(f["offset"]), f"`{f['name']}`", f"`{f['dtype'][1:]}`", _shape(f), f["doc"])
        for f in layout.describe()
    )
    rows_table = table(("byte", "field", "type", "shape", "what it holds"), rows)
    return f"{rows_table}\n{layout.nbytes:,} bytes a key.\n"


def window_fields() -> str:
    """Fields that a row has besides when samples are gathered into intervals."""
    layout = _layout(WindowSpec(mode="time"))
    plain = {f["name"] for f in _layout(WindowSpec()).describe()}
    rows = (
        (f"`{f['name']}`", f"`{f['dtype'][1:]}`", _shape(f), f["doc"])
        for f in layout.describe()
        if f["name"] not in plain
    )
    rows_table = table(("field", "type", "shape", "what it holds"), rows)
    return f"{rows_table}\n{layout.nbytes:,} bytes a key.\n"


def recipe_fields() -> str:
    """Fields that a row has besides for channels with some aggregates."""
    uses = ("rate", "std", "p95", "delta")
    window = WindowSpec(mode="time")
    plain = {f.name for f in engine_fields(len(uses), window)}
    fields = (f for f in engine_fields(len(uses), window, uses) if f.name not in plain)
    needed = {
        "window_second": "`rate`, `std`",
        "window_squares": "`std`",
        "window_sample": "a quantile",
    }
    rows = (
        (f"`{f.name}`", f"`{f.dtype[1:]}`", needed.get(f.name, "`rate`, `delta`"), f.doc)
        for f in fields
    )
    return table(("field", "type", "for each channel with", "what it holds"), rows)


def document_fields() -> str:
    """Fields that a row has besides for documents of operators."""
    rows = (
        (f"`{f.name}`", f"`{f.dtype[1:]}`", " x ".join(map(str, f.shape)) or "1", f.doc)
        for f in control_fields(len(CHANNELS))
    )
    return table(("field", "type", "shape", "what it holds"), rows)


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
        rows_table = table(("key", "default", "meaning", "variable"), rows)
        name = f"[[{section}]]" if section == "channels" else f"[{section}]"
        parts.append(f"### `{name}`\n\n{_cell(described['description'])}\n\n{rows_table}")
        if section == "channels":
            parts.append(_rule_keys(schema["$defs"]["ChannelRule"]))
    return "\n".join(parts)


def _rule_keys(rule: Mapping[str, Any]) -> str:
    """Keys of one rule of the channels."""
    rows = ((f"`{key}`", _cell(_meaning(field))) for key, field in rule["properties"].items())
    return "A rule has these keys:\n\n" + table(("key", "meaning"), rows)


def metrics(shown: Metrics | BridgeMetrics | ConsoleMetrics, prefix: str = "ember_") -> str:
    """Every metric of a worker, of a bridge, or of the incidents, by the begin of its name."""
    return _metric_table(row for row in shown.describe() if row[0].startswith(prefix))


def host_metrics() -> str:
    """Metrics of the page of all workers of a host, besides those of the workers."""
    name, text, label = WORKER_UP
    return _metric_table([(name, "gauge", (label,), text)])


def _metric_table(described: Iterable[tuple[str, str, tuple[str, ...], str]]) -> str:
    rows = (
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), _cell(text))
        for name, kind, labels, text in described
    )
    return table(("metric", "type", "labels", "meaning"), rows)


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
    names = ", ".join(f"`{choice}`" if choice else "empty" for choice in choices)
    return f"{text} One of {names}."


def _cell(text: str) -> str:
    """On one line, with nothing that would end a table's cell or count as HTML outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()).replace("|", "\\|"))
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;") for p in parts)


PARTS = {
    "row-layout": row_layout,
    "window-fields": window_fields,
    "recipe-fields": recipe_fields,
    "document-fields": document_fields,
    "settings": settings,
    "metrics": lambda: metrics(Metrics(["telemetry"])),
    "host-metrics": host_metrics,
    "bridge-metrics": lambda: metrics(BridgeMetrics(OUTCOMES, RESULTS)),
    "console-metrics": lambda: metrics(ConsoleMetrics(process=False)),
    "incident-metrics": lambda: metrics(IncidentMetrics(OUTCOMES, RESULTS), "ember_incidents_"),
    "library": lambda: library_page.page(library_page.kept()),
    **{
        name: functools.partial(page.part, name, kept_result(result))
        for result, page in (("quality", quality), ("ordinary", ordinary))
        for name in page.TABLES
    },
    "bands": lambda: bands.page(kept_result("bands")),
    "feedback": lambda: feedback.part(kept_result("feedback")),
    "retraining": lambda: retraining.part(kept_result("retraining")),
    **{name: functools.partial(performance_page.part, name) for name in performance_page.PARTS},
    **{name: functools.partial(proofs.part, name, proofs.kept()) for name in proofs.TABLES},
}


def render(text: str) -> str:
    """A page with its parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", text)


def surface(module: str) -> list[str]:
    """Public names of a module in alphabetical order.

    Those it defines, and of a package what its `__init__` hands on (`from ._x import X as X`).
    """
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    names: set[str] = set()
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    # Names that are loaded at their first use; `from . import x` are packages with their own page.
    lazy = [node for block in body if isinstance(block, ast.If) for node in block.body]
    body += [node for node in lazy if isinstance(node, ast.ImportFrom) and node.module]
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names if alias.asname == alias.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return sorted((n for n in names if not n.startswith("_")), key=lambda n: (n.lower(), n))


def reference(module: str) -> str:
    """The page of a module: what mkdocstrings is to show of it."""
    members = "".join(f"        - {name}\n" for name in surface(module))
    return f"# {module}\n\n::: {module}\n    options:\n      members:\n{members}"


def wiring() -> str:
    """A small AutoNCP wiring, drawn."""
    return nn.AutoNCP(13, 2, seed=3).build(5).to_svg("Five channels to two motor neurons") + "\n"


def files() -> dict[str, str]:
    """Text of every file that is made, by its name in docs/."""
    pages = {name: render((FOLDER / name).read_text(encoding="utf-8")) for name in PAGES}
    return {
        **pages,
        **{f"reference/{module}.md": reference(module) for module in REFERENCE},
        "scale.svg": performance_page.curves(),
        "wiring.svg": wiring(),
    }


def main() -> None:
    """Write the files that have changed."""
    for name, text in files().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"docs/{name} is new\n")


if __name__ == "__main__":
    main()
