"""Settings of the scores topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.settings import Settings, SettingsError, render_toml


@pytest.mark.parametrize(
    ("scores", "patterns"),
    [
        ("off", ()),
        ("all", ("*",)),
        (["web-*", "db-1"], ("web-*", "db-1")),
        ("web-*, db-[12]", ("web-*", "db-[12]")),
        ('["a,b", "c"]', ("a,b", "c")),
    ],
)
def test_the_keys_whose_scores_are_written(
    scores: object, patterns: tuple[str, ...], tmp_path: Path
) -> None:
    settings = Settings.load(None, output={"scores": scores})
    assert settings.output.scored_keys == patterns
    assert settings.output.topic("scores", "telemetry") == "telemetry.scores"
    file = tmp_path / "ember.toml"
    file.write_text(render_toml(settings))
    reread = Settings.load(file)
    assert reread.output == settings.output


@pytest.mark.parametrize("scores", [[], [""], "", ["web-[0-9"], 3, True, {"web-*": 1}])
def test_scores_of_no_keys_are_a_mistake(scores: object) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load(None, output={"scores": scores})
    (sentence,) = raised.value.mistakes
    assert sentence.startswith("`output.scores`")
