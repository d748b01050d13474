"""Clocks that are wrong, and records without a Kafka timestamp, through `ember run`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from stream.engine import META_KEY
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService
from tests.stream.report import small

pytestmark = pytest.mark.broker

_YEARS = 10 * 365 * 86_400


def _sent(key: bytes, seconds: float, timestamp_ms: int, partition: int = 0) -> Send:
    values = dict.fromkeys(small.CHANNELS, 5.0)
    body = json.dumps({"ts": seconds, "values": values}).encode()
    return Send(key, body, timestamp_ms, partition)
