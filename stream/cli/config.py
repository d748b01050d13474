"""`ember config show | check | schema`: the settings, their check and their JSON Schema."""

from __future__ import annotations

import json as _json

from stream.settings import Settings, json_schema, render_json, render_toml

from .options import SettingsArgs, SettingsOptions
from .output import message


def show(*, source: SettingsArgs = SettingsOptions(), json: bool = False) -> None:
    """Print the effective settings with the source of each; secrets are masked.

    Args:
        source: Settings file.
        json: Print one JSON object.
    """
    settings = Settings.load(source.config)
    print(_json.dumps(render_json(settings)) if json else render_toml(settings), end="")
    if json:
        print()


def check(*, source: SettingsArgs = SettingsOptions(), json: bool = False) -> int:
    """Check the settings and name every mistake.

    Args:
        source: Settings file.
        json: Print one JSON object.

    Returns:
        0 without a mistake; else 2, with one sentence for each on stderr.
    """
    from stream.codecs import make_codec  # imported late: it brings NumPy
    from stream.errors import UserError
    from stream.preflight import find_mistakes
    from stream.settings import SettingsError

    mistakes: list[str] = []
    try:
        settings = Settings.load(source.config)
        mistakes = find_mistakes(settings)
        # The codec checks expressions and optional packages.
        make_codec(settings.input.codec, ["channel"], **settings.input.codec_options())
    except SettingsError as error:
        mistakes = error.mistakes
    except UserError as error:
        mistakes.append(error.message)
    for sentence in mistakes:
        message(sentence)
    if json:
        print(_json.dumps({"ok": not mistakes, "mistakes": mistakes}))
    elif not mistakes:
        message("The settings are fine.")
    return 2 if mistakes else 0


def schema() -> None:
    """Print the JSON Schema of ember.toml, for editors that complete and check TOML."""
    print(_json.dumps(json_schema(), indent=2))
