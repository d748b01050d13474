"""Structure of the code: imports, sizes, and the calls between the fetch and the liquid cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checks.figures import COLUMNS, STRUCTURE, Figure, as_json, figures_of, percentile, table
from checks.files import CODE, PACKAGES, Hit, Source, sources
from checks.imports import circles, graph, private_imports
from checks.names import private_words
from checks.sizes import Package, long_signatures, over, packages
from checks.way import WAY, around, files_of
from checks.words import PRIVATE


@dataclass(frozen=True)
class Report:
    """Figures of the structure with the places they count.

    Attributes:
        figures: Figures by name.
        circles: Modules of each import circle, imports for types included.
        hits: Places by name of the figure.
        longest: Files over 300 lines.
        packages: Sizes by folder.
        way: Calls of the way; empty where they were not asked for.
        words: Private words by file, for the files of the way and what they import.
    """

    figures: Mapping[str, Figure]
    circles: Sequence[Sequence[str]]
    hits: Mapping[str, Sequence[Hit]]
    longest: Sequence[Source]
    packages: Sequence[Package]
    way: Sequence[str]
    words: Mapping[str, Sequence[str]]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "figures": as_json(self.figures),
            "circles": self.circles,
            **{name: [hit._asdict() for hit in hits] for name, hits in self.hits.items()},
            "longest_files": {source.path: len(source.lines) for source in self.longest},
            "packages": {package.name: package._asdict() for package in self.packages},
            "way": WAY,
            "words": self.words,
        }

    def lines(self, worst: int) -> Iterator[str]:
        """Print the table and its places.

        Args:
            worst: Number of places per figure; 0 for the table alone.
        """
        figures = [figure.row() for figure in self.figures.values()]
        yield from table([["structure", *COLUMNS], *figures])
        if self.way:
            yield "\ncalls from the fetch to the liquid cell"
            yield from (f"  {number:>2} {name}" for number, name in enumerate(self.way, 1))
            yield "\nprivate words by file"
            yield from (f"  {path}: {', '.join(words)}" for path, words in self.words.items())
        if not worst:
            return
        if self.circles:
            yield "\nimport circles, with imports for types only"
            yield from (f"  {' '.join(circle)}" for circle in self.circles[:worst])
        for name, hits in self.hits.items():
            if hits:
                yield f"\n{STRUCTURE[name].title}: {len(hits)}"
                yield from (f"  {path}:{line}: {text}" for path, line, text in hits[:worst])
                yield from _rest(len(hits) - worst)
        if self.longest:
            yield "\nfiles over 300 lines"
            yield from (f"  {source.path}: {len(source.lines)}" for source in self.longest[:worst])
            yield from _rest(len(self.longest) - worst)
        rows = [[name, *(f"{size:,}" for size in sizes)] for name, *sizes in self.packages]
        yield ""
        yield from table([["folder", "files", "lines", "code"], *rows])


def _rest(number: int) -> Iterator[str]:
    if number > 0:
        yield f"  and {number} more (--worst {10 * (number // 10 + 2)})"


def measure(list_way: bool = False) -> Report:
    """Measure the structure of the packages.

    Args:
        list_way: True keeps the calls and the words of the way for the printed report.

    Raises:
        ValueError: If the calls declared in `checks/way.py` are out of date.
    """
    all_code = sources(CODE)
    code = [source for source in all_code if source.module.split(".")[0] in PACKAGES]
    way = files_of(WAY, code)
    neighbours = around(way, code)
    words = {source.path: sorted(private_words(source)) for source in neighbours}
    way_terms = {PRIVATE[word] for source in way for word in words[source.path]}
    terms = {PRIVATE[word] for listed in words.values() for word in listed}
    types = circles(graph(code, with_types=True))
    hits = {
        "private_imports": private_imports(all_code),
        "long_signatures": long_signatures(code),
    }
    lengths = [len(source.lines) for source in code]
    sizes = packages(code)
    values = {
        "circles": len(circles(graph(code))),
        "circles_with_types": len(types),
        "private_imports": len(hits["private_imports"]),
        "long_signatures": len(hits["long_signatures"]),
        "call_depth": len(WAY),
        "way_files": len(way),
        "way_files_around": len(neighbours),
        "way_words": len(way_terms),
        "way_words_around": len(terms),
        "files": len(code),
        "file_median": percentile(lengths, 0.5),
        "file_p90": percentile(lengths, 0.9),
        "files_over_300": len(over(code, 300)),
        "files_over_500": len(over(code, 500)),
        "lines": sum(lengths),
        "code_lines": sum(package.code_lines for package in sizes),
    }
    figures = figures_of(STRUCTURE, values, "structure")
    return Report(
        figures=figures,
        circles=types,
        hits=hits,
        longest=over(code, 300),
        packages=sizes,
        way=WAY if list_way else (),
        words=words,
    )
