"""`ember config show|check|schema`."""

from __future__ import annotations

import json as _json
import sys
from pathlib import Path

from stream.settings import Settings, json_schema, render_json, render_toml


def show(*, config: Path | None = None, json: bool = False) -> None:
    """Print the effective settings, secrets masked, and where each is from.

    Args:
        config: Settings file; without it `ember.toml` of this folder where there is one.
        json: Print one JSON object.
    """
    settings = Settings.load(config)
    print(_json.dumps(render_json(settings)) if json else render_toml(settings), end="")
    if json:
        print()


def check(*, config: Path | None = None, json: bool = False) -> int:
    """Check the settings and say what is wrong with them.

    Args:
        config: Settings file; without it `ember.toml` of this folder where there is one.
        json: Print one JSON object.

    Returns:
        0 when they are fine, 2 with one sentence for each mistake on stderr.
    """
    from stream.codecs import make_codec  # brings NumPy
    from stream.errors import UserError
    from stream.settings import SettingsError

    mistakes: list[str] = []
    try:
        settings = Settings.load(config)
        # Expressions and optional packages are the codec's to check.
        make_codec(settings.input.codec, ["channel"], **settings.input.codec_options())
    except SettingsError as error:
        mistakes = error.mistakes
    except UserError as error:
        mistakes = [error.message]
    for sentence in mistakes:
        print(sentence, file=sys.stderr)
    if json:
        print(_json.dumps({"ok": not mistakes, "mistakes": mistakes}))
    elif not mistakes:
        print("The settings are fine.", file=sys.stderr)
    return 2 if mistakes else 0


def schema() -> None:
    """Print the JSON Schema of ember.toml, for editors that complete and check TOML."""
    print(_json.dumps(json_schema(), indent=2))
