"""`ember explain` on a broker."""

from __future__ import annotations

import pytest

from benchmarks.kafka_client import Send
from stream.cli.explain import explain
from stream.cli.options import InputTopicOptions
from stream.errors import UserError
from stream.records import cloudevent_headers
from tests.broker.conftest import Broker
from tests.stream.report import small

pytestmark = pytest.mark.broker


def test_an_event_is_found_in_the_alert_topics(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.name("telemetry")
    names = {kind: f"{topic}.{kind}" for kind in ("anomalies", "triggers")}
    broker.create(dict.fromkeys(names.values(), 3))
    events = small.result().events
    for kind, name in (("anomaly", names["anomalies"]), ("trigger", names["triggers"])):
        sends = [
            Send(e.key, e.body, e.time_us // 1000, -1, cloudevent_headers(e, "/ember-stream/test"))
            for e in events
            if e.kind == kind
        ]
        broker.produce(name, [*sends, *sends[:2]])  # two of them come again
    firing = next(e for e in events if e.kind == "trigger" and e.key == small.FAULTY)
    explain(
        firing.id[:13], source=InputTopicOptions(topic=topic, bootstrap_servers=broker.bootstrap)
    )
    out = capsys.readouterr().out
    assert "TRIGGER FIRING  web-1" in out
    assert "Its episode" in out
    with pytest.raises(UserError, match="No event has this id"):
        explain("0" * 32, source=InputTopicOptions(topic=topic, bootstrap_servers=broker.bootstrap))


def test_topics_that_are_not_there(embedded: Broker) -> None:
    with pytest.raises(UserError, match=r"no alert topics here.*'nothing\.anomalies'"):
        explain(
            "0" * 32,
            source=InputTopicOptions(topic="nothing", bootstrap_servers=embedded.bootstrap),
        )
