"""Reader of the console's topics: their meanings, and records that cannot be used."""

from __future__ import annotations

import pytest

from stream.console.topic_reader import sources_of
from stream.errors import UserError
from stream.settings import Settings


def test_every_output_of_every_stream_is_read():
    settings = Settings.model_validate(
        {"input": {"topics": ["a", "b"]}, "control": {"enabled": True}}
    )
    sources = sources_of(settings)
    assert sources["a.scores"] == sources["b.scores"] == "scores"
    assert sources["a.triggers"] == sources["b.anomalies"] == "events"
    assert sources["a.incidents"] == "incidents"
    assert sources[settings.control_topic] == "control"
    assert "a" not in sources


def test_without_documents_no_control_topic_is_read():
    assert "control" not in sources_of(Settings(input={"topics": ["a"]})).values()


def test_one_topic_of_two_meanings_is_refused():
    settings = Settings(input={"topics": ["a"]}, output={"scores_topic": "<input>.triggers"})
    with pytest.raises(UserError, match="two meanings"):
        sources_of(settings)
