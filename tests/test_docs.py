"""The documents: their code runs, the site builds, and what is public is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.test_repository import PAGES, ROOT, blocks, load

MADE = load(ROOT / "docs" / "generate.py")
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
NEEDS = {
    "docs/backends.md": ("torch",),
    "docs/extending.md": ("autograd",),
    "docs/plots.md": ("matplotlib",),
}
MOST_PICTURE_BYTES = 60_000


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_in_the_pages_runs(page: Path, tmp_path: Path) -> None:
    """Blocks of a page one after the other in one folder, each from nothing; warnings fail it."""
    for need in NEEDS.get(name_of(page), ()):
        if find_spec(need) is None:
            lacking(need, f"{need} is not installed")
    for number, block in enumerate(blocks(page, "python"), 1):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"block {number} of {name_of(page)}:\n{done.stderr}"
        for stated in re.findall(r"# within (\d+) to (\d+)$", block, re.MULTILINE):
            rows = [int(word) for word in re.findall(r"\d+", done.stdout)]
            assert rows, f"block {number} of {name_of(page)} found nothing"
            assert all(int(stated[0]) <= row < int(stated[1]) for row in rows), done.stdout


def test_targets_of_make_in_the_pages_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:^ {0,4}|`)make ([a-z][a-z-]*)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


def steps_of_the_architecture() -> list[str]:
    """Numbered steps by which the page follows a record and a history, and calls of the step."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    numbered = re.findall(r"^\d+\. (.*)$", page, re.MULTILINE)
    calls = re.findall(r"^ *- (`[\w.]+`.* in `[\w/]+\.py`.*)$", page, re.MULTILINE)
    return numbered + calls


@pytest.mark.parametrize("step", steps_of_the_architecture())
def test_a_step_of_the_architecture_names_functions_that_exist(step: str) -> None:
    """A step ends with "`Class.method` and `function` in `path/to/file.py`"."""
    places = re.findall(r"((?:`[\w.]+`(?:, | and )?)+) in `([\w/]+\.py)`", step)
    assert places, "a step without a file and a function"
    for names, file in places:
        tree: ast.AST = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for name in re.findall(r"`([\w.]+)`", names):
            node = tree
            for part in name.split("."):
                node = next(n for n in ast.iter_child_nodes(node) if getattr(n, "name", "") == part)
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef), f"{file}: {name}"


def test_the_architecture_needs_few_terms() -> None:
    """At most 25 words that are not common knowledge, each linked to the glossary."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    terms = set(re.findall(r"\(glossary\.md#([\w-]+)\)", page))
    assert 0 < len(terms) <= 25


def test_terms_that_pages_link_are_in_the_glossary() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    there = set(re.findall(r'<a id="([\w-]+)"></a>', glossary))
    for page in PAGES:
        linked = re.findall(r"glossary\.md#([\w-]+)\)", page.read_text(encoding="utf-8"))
        assert set(linked) <= there, f"{name_of(page)}: {set(linked) - there}"


def test_sections_that_pages_link_exist() -> None:
    """A link to `page.md#section` leads to a heading of that page."""
    for page in PAGES:
        links = re.findall(r"\]\(([\w./-]+\.md)?#([\w-]+)\)", page.read_text(encoding="utf-8"))
        for file, section in links:
            text = (page.parent / file if file else page).read_text(encoding="utf-8")
            heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            slugs = {re.sub(r"[^\w\s-]", "", head).strip().lower() for head in heads}
            slugs = {re.sub(r"[\s-]+", "-", slug) for slug in slugs}
            slugs |= set(re.findall(r'<a id="([\w-]+)"></a>', text))
            assert section in slugs, f"{name_of(page)}: {file}#{section}"


def test_files_that_pages_name_exist() -> None:
    """Paths in code, from the repository's root; `name` stands for a file to be written."""
    tops = "ember_core|stream|tests|deploy|benchmarks|examples|checks|docs"
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(rf"`((?:{tops})/[\w./-]*)`", text):
            exists = (ROOT / path).exists() or path.endswith("/name.py")
            assert exists, f"{name_of(page)}: {path}"


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        if find_spec(package) is None:
            lacking("docs", f"{package} is not installed (make docs installs it)")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "ember_core.nn" / "index.html").read_text("utf-8")
    for name in ("AutoNCP", "CfCCell", "Recurrent"):
        assert f'id="ember_core.nn.{name}"' in page
    for made in (tmp_path / "site").rglob("*.html"):
        foreign = re.findall(r'<(?:script|img|iframe)[^>]*src="(https?:)', made.read_text("utf-8"))
        assert not foreign, f"{made} loads something from another host"


def members(module: str) -> Iterator[tuple[str, object]]:
    """Public classes, functions and methods of a module, each by its full name."""
    for name in MADE.surface(module):
        thing = getattr(importlib.import_module(module), name)
        if inspect.isfunction(thing):
            yield f"{module}.{name}", thing
        if not inspect.isclass(thing):
            continue
        yield f"{module}.{name}", thing
        for attribute, member in vars(thing).items():
            plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if isinstance(plain, property):
                plain = plain.fget
            if inspect.isfunction(plain) and not attribute.startswith("_"):
                yield f"{module}.{name}.{attribute}", plain


@pytest.mark.parametrize("module", MADE.REFERENCE)
def test_what_is_public_is_documented(module: str) -> None:
    """Each has a docstring of its own or, where it overrides, its base class's."""
    found = list(members(module))
    assert found
    silent = [name for name, thing in found if not inspect.getdoc(thing)]
    assert not silent


@pytest.mark.parametrize("module", MADE.REFERENCE)
def test_arguments_are_documented(module: str) -> None:
    """A function of several arguments names each, or says where they are: "as `Cell` says"."""
    wrong = []
    for name, thing in members(module):
        if inspect.isclass(thing):
            continue
        text = inspect.getdoc(thing) or ""
        arguments = [
            argument
            for argument in inspect.signature(thing).parameters
            if argument not in ("self", "cls") and not argument.startswith("_")
        ]
        if name == "stream.settings.Settings.settings_customise_sources":
            continue  # pydantic's
        lists = re.search(r"^Args:$(.*?)(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
        if lists is None and len(arguments) < 3:
            continue  # one sentence can say what one or two arguments are
        if re.search(r"\b(?:arguments|returns) as (?:of )?`[\w.]+`", text, re.IGNORECASE):
            continue
        said = set(re.findall(r"\w+", lists[1] if lists else text))
        wrong += [f"{name}: {a}" for a in arguments if a not in said]
    assert not wrong, "\n".join(wrong)


def test_pictures_are_those_of_their_script_and_of_their_page() -> None:
    pictures = load(ROOT / "docs" / "pictures.py")
    files = {path.stem: path for path in pictures.FOLDER.iterdir()}
    assert set(files) == set(pictures.PICTURES)
    page = (ROOT / "docs" / "plots.md").read_text("utf-8")
    assert set(re.findall(r"\]\(pictures/(\w+)\.png\)", page)) == set(files)
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert set(pictures.PICTURES.values()) <= examples
    for path in files.values():
        drawn = path.read_bytes()
        assert drawn.startswith(b"\x89PNG")
        assert len(drawn) < MOST_PICTURE_BYTES
