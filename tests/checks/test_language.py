"""Counters of the language check on snippets with known answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import docstrings, language, names, prose
from checks.files import ROOT, Source


def source(text: str, path: str = "stream/engine/example.py") -> Source:
    return Source(path, text)


def texts(hits):
    return [hit.text for hit in hits]


LOCALS = """
found = 1

class Row:
    own = 2

    def take(self, given, *, kept=None):
        self.held = given = own = 0
        made, count = given, 1
        made += 1
        for at in range(count):
            with open(at) as why:
                pass
        rows = [one for one in given if (seen := one)]
        try:
            _known: int = 3
        except ValueError as left:
            raise
        _ = [lambda said: said, (said_so := 1)]
        match given:
            case [first, *rest]:
                return rows, first, rest, seen
"""


def test_bindings_of_local_variables_are_counted():
    bound = "own made count at why rows one seen _known left said_so first rest"
    assert sorted(texts(names.local_names(source(LOCALS)))) == sorted(bound.split())


def test_vague_names_are_found_where_they_are_bound():
    hits = names.vague_names(source(LOCALS))
    assert sorted(texts(hits)) == [
        "_known",
        "at",
        "left",
        "made",
        "one",
        "own",
        "rest",
        "seen",
        "why",
    ]
    assert {hit.line for hit in hits if hit.text == "at"} == {11}


DOCSTRINGS = '''"""What the module holds."""

class Row:
    """`From` what it is made.

    Whatever follows does not count.
    """

    def key(self, size, rng, **options):
        """Whether the key is new.

        Args:
            size: Of the key.
            rng: Generator of random numbers: not
                of the clock.
            options (dict): How it is done.
            *rows, columns: Without a default, first.
            key: `of` is a name here.
            flag: Whether the key is new.

        Returns:
            what: Of nothing.
        """

    def name(self):
        r"""Name of the row.

        Attributes:
            x: Of no argument.
        """

def plain():
    "of one line"
'''


def test_openers_of_docstrings():
    openers = docstrings.docstring_openers(source(DOCSTRINGS))
    assert sorted((hit.line, hit.text) for hit in openers) == [
        (1, "What the module holds."),
        (10, "Whether the key is new."),
        (33, "of one line"),
    ]
    assert sum(1 for _ in docstrings.docstrings(source(DOCSTRINGS))) == 5


def test_openers_of_argument_descriptions():
    assert len(docstrings.arguments(source(DOCSTRINGS))) == 6
    assert texts(docstrings.argument_openers(source(DOCSTRINGS))) == [
        "size: Of the key.",
        "options: How it is done.",
        "*rows, columns: Without a default, first.",
    ]


def test_lines_where_a_clause_stands_for_a_noun():
    text = "Say what is wrong.\nWHAT CAME is here\nwhat a day\nsomewhat is\nwhatever has\n"
    assert [hit.line for hit in docstrings.what_lines("page.md", text)] == [1, 2]


def test_comments_with_a_reason_and_lines_of_code():
    text = '''"""Module.

Two lines.
"""

# A reason,
# in two lines.
value = """text

of three lines"""  # noqa: E501
other = 1  # another reason
LIMIT = 3
"""Docstring of an attribute."""
'''
    file = source(text)
    assert len(file.comments) == 3
    assert file.code_lines == {8, 9, 10, 11, 12}


PAGE = """# A heading that does not count

One sentence. Another one, e.g. Kafka's,
goes on here! A [link of four words](http://a.b/c) and `code. Of one word`.

- item one
- item two
  goes on
    - nested item

| table | cells |
| --- | --- |

    indented code

```python
fenced = "code"
```

<!-- made by a script
and hidden -->
1. Numbered.

![A picture](x.svg)

Last
"""


def test_paragraphs_of_a_page():
    found = prose.paragraphs("page.md", PAGE)
    assert [(hit.line, prose.words(hit.text)) for hit in found] == [
        (3, 16),
        (6, 2),
        (7, 4),
        (9, 2),
        (22, 1),
        (26, 1),
    ]
    assert [prose.words(part) for part in prose.sentences(found[0].text)] == [2, 7, 7]


PRIVATE = """
from stream.engine.graves import Graves

class Turns:
    def spread(self, ledger, before, told):
        before = ledger.ends
        return self._let_go()

def _say(close):
    walk = 1
"""


def test_private_words_as_names():
    path = "ember_core/turns.py"
    hits = names.private_names(source(PRIVATE, path))
    assert sorted(texts(hits)) == ["Turns", "ledger", "say", "spread", "turns"]
    assert names.private_words(source(PRIVATE, path)) == {
        *("Turns", "ledger", "say", "spread", "turns"),
        *("Graves", "graves", "ends", "let_go"),
    }


def test_words_of_plain_english_are_private_in_their_package_only():
    assert not names.private_names(source("def walk():\n    pass\n", "stream/codecs/_key.py"))
    assert names.private_names(source("def walk():\n    pass\n", "stream/engine/engine.py"))


def test_a_path_lists_every_place(tmp_path: Path):
    (tmp_path / "rows.py").write_text(
        '"""What it is."""\n\ndef f():\n    own = 1\n    rows = own\n'
    )
    (tmp_path / "page.md").write_text(f"{'word ' * 30}.\n")
    report = language.measure([tmp_path])
    now = {name: figure.now for name, figure in report.figures.items()}
    assert now["vague_names"] == 500
    assert now["docstring_openers"] == 100
    assert now["sentence_words"] == 30
    lines = list(report.lines(10))
    assert f"  {(tmp_path / 'rows.py').as_posix()}:4: own" in lines
    assert any("30 words: word" in line for line in lines)
    assert not any("own" in line for line in report.lines(0))
    assert report.as_json()["hits"]["vague_names"][0]["line"] == 4


def test_a_path_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no such file or folder"):
        language.measure([ROOT / "no_such_folder"])
