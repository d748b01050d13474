"""Language of names, docstrings, comments and documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checks import docstrings, names, prose
from checks.figures import COLUMNS, LANGUAGE, Figure, as_json, figures_of, percentile, table
from checks.files import CODE, TEXTS, Hit, sources, texts
from checks.words import PRIVATE

SENTENCE_WORDS: Final = 25
PARAGRAPH_WORDS: Final = 80
_SHOWN = 100


@dataclass(frozen=True)
class Report:
    """Figures of the language with the places they count.

    Attributes:
        figures: Figures by name.
        hits: Places by name of the figure.
        listed: True where some files were asked for: every place is printed.
    """

    figures: Mapping[str, Figure]
    hits: Mapping[str, Sequence[Hit]]
    listed: bool

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values; the places only where they were asked for."""
        report: dict[str, Any] = {"figures": as_json(self.figures)}
        report["private_words"] = dict(Counter(hit.text for hit in self.hits["private_names"]))
        if self.listed:
            report["hits"] = {
                name: [hit._asdict() for hit in hits] for name, hits in self.hits.items()
            }
        return report

    def lines(self, worst: int) -> Iterator[str]:
        """Print the table and its places.

        Args:
            worst: Number of files per figure; 0 for the table alone.
        """
        rows = [["language", *COLUMNS], *(figure.row() for figure in self.figures.values())]
        if self.listed:  # the other columns are those of the whole repository
            rows = [[row[0], *row[-2:]] for row in rows]
        yield from table(rows)
        for name, hits in self.hits.items():
            if not hits or not worst:
                continue
            yield f"\n{LANGUAGE[name].title}: {len(hits)}"
            if self.listed:
                counted = name in ("sentence_words", "paragraph_words")
                for path, line, text in hits:
                    count = f"{prose.words(text)} words: " if counted else ""
                    yield f"  {path}:{line}: {count}{text[:_SHOWN]}"
            else:
                yield from worst_files(hits, worst)


def worst_files(hits: Sequence[Hit], number: int) -> Iterator[str]:
    """Describe the files with most hits, each by its first place and its most frequent texts.

    Args:
        hits: Places of one figure.
        number: Number of files.
    """
    for path, count in Counter(hit.path for hit in hits).most_common(number):
        in_file = [hit for hit in hits if hit.path == path]
        common = ", ".join(
            text[:60] for text, _ in Counter(hit.text for hit in in_file).most_common(4)
        )
        yield f"  {path}:{in_file[0].line} ({count}): {common[:_SHOWN]}"


def measure(paths: Sequence[Path] = ()) -> Report:
    """Measure the language of the code and of the documents.

    Args:
        paths: Files and folders to read instead of the whole repository.

    Raises:
        ValueError: If a path does not exist.
    """
    code = sources(paths or CODE)
    pages = texts(paths or TEXTS)
    blocks = [hit for path, text in pages.items() for hit in prose.paragraphs(path, text)]
    parts = [hit._replace(text=part) for hit in blocks for part in prose.sentences(hit.text)]
    hits: dict[str, list[Hit]] = {
        "vague_names": [hit for file in code for hit in names.vague_names(file)],
        "docstring_openers": [hit for file in code for hit in docstrings.docstring_openers(file)],
        "what_lines": [
            hit
            for path, text in {**{file.path: file.text for file in code}, **pages}.items()
            for hit in docstrings.what_lines(path, text)
        ],
        "argument_openers": [hit for file in code for hit in docstrings.argument_openers(file)],
        "sentence_words": [hit for hit in parts if prose.words(hit.text) > SENTENCE_WORDS],
        "paragraph_words": [hit for hit in blocks if prose.words(hit.text) > PARAGRAPH_WORDS],
        "private_names": [hit for file in code for hit in names.private_names(file)],
    }
    assignments = sum(len(names.local_names(file)) for file in code)
    documented = sum(1 for file in code for _ in docstrings.docstrings(file))
    lines = sum(len(file.code_lines) for file in code)
    values = {
        "vague_names": 1000 * len(hits["vague_names"]) / max(assignments, 1),
        "docstring_openers": 100 * len(hits["docstring_openers"]) / max(documented, 1),
        "what_lines": len(hits["what_lines"]),
        "argument_openers": len(hits["argument_openers"]),
        "sentence_words": percentile([prose.words(hit.text) for hit in parts], 0.9),
        "paragraph_words": percentile([prose.words(hit.text) for hit in blocks], 0.9),
        "comments": 1000 * sum(len(file.comments) for file in code) / max(lines, 1),
        "private_words": len({PRIVATE[hit.text] for hit in hits["private_names"]}),
        "private_names": len(hits["private_names"]),
    }
    figures = figures_of(LANGUAGE, values, "" if paths else "language")
    return Report(figures, hits, listed=bool(paths))
