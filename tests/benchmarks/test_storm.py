"""`python -m benchmarks storm`: the receiver of webhooks, and the page."""

from __future__ import annotations

import json
import urllib.request

from benchmarks import storm


def test_the_receiver_keeps_requests_in_order() -> None:
    with storm.receiving() as (url, requests):
        for status in ("firing", "firing", "resolved"):
            body = json.dumps({"status": status}).encode()
            urllib.request.urlopen(urllib.request.Request(url, body), timeout=10).close()
        assert [request["status"] for _, request in requests] == ["firing", "firing", "resolved"]
        assert len(storm._pages(requests, "firing")) == 2


def test_the_page_has_all_figures() -> None:
    figures = {
        "keys": 10_000, "records": 600_000, "keys_fired": 9_999, "incidents": 1, "messages": 3,
        "keys_in_largest": 9_998, "pages": 2, "produced_seconds": 5.5,
        "lag_zero_seconds": 7.25, "first_page_seconds": 31.0,
    }  # fmt: skip
    text = storm.part(figures)
    assert "| keys that fired | 9,999 of 10,000 |" in text
    assert "| until the lag is zero | 7.25 |" in text
    assert "Not measured" in storm.part(None)
