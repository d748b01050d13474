"""What differs where a model knows none of the keys."""

from __future__ import annotations

import pytest

from stream.key_difference import key_difference

KNOWN = [b"web-1", b"web-2.example.org", b"db:5432", b"Pump_07", b"42"]


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (b'"web-1"', "quotes"),
        (b"'web-1'", "quotes"),
        (b'{"host": "web-1"}', "object"),
        (b"web-1 ", "spaces"),
        (b"web-1\0", "spaces"),
        (b"WEB-1", "case"),
        (b"web-1:9100", "port"),
        (b"db", "port"),
        (b"web-1.internal", "domain"),
        (b"web-2", "domain"),
        (b"web_1", "separators"),
        (b"Pump_7", "zeros"),
        (b"\0\0\0\0\7web-1", "framing"),
        (b"\0\0\0\0\7\x0aweb-1", "framing"),
        ((42).to_bytes(8, "big"), "number"),
        (b"prod/web-1", "prefix or suffix"),
        (b"host=web-1", "prefix or suffix"),
        (b"web-1-cpu", "prefix or suffix"),
        (b'"WEB_1:9100"', "several"),
        (bytes(range(128, 144)), "binary"),
        (b"february", ""),
        (b"", ""),
    ],
)
def test_what_differs_is_told_with_an_example_of_each_side(seen, what):
    difference = key_difference([b"unlike", seen], KNOWN)
    assert difference.what == what
    assert "records have" in difference.sentence
    assert "the model" in difference.sentence


def test_the_sentence_names_both_keys_in_one_line():
    sentence = key_difference([b'"web-1"'], KNOWN).sentence
    assert sentence == ("the quotes of JSON: records have '\"web-1\"', the model 'web-1'.")


def test_the_example_does_not_depend_on_the_order_of_the_model():
    sentences = {key_difference([b"x"], order).sentence for order in (KNOWN, KNOWN[::-1])}
    assert len(sentences) == 1
