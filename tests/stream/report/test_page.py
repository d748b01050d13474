"""The page as a browser receives it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from stream.backtest import backtest
from stream.report import render
from tests.stream.report import small

_VOID = {"meta", "br", "input"}
_SHAPES = {"rect", "path", "circle"}


class _Reader(HTMLParser):
    """Parser of elements, attributes and text; fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        assert tag in _SHAPES
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    """Page of labelled data, with figures."""
    result = small.result()
    return render(
        result,
        small.model(),
        figures=result.figures(),
        baselines={"random": {"vus_pr": 0.125}},
        sources=["<data>.csv"],
    )


def test_it_loads_nothing(page: str) -> None:
    for word in ("http://", "https://", "@import", "url(", "<link", "<iframe"):
        assert word not in page
    reader = _Reader(page)
    assert not any({"src", "onerror", "onclick"} & attrs.keys() for _, attrs in reader.tags)
    assert "default-src 'none'" in page


def test_nothing_of_the_data_becomes_an_element(page: str) -> None:
    tags = [tag for tag, _ in _Reader(page).tags]
    assert tags.count("script") == 2  # numbers, and the page's own
    assert "img" not in tags
    assert "fleet" not in tags
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "&lt;data&gt;.csv" in page


def test_only_the_page_s_own_script_may_run(page: str) -> None:
    script = page[page.rindex("<script>") + 8 : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert data is not None
    assert "<" not in data[1]


def test_the_same_backtest_gives_the_same_bytes() -> None:
    first, second = (render(small.result(), small.model()) for _ in range(2))
    assert first == second


def test_it_says_what_happened(page: str) -> None:
    text = " ".join(_Reader(page).text)
    assert "1 of 1 labelled event caught" in text
    assert "Records by outcome" in text
    assert "absorbed while the key, unknown to the model, warms up" in text
    assert "true: 1 event" in text
    assert "silent from" in page
    assert "random scores" in text
    assert "VUS-PR" in text


def test_every_scored_key_has_a_time_line_and_links_lead_somewhere(page: str) -> None:
    reader = _Reader(page)
    drawn = [a for tag, a in reader.tags if tag == "svg" and a.get("class") == "timeline"]
    assert len(drawn) == 2
    ids = {a["id"] for _, a in reader.tags if "id" in a}
    links = [a["href"] for tag, a in reader.tags if tag == "a"]
    assert links
    assert all(link is not None and link[1:] in ids for link in links)


def test_without_labels_there_are_no_figures_and_nothing_is_called_false() -> None:
    page = render(small.result(labelled=False), small.model())
    body = page[page.index("<body>") : page.rindex("<script>")]
    assert "on-threshold" in body
    for word in ("How good it was", "verdict", "false episode", "labelled"):
        assert word not in body.replace('"labelled":false', "")


def test_a_backtest_of_nothing_is_a_page_too() -> None:
    unscored = replace(small.dataset(), tables=small.dataset().tables[2:])
    page = render(backtest(small.model(), unscored), small.model())
    assert "nothing was scored" in " ".join(_Reader(page).text)


def test_many_long_keys_stay_small() -> None:
    result = small.result()
    table, scores = result.dataset.tables[0], result.scores[0]
    rows = 5_003
    time_us = table.time_us[0] + np.arange(rows, dtype=np.int64) * 10_000_000
    rng = np.random.default_rng(7)
    tables, long = [], []
    for i in range(41):
        severity = rng.exponential(0.4, rows).astype(np.float32)
        values = rng.standard_normal((rows, 3))
        text = time_us.astype(str).astype(object)
        train, label = np.zeros(rows, bool), np.zeros(rows, np.int8)
        tables.append(
            replace(
                table,
                key=b"k%d" % i,
                time_us=time_us,
                time_text=text,
                values=values,
                is_train=train,
                label=label,
            )
        )
        zeros = np.zeros(rows, np.int8)
        long.append(
            replace(
                scores,
                time_us=time_us,
                score=severity,
                probability=10.0**-severity,
                severity=severity,
                anomaly=zeros > 0,
                trigger=zeros,
            )
        )
    large_result = replace(
        result, dataset=replace(result.dataset, tables=tuple(tables)), scores=long
    )
    large_result.events = []
    page = render(large_result, small.model())
    assert len(page) < 3_000_000
    text = " ".join(_Reader(page).text)
    assert "The first 24 of 41 keys are drawn." in text
