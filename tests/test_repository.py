"""The repository keeps its own rules: imports, documents, names, commands."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SKIPPED = re.compile(r"(?:^|/)(?:__pycache__|build|dist|site|\.(?!ci/|github/)[^/]+)/")
LONG_LINES = 500
SOURCE = re.compile(r"https://github\.com/ember-stream/ember-stream/(?:tree|blob)/main/")

# In halves, so that this file keeps the rule too.
FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.])/(?:work|ro" + r"ot|home/\w+|Users/\w+)/",
    "a package registry": "|".join(
        re.escape(f"{a}{b}")
        for a, b in (
            ("pypi", ".org"),
            ("python", "hosted"),
            ("registry.", "npmjs"),
            ("repo1.", "maven"),
            ("repo.maven", ".apache"),
            ("artifact", "ory"),
        )
    ),
    "an unfinished thought": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


@cache
def tracked() -> list[Path]:
    """Files of the repository, also those not committed yet."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        listed = subprocess.run(
            [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        found = [ROOT / name for name in names if not SKIPPED.search(name)]
    return sorted(path for path in found if path.is_file())


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


@cache
def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def load(path: Path) -> ModuleType:
    """A script that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_imports_point_one_way() -> None:
    """import-linter's contracts hold."""
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed (make check installs it)")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("what", FORBIDDEN)
def test_files_hold_nothing_they_should_not(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in tracked():
        if "vendor" in path.parts:
            continue  # unchanged files of others, held by their digests
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, f"{what}: " + "\n".join(found)


def test_a_long_file_says_why_it_is_one() -> None:
    silent = []
    for path in python_files():
        source = path.read_text(encoding="utf-8")
        lines = source.count("\n")
        if lines <= LONG_LINES:
            continue
        about = ast.get_docstring(ast.parse(source)) or ""
        if not re.search(r"\b(?:long|one file|lines)\b", about):
            silent.append(f"{path.relative_to(ROOT)} ({lines} lines)")
    assert not silent


def test_packages_show_their_surface() -> None:
    """What an `__init__` takes from its package it hands on: `from ._x import X as X`."""
    hidden = []
    for path in python_files():
        if path.name != "__init__.py" or not {"ember_core", "stream"} & set(path.parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = ".".join(path.relative_to(ROOT).parent.parts)
        listed: set[str] = set()
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                listed = set(ast.literal_eval(node.value))
        for node in tree.body:
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level == 0 and not f"{node.module}.".startswith(f"{package}."):
                continue
            hidden += [
                f"{path.relative_to(ROOT)}: {alias.name}"
                for alias in node.names
                if alias.asname != alias.name and (alias.asname or alias.name) not in listed
            ]
    assert not hidden


def test_what_packages_show_is_there() -> None:
    for package in ("ember_core.ops", "ember_core.nn", "ember_core.data", "ember_core.models"):
        module = importlib.import_module(package)
        shown = [name for name in vars(module) if not name.startswith("_")]
        assert shown
        assert all(getattr(module, name) is not None for name in shown)


@pytest.mark.slow
def test_the_readme_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten lines, run as they stand; the neuron fires while the sensor sticks."""
    (example,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    exec(compile(example, "README.md", "exec"), {})
    fired = [int(word) for word in re.findall(r"\d+", capsys.readouterr().out)]
    assert fired
    assert all(3500 <= row < 3520 for row in fired)


def commands() -> list[str]:
    """Lines of the pages' blocks that call `ember`."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"^(?: {4})?(ember [a-z].*)$", text, re.MULTILINE)
        found += [re.split(r"\s{2,}", line)[0] for line in lines]  # what follows is prose
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_commands_in_the_docs_are_commands(line: str) -> None:
    from stream.cli import build

    command, bound, *_ = build().parse_args(
        shlex.split(line)[1:], exit_on_error=False, print_error=False
    )
    assert callable(command)
    assert bound is not None


def test_links_lead_somewhere() -> None:
    broken = []
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        for link in links:
            here = SOURCE.match(link)  # pages of the site lead to other files by their address
            place = ROOT / link[here.end() :] if here else page.parent / link
            if (here or "://" not in link) and not place.exists():
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken


def test_made_parts_of_the_docs_are_current() -> None:
    """`make docs` would change nothing."""
    made = load(ROOT / "docs" / "generate.py")
    for name, wanted in made.files().items():
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert text == wanted, f"docs/{name} is out of date: run `make docs`"


def requirement_rows() -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    text = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[SA]\d+", cells[0]):
            assert cells[0] not in rows, f"{cells[0]} is there twice"
            rows[cells[0]] = cells[1:]
    return rows


def test_every_requirement_has_its_row() -> None:
    wanted = [f"S{n}" for n in range(1, 72)] + [f"A{n}" for n in range(1, 11)]
    rows = requirement_rows()
    assert list(rows) == wanted
    for name, (_what, state, _where, shown, missing) in rows.items():
        assert state in ("yes", "partly", "open"), name
        assert bool(missing) == (state != "yes"), f"{name}: {state}, and missing: {missing!r}"
        assert shown or state != "yes", f"{name} is said to hold and names no test"


@pytest.mark.parametrize("name", requirement_rows())
def test_requirements_point_to_what_exists(name: str) -> None:
    _what, _state, where, shown, _missing = requirement_rows()[name]
    for place in re.findall(r"`([^`]+)`", where):
        assert (ROOT / place).exists(), place
    for test in re.findall(r"`([^`]+)`", shown):
        file, _, function = test.partition("::")
        assert (ROOT / file).is_file(), file
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {function}\(", source, re.MULTILINE), test


def test_required_packages_are_declared() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    declared = {re.split(r"[^\w-]", entry)[0] for entry in project["dependencies"]}
    wanted = {"faust-streaming", "aiokafka", "numpy", "pandas", "prometheus-client"}
    assert wanted <= declared
    assert {"torch", "mlx"} <= project["optional-dependencies"].keys()


def test_the_workflow_runs_every_python_that_is_promised() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    promised = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    matrix = re.search(r"python: \[(.*?)\]", workflow)
    assert matrix is not None
    assert re.findall(r"3\.\d+", matrix[1]) == promised


def test_make_lists_its_targets() -> None:
    """Every target that is not a file is in the list of `make`, with a sentence."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    listed = subprocess.run(
        [make, "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^  make (\S+)", listed, re.MULTILINE) == phony[1].split()
