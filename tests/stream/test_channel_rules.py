"""Rules of the channels: patterns, new names, computed channels, and what contradicts a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from ember_core.rows import RecipeChannel, RowRecipe
from stream.channel_rules import contradictions, make_recipe, unmatched
from stream.configure import other_window
from stream.errors import UserError
from stream.settings import ChannelRule, Settings, SettingsError, json_schema, render_toml


def rule(**values: str) -> ChannelRule:
    return ChannelRule(**values)


NAMES = ('rx_bytes_total{if="eth0"}', 'rx_bytes_total{if="lo"}', "errors", "requests", "temp")


def test_without_a_rule_or_counter_there_is_no_recipe() -> None:
    """Bundles stay what they were."""
    assert make_recipe(NAMES, []) is None
    assert make_recipe(NAMES, [rule(match="*", use="value")]) is None


def test_the_first_rule_that_matches_counts() -> None:
    """Counters are rates without one, and labels stay with a new name."""
    rules = [
        rule(match='*{if="lo"}', use="ignore"),
        rule(match="*_bytes_total", use="rate", rename="net_*"),
        rule(match="t?mp", use="p95", rename="temperature"),
        rule(match="errors", use="value"),
        rule(match="*", rename="other_*"),
    ]
    recipe = make_recipe(NAMES, rules, counters=("errors", "requests"))
    assert recipe is not None
    assert recipe.identity == (
        'net_rx{if="eth0"} = rate of rx_bytes_total{if="eth0"}',
        "errors",
        "other_requests = rate of requests",
        "temperature = p95 of temp",
    )
    assert 'rx_bytes_total{if="lo"}' not in recipe.sources
    assert unmatched(NAMES, [*rules, rule(match="nothing*", use="rate")]) == ["nothing*"]


def test_formulas_read_channels_after_their_rules_also_ignored_ones() -> None:
    rules = [
        rule(match="errors", use="ignore"),
        rule(match="requests", use="rate", rename="rps"),
        rule(name="ratio", compute='errors / rps + `rx_bytes_total{if="eth0"}`'),
    ]
    recipe = make_recipe(NAMES, rules, counters=("errors",))
    assert recipe is not None
    assert "errors" not in recipe.names
    assert recipe.names[-1] == "ratio"
    assert recipe.identity[-1].endswith("where errors = rate")
    assert RowRecipe.from_json(recipe.as_json()) == recipe
    with pytest.raises(UserError, match=r"reads a channel.*'requests'.*\[\[channels\]\]"):
        make_recipe(NAMES, [rules[1], rule(name="x", compute="requests * 2")])


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([rule(match="*", use="ignore")], "leaves no channel"),
        ([rule(match="rx*", rename="x"), rule(match="temp", rename='x{if="lo"}')], "twice"),
        ([rule(match="errors", rename="temp")], "'temp' twice"),
    ],
)
def test_rules_that_make_no_rows_are_refused(rules: list[ChannelRule], text: str) -> None:
    with pytest.raises(UserError, match=text):
        make_recipe(NAMES, rules)


def test_settings_that_are_not_the_bundles_are_told_in_one_sentence() -> None:
    rules = [rule(match="errors", use="rate"), rule(name="ratio", compute="errors / requests")]
    bundled = make_recipe(("errors", "requests"), rules)
    assert contradictions(bundled, ("errors", "requests", "ratio"), rules) == ""
    assert contradictions(bundled, (), []) == ""
    told = contradictions(None, ("errors", "requests"), rules)
    assert "`errors` in the bundle, `errors = rate` in the settings" in told
    assert "nothing in the bundle, `ratio = errors / requests` in the settings" in told
    assert "ember train" in told
    told = contradictions(bundled, (), [rule(match="errors", use="value")])
    assert "`errors = rate` in the bundle, `errors` in the settings" in told
    told = contradictions(bundled, (), [rule(name="y", compute="absent + 1")])
    assert "do not fit" in told


def test_other_intervals_than_those_of_the_training_are_told() -> None:
    trained = {"mode": "time", "interval_seconds": 30.0}
    same = Settings(window={"mode": "time", "interval_seconds": 30})
    assert other_window(trained, same) == other_window(None, Settings()) == ""
    for window in ({"mode": "count", "interval_seconds": 30}, {"mode": "time"}):
        told = other_window(trained, Settings(window=window))
        assert "rows of 30.0 s" in told
        assert f"window.mode={window['mode']}" in told


def write(text: str) -> Path:
    path = Path("ember.toml")
    path.write_text(text)
    return path


def test_a_settings_file_has_a_table_for_each_rule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is shown as it is read; the environment takes JSON."""
    monkeypatch.chdir(tmp_path)
    text = '[[channels]]\nmatch = "*_total"\nuse = "rate"\n'
    text += '[[channels]]\nname = "x"\ncompute = "`a b` / 2"\n'
    settings = Settings.load(write(text))
    assert [r.settings for r in settings.channels.rules] == [
        {"match": "*_total", "use": "rate"},
        {"name": "x", "compute": "`a b` / 2"},
    ]
    assert Settings.load(write(render_toml(settings))).channels == settings.channels
    assert settings.source("channels", "rules") == "ember.toml"
    monkeypatch.setenv("EMBER_CHANNELS__RULES", '[{"match": "a", "use": "ignore"}]')
    assert Settings.load(Path("ember.toml")).channels.rules[0].use == "ignore"
    items = json_schema()["$defs"]["ChannelsSection"]["anyOf"][1]["items"]
    assert items == {"$ref": "#/$defs/ChannelRule"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('match = "a"\nuse = "raet"', "`use` is value, ignore, last"),
        ('mach = "a"', "`mach` is no key of a rule. Did you mean `match`?"),
        ('name = "x"\ncompute = "a +"', "cannot be read at its end"),
        ('name = "x"\ncompute = "2"', "names no channel"),
        ('compute = "a + b"', "has `name` beside it"),
        ('match = "a"\ncompute = "b"', "either `match` or `compute`"),
        ('match = "a"\nrename = "*"', "more `*` than `match`"),
        ('match = "a"\nname = "b"', "`rename`, not `name`"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_number_of_the_rule(
    table: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as raised:
        Settings.load(write(f'[[channels]]\nmatch = "z"\n[[channels]]\n{table}\n'))
    (sentence,) = raised.value.mistakes
    assert "Rule 2 of `[[channels]]`" in sentence
    assert told in sentence


def test_a_recipe_channel_has_a_source_or_a_formula() -> None:
    for wrong in (
        {"name": "a"},
        {"name": "a", "source": "a", "compute": "b"},
        {"name": "", "source": "a"},
    ):
        with pytest.raises(ValueError, match="Received"):
            RecipeChannel(**wrong)
