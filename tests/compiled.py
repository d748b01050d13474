"""Engines of a whole process on compiled stages, for proofs that are written for the plain ones."""

from __future__ import annotations

from typing import Any

from stream.engine import Engine


def compile_engines() -> None:
    """Let every engine of this process score by compiled stages from its first step on."""
    use = Engine._use

    def use_compiled(engine: Engine, model: Any, store: Any) -> None:
        use(engine, model, store)
        model.pipeline.use_compiled()

    Engine._use = use_compiled  # type: ignore[method-assign]
