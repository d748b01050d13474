"""Counters of the structure check on snippets with known answers, and the declared calls."""

from __future__ import annotations

import pytest

from checks import structure
from checks.files import PACKAGES, Source, sources
from checks.imports import circles, graph, private_imports
from checks.sizes import long_signatures, over, packages
from checks.way import WAY, around, files_of


def code(**files: str) -> list[Source]:
    """Files of a package `p`, by name; a double underscore stands for a slash."""
    return [Source(f"p/{name.replace('__', '/')}.py", text) for name, text in files.items()]


TREE = code(
    a="from p import b\nfrom .sub import c\n",
    b="import p.a\n",
    sub__c="from . import d\nimport typing\nif typing.TYPE_CHECKING:\n    from ..e import E\n",
    sub__d="def later():\n    from p.sub import c\n",
    e="from p.sub.c import C\nimport os\n",
)


def test_modules_imported_when_a_module_is_loaded():
    assert graph(TREE) == {
        "p.a": {"p.b", "p.sub.c"},
        "p.b": {"p.a"},
        "p.sub.c": {"p.sub.d"},
        "p.sub.d": set(),
        "p.e": {"p.sub.c"},
    }


def test_circles_with_and_without_imports_for_types():
    assert circles(graph(TREE)) == [["p.a", "p.b"]]
    assert circles(graph(TREE, with_types=True)) == [["p.a", "p.b"], ["p.e", "p.sub.c"]]


def test_a_package_belongs_to_a_circle_by_its_init():
    package = [
        Source("p/__init__.py", "from ._x import X as X\n"),
        Source("p/_x.py", "from p import Y\n"),
    ]
    assert circles(graph(package)) == [["p", "p._x"]]


def test_private_files_and_names_are_imported_by_their_folder_only():
    files = [
        *code(_x="_hidden = X = 1\n", y="_name = open_ = 1\n", sub___z="Z = 1\n"),
        Source("p/__init__.py", "from ._x import X as X\nfrom .y import _name\n"),
        Source("p/sub/__init__.py", "from ._z import Z as Z\nfrom .._x import X, _hidden\n"),
        Source("q/user.py", "from p import _x\nfrom p.y import _name, open_\nfrom p import X\n"),
        Source("p/top.py", "def f():\n    import p.sub._z\n    from __future__ import x\n"),
    ]
    hits = private_imports(files)
    assert [(hit.path, hit.line, hit.text) for hit in hits] == [
        ("p/sub/__init__.py", 2, "p._x X, _hidden"),
        ("q/user.py", 1, "p _x"),
        ("q/user.py", 2, "p.y _name"),
        ("p/top.py", 2, "p.sub._z"),
    ]


def test_long_signatures():
    ten = ", ".join(f"a{n}" for n in range(10))
    files = [
        Source("p/a.py", f"def f({ten}): ...\ndef g(a, b, *c, d, **e): ...\n"),
        Source("p/b.py", f"class A:\n    def f(self, {ten[4:]}): ...\n"),
        Source("p/c.py", f"class A:\n    def f(self, *, {ten}): ...\n"),
        Source("stream/cli/_run.py", f"def run({ten}): ...\n"),
    ]
    assert [(hit.path, hit.text) for hit in long_signatures(files)] == [
        ("p/a.py", "f (10)"),
        ("p/c.py", "f (10)"),
    ]


def test_sizes_by_folder():
    files = [Source("p/a.py", "a = 1\n\n# why\nb = 2\n"), Source("p/q/b.py", "a = 1\n" * 7)]
    assert packages(files) == [("p", 1, 4, 2), ("p.q", 1, 7, 7)]
    assert [source.path for source in over(files, 4)] == ["p/q/b.py"]


CALLS = code(
    a="from p.b import B\n\nclass A:\n    def run(self):\n        self.b.step()\n",
    b="import p.c\n\nclass B:\n    def step(self):\n        return self.cell()\n",
    c="class C:\n    def __call__(self): ...\n",
)


def test_files_of_declared_calls():
    way = ["p.a.A.run", "p.b.B.step", "p.c.C.__call__"]
    assert [source.path for source in files_of(way, CALLS)] == ["p/a.py", "p/b.py", "p/c.py"]
    assert [source.path for source in around(CALLS[:1], CALLS)] == ["p/a.py", "p/b.py"]


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (["p.a.A.walk"], "'p.a.A.walk'"),
        (["p.z.run"], "'p.z.run'"),
        (["p.b.B.step", "p.a.A.run"], "step does not call"),
    ],
)
def test_a_stale_list_of_calls_is_refused(way, message):
    with pytest.raises(ValueError, match="out of date") as caught:
        files_of(way, CALLS)
    assert message in str(caught.value)


def test_the_declared_calls_exist():
    assert files_of(WAY, sources(PACKAGES))


def test_a_report_has_every_figure():
    report = structure.measure(list_way=True)
    assert report.figures["call_depth"].now == len(WAY)
    assert report.figures["circles"].now == 0
    lines = list(report.lines(2))
    assert any(WAY[0] in line for line in lines)
    assert report.as_json()["packages"]["stream.engine"]["files"] > 5
