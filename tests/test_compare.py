"""scripts/compare: that its table covers everything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from commands import imgbatch_here, plant
from tools.compare import sources
from tools.compare.recipes import ALL, FEW, TABLE, Entry, lacking, own_operations, works

ROOT: Final = Path(__file__).parent.parent
ENTRY: Final = Entry("some", ("resize ALL -o out",))


# The table


def test_the_table_covers_all_that_there_is() -> None:
    assert lacking() == []


def test_what_the_table_does_not_cover_is_told() -> None:
    missing = lacking([entry for entry in TABLE if "gif" not in entry.name])
    assert {"format of format gif", "dither of format gif"} & set(missing)
    assert "operation blur" in lacking([ENTRY])
    assert "command formats" in lacking([ENTRY])
    assert {f"operation {name}" for name in own_operations()} <= set(lacking([ENTRY]))


def test_names_of_entries_are_their_own() -> None:
    names = [entry.name for entry in TABLE]
    assert len(set(names)) == len(names) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_every_entry_means_what_this_version_understands(entry: Entry, tmp_path: Path) -> None:
    place = tmp_path / "entry"
    plant(place, "in/a.jpg", "in/b.dng")
    sources.plant_assets(tmp_path / "assets")
    for name, text in entry.files.items():
        (place / name).write_text(text)
    for words in entry.words():
        given = ["in" if word in (ALL, FEW) else word for word in words]
        if works(words):
            given.append("--dry-run")
        run = imgbatch_here(*given, cwd=place, stdin=entry.stdin.encode())
        assert (run.returncode == 2) == entry.refused, (given, run.stderr.decode())


def test_the_pictures_are_always_the_same_and_no_two_have_one_stem() -> None:
    made = list(sources.made())
    stems = [one.name.rpartition(".")[0] for one in made]
    assert len(set(stems)) == len(stems)
    again = {one.name: one.data for one in sources.made()}
    # An animated AVIF holds the moment at which it was written.
    assert all(again[one.name] == one.data for one in made if one.name != "moving-avif.avif")
