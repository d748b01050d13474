"""The file does what a dictionary does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.engine.state.spill import Spilled
from stream.errors import UserError
from stream.kafka.recovery.spill_files import SpillFiles
from tests.conftest import examples
from tests.simulation.spill import NEVER_US, DictSpill

KEYS = st.sampled_from([b"a", b"b", b"", b"\x00\xff", b"k" * 600])
ROWS = st.builds(Spilled, KEYS, st.binary(max_size=40), st.sampled_from([-7, 3, 11, NEVER_US]))
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(ROWS, max_size=5)),
    st.tuples(st.just("get"), st.lists(KEYS, max_size=5)),
    st.tuples(st.just("remove"), st.lists(KEYS, max_size=3)),
    st.tuples(st.just("due"), st.integers(-9, 13)),
)


@given(st.lists(STEPS, max_size=20))
@settings(max_examples=examples(40))
def test_a_file_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    files = SpillFiles(tmp_path_factory.mktemp("spill"), 2**40)
    file, model = files(), DictSpill()
    for name, what in steps:
        found, expected = getattr(file, name)(what), getattr(model, name)(what)
        assert (sorted(found) if name == "due" else found) == (
            sorted(expected) if name == "due" else expected
        )
        assert len(file) == len(model)
        assert file.next_due() == model.next_due()
    file.close()


def test_beyond_its_bytes_the_oldest_rows_are_forgotten(tmp_path: Path) -> None:
    files = SpillFiles(tmp_path, 400_000)
    file = files()
    forgotten: list[bytes] = []
    for begin in range(0, 1000, 50):
        rows = [Spilled(b"%04d" % i, bytes(1000), NEVER_US) for i in range(begin, begin + 50)]
        forgotten += [key for key, _ in file.put(rows)]
        assert files.used() <= 400_000
    assert forgotten == [b"%04d" % i for i in range(len(forgotten))]
    assert 0 < len(file) == 1000 - len(forgotten)
    assert set(file.get([b"0000", b"0999"])) == {b"0999"}


def test_a_folder_that_cannot_be_written_to_is_named_when_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = SpillFiles(tmp_path / "file" / "spill", 1)()
    assert file.get([b"a"]) == {}
    assert file.due(3) == []
    with pytest.raises(UserError, match=r"Not a directory\. Expected a state\.directory"):
        file.put([Spilled(b"a", b"row", NEVER_US)])


def test_nothing_is_on_disk_before_a_row_has_to_go(tmp_path: Path) -> None:
    files = SpillFiles(tmp_path / "spill", 1)
    file = files()
    file.remove([b"a"])
    assert files.used() == 0
    assert not (tmp_path / "spill").exists()
    file.close()


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    file = SpillFiles(tmp_path, 2**40)()
    file.put([Spilled(b"a", bytes(1000), NEVER_US)])
    file._db.execute("pragma max_page_count = 8")  # SQLite's own word for a full disk
    with pytest.raises(UserError, match=rf"full\. .*Received: {tmp_path}, max.*Free disk space"):
        file.put([Spilled(b"%d" % i, bytes(1000), NEVER_US) for i in range(50)])
    file.close()


@pytest.mark.parametrize(
    ("name", "given"), [("get", [b"a"]), ("remove", [b"a"]), ("due", 13), ("page", 0)]
)
def test_whatever_the_disk_refuses_is_named(tmp_path: Path, name: str, given: object) -> None:
    file = SpillFiles(tmp_path, 2**40)()
    file.put([Spilled(b"a", b"row", 7)])
    file._db.execute("drop table rows")  # the same kind of error as one of the disk
    with pytest.raises(UserError, match=r"state\.directory"):
        getattr(file, name)(*([given, 5] if name == "page" else [given]))
    file.close()
