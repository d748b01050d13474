"""Templates of messages: fields are filled in once, whatever the values are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.templates import FIELDS, cut, fault, fill, one_line

VALUES = st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(max_size=40))


@given(VALUES)
def test_a_value_is_never_read_as_a_template(values: dict[str, str]) -> None:
    template = "[" + "|".join(f"{{{name}}}" for name in sorted(FIELDS)) + "]"
    expected = "[" + "|".join(values.get(name, "") for name in sorted(FIELDS)) + "]"
    assert fill(template, values, lambda value: value) == expected


@given(st.text())
def test_one_line_is_one_line_and_stays(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
    assert all(c.isprintable() or c == " " for c in line if ord(c) < 0x2000)


@given(st.text(), st.integers(3, 50))
def test_a_cut_text_fits(text: str, most: int) -> None:
    assert len(cut(text, most)) <= most


@pytest.mark.parametrize(
    "template",
    [
        "{key.__class__}",
        "{key!r}",
        "{key:>9}",
        "{0}",
        "{}",
        "{key",
        "key}",
        "{{key}}",
        "{nonsense}",
    ],
)
def test_a_template_has_plain_fields_only(template: str) -> None:
    assert fault(template)


@given(st.text(alphabet="{}key_ .", max_size=20))
def test_a_sound_template_can_be_filled(template: str) -> None:
    if not fault(template):
        assert "{" not in fill(template, {}, str)
