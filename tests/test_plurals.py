"""Counted nouns take the plural."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolkit.commands import imgbatch_text
from toolkit.pictures import saved, scene

from imgbatch.plurals import counted


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (1_234, "1234 lines")]
)
def test_only_one_is_singular(number: int, expected: str) -> None:
    assert counted(number, "line") == expected


def test_irregular_plural_and_format() -> None:
    assert counted(1_234, "entry", "entries", spec=",") == "1,234 entries"
    assert counted(1, "entry", "entries") == "1 entry"


@pytest.mark.slow
@pytest.mark.parametrize(("files", "words"), [(1, "1 warning in"), (2, "2 warnings in")])
def test_summary_counts_warnings(tmp_path: Path, files: int, words: str) -> None:
    (tmp_path / "in").mkdir()
    for number in range(files):
        (tmp_path / f"in/{number}.jpg").write_bytes(saved(scene(), "JPEG"))

    done = imgbatch_text("resize", "in", "-s", "500", "--enlarge", "-o", "out", cwd=tmp_path)

    assert words in done.stderr
