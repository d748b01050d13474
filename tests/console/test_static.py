"""The files of the page: small modules that parse, no foreign host, no markup made of text."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from stream.console.app import STATIC
from tests.conftest import lacking

VENDOR = STATIC / "vendor"
MODULES = sorted(p for p in STATIC.rglob("*.js") if VENDOR not in p.parents)
MARKUP = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=")
TEXTS = [*MODULES, *STATIC.glob("*.css"), *STATIC.glob("*.html"), *STATIC.glob("*.svg")]


def name_of(path: Path) -> str:
    return path.relative_to(STATIC).as_posix()


def test_the_library_is_the_one_that_is_noted() -> None:
    folder = VENDOR / "uplot"
    source = tomllib.loads((folder / "SOURCE.toml").read_text(encoding="utf-8"))
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "SOURCE.toml"
    }
    assert digests == source["sha256"]
    assert f"(v{source['version']})" in (folder / "uPlot.esm.js").read_text(encoding="utf-8")[:400]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_parses_and_is_small(module: Path) -> None:
    node = shutil.which("node")
    if node is None:
        lacking("browser", "node is not installed (apt install nodejs)")
    # From stdin, and as a module whatever a package file above says.
    done = subprocess.run(
        [node, "--check", "--input-type=module", "-"],
        input=module.read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(module.read_text(encoding="utf-8").splitlines()) < 310


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_of_a_module_are_files(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    imports = r'(?:^import |^} from |^import .* from |import\()"([^"]+)"'
    for target in re.findall(imports, text, re.MULTILINE):
        assert target.startswith("."), f"{target} is no file beside it"
        assert (module.parent / target).resolve().is_file(), target


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_nothing_comes_from_another_host_or_becomes_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    # Examples of addresses in texts are no requests.
    assert re.findall(r"https?://(?!worker-)", text) == []
    for word in MARKUP:
        assert word not in text, word


def test_every_file_of_the_page_is_linked() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for target in re.findall(r'(?:href|src)="/static/([^"]+)"', page):
        assert (STATIC / target).is_file(), target
    for style in STATIC.glob("*.css"):
        assert f"/static/{style.name}" in page
