"""What is remembered of a file survives the log and the journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbatch.model import About, FileState, Made
from imgbatch.store import about, worker_log
from imgbatch.store.worker_log import FOLDER, Entry

# Names that are not UTF-8 have surrogates.
TEXT = st.text(st.characters(), max_size=20) | st.just("of b\udcff.jpg\n")
ABOUTS = st.builds(
    About,
    *(st.integers(1, 2**31), st.integers(1, 2**31)),
    # Names of formats are words.
    *(st.text(st.characters(codec="utf-8"), max_size=20), st.booleans()),
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)
MADE = Made(b"/a", 1, 2, "digest", 3, 4, hash=5)


@pytest.mark.slow
@given(ABOUTS)
@settings(deadline=None, database=None)
def test_it_survives_the_journal(one: About) -> None:
    told, warnings = about.packed(one, 5)
    row = MADE._replace(about=told, warnings=warnings)

    assert about.of(row) == one
    assert about.is_warned(row) == bool(one.warnings)
    assert about.of(row._replace(hash=6)) is None


def test_it_survives_the_log_in_a_line_that_earlier_versions_read(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    one = About(30, 20, "jpeg", False, (("damaged", "of b\udcff.jpg"),))
    entry = Entry("a.jpg", FileState(1, 2, 3, 4), None, 5, 6, about=one)
    kept = Entry("b.jpg", FileState(1, 2, 3, 4), None, 5, 6, kept=True)

    worker_log.write(str(tmp_path), "run", [entry, kept])

    (log,) = worker_log.logs(str(tmp_path))["run"]
    assert list(worker_log.read_all(log)) == [entry, kept]
    lines = Path(log).read_text().splitlines()
    # They take a sixth field that is not `true` for a published file.
    assert [line.count("[") for line in lines] == [5, 2]
    assert lines[1].endswith(",5,6,true]")


@pytest.mark.parametrize("column", [1, "{", "[5,1,2,3,false]", "[5,1,2]", "[" * 100_000, None])
def test_anything_else_is_nothing(column: object) -> None:
    row = MADE._replace(about=column, warnings='[["damaged","x"]]')  # type: ignore[arg-type]

    assert about.of(row) is None
    assert not about.is_warned(row)
