"""What a commit says of a partition: nothing accepted is sent again, nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.bridge._progress import Progress

OFFSETS = st.sets(st.integers(0, 3_000), max_size=2_000)


@given(st.integers(0, 3_001), OFFSETS, st.none() | st.integers(0, 3_000))
def test_a_restart_knows_what_was_accepted(
    position: int, unsent: set[int], oldest: int | None
) -> None:
    """Exactly; where the metadata has no room, it takes less for accepted, never more."""
    unsent = {offset for offset in unsent if offset < position}
    progress = Progress.of(position, unsent, oldest, {})
    text = progress.metadata()
    assert len(text) <= 4_000
    read = Progress.read(progress.offset, text)
    assert read.oldest == oldest
    assert read.start <= progress.offset
    for offset in range(position + 2):
        accepted = offset < position and offset not in unsent
        assert read.is_sent(offset) <= accepted
        if "read-to" in text or not unsent:
            assert read.is_sent(offset) == accepted


def test_threads_are_kept_the_newest_first_where_room_ends() -> None:
    threads = {f"{n:010x}": f"1700000000.{n:06d}" for n in range(500)}
    progress = Progress.of(10, {3, 4, 7}, 2, threads)
    read = Progress.read(progress.offset, progress.metadata())
    assert (read.offset, read.read_to, read.unsent, read.oldest) == (3, 10, ((3, 4), (7, 7)), 2)
    kept = list(read.threads)
    assert 50 < len(kept) < 500
    assert kept == list(threads)[-len(kept) :]


def test_an_offset_set_by_another_tool_is_all_there_is() -> None:
    for metadata in ("", "made by hand", "firing-from=x read-to=? unsent=a-b"):
        progress = Progress.read(7, metadata)
        assert (progress.start, progress.is_sent(6), progress.is_sent(7)) == (7, True, False)
