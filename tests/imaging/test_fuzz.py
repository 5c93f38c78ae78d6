"""Damaged files of every format are done or failed, and finished files are whole.

A short version of scripts/tool fuzz, in this process, with the same damage each time.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final

import pytest
from PIL import Image
from toolkit.mutations import damaged, dealt, opens_whole, retyped
from toolkit.specimens import Specimen, specimens

from imgbatch.imaging import formats
from imgbatch.model import Job, Limits, Result, Run, Source, Target
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import worker
from imgbatch.store import worker_log

SPECIMENS: Final = specimens()
FAMILIES: Final = sorted({formats.SUFFIXES[one.suffix].name for one in SPECIMENS})
PER_FORMAT: Final = 60

RECIPES: Final = (
    Recipe.from_options(sizes=["32"]),
    Recipe.from_options(sizes=["32"], format="webp", metadata="no-gps"),
    Recipe.from_options(sizes=["32"], profile="srgb", filters=["sharpen", "autocontrast"]),
    Recipe.from_options(sizes=["32"], format="tiff"),
    Recipe.from_options(format="png", metadata="copyright"),
    Recipe.from_options(sizes=["24x24"], fit="cover", format="jpeg", metadata="no-gps"),
)


def of_format(name: str) -> list[Specimen]:
    return [one for one in SPECIMENS if formats.SUFFIXES[one.suffix].name == name]


def made(data: bytes, suffix: str, recipe: Recipe, folder: Path) -> Result:
    """Process one file; nothing may be left in the folder except it and the output."""
    for name in left(folder):
        (folder / name).unlink()
    # The journal makes this, which the worker does not know.
    (folder / worker_log.FOLDER).mkdir(exist_ok=True)
    path = folder / f"in{suffix}"
    path.write_bytes(data)
    (output,) = recipe.outputs
    target = Target(output.name, str(folder), "out", any_suffix=True)
    job = Job(Source(str(folder), path.name, len(data), 0), (target,))
    # Some damage makes a header claim a huge size; memory is not what is tested here.
    run = Run("word", str(folder), Limits(max_pixels=4_000_000))
    result = worker.process(job, 1.0, recipe, run)
    assert result is not None
    return result


def left(folder: Path) -> set[str]:
    """The names of the files there, without what imgbatch keeps for itself."""
    return {name for name in os.listdir(folder) if name != worker_log.FOLDER}


@pytest.mark.slow
@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_whole_files_are_done(tmp_path: Path, specimen: Specimen) -> None:
    # Otherwise damage to them would prove nothing.
    result = made(specimen.data, specimen.suffix, RECIPES[0], tmp_path)

    assert result.status == "done"
    assert "exif-broken" not in {notice.kind for notice in result.notices}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_damaged_files_are_done_or_failed_and_finished_files_are_whole(
    tmp_path: Path, name: str
) -> None:
    rng = Random(f"imgbatch {name}")
    statuses = set()
    for specimen in dealt(of_format(name), PER_FORMAT, rng):
        data, damage = damaged(specimen, SPECIMENS, rng)
        recipe = rng.choice(RECIPES)

        result = made(data, specimen.suffix, recipe, tmp_path)

        story = f"{specimen.name}: {damage}: {result.failure}"
        assert_sane(result, tmp_path, story)
        statuses.add(result.status)
    assert statuses == {"done", "failed"}


# Resolution and its unit, XMP, profile: what Pillow returns for them depends on their type.
@pytest.mark.slow
@pytest.mark.parametrize("tag", [0x011A, 0x0128, 0x02BC, 0x8773])
@pytest.mark.parametrize("recipe", [RECIPES[0], RECIPES[1], RECIPES[5]])
def test_tag_of_any_type_is_not_an_internal_error(tmp_path: Path, tag: int, recipe: Recipe) -> None:
    (tiff,) = (one.data for one in SPECIMENS if one.name == "everything.tif")

    for kind in range(15):
        for count in (0, 1, 2):
            result = made(retyped(tiff, tag, kind, count), ".tif", recipe, tmp_path)

            # The pixels are intact, whatever the metadata are.
            assert result.status == "done", f"type {kind}, {count} values: {result.failure}"
            assert_sane(result, tmp_path, f"type {kind}, {count} values")


def test_broken_profile_in_a_file_of_several_pages_is_found(tmp_path: Path) -> None:
    # Counting the pages reads their headers, and the first one's once more.
    page, file = Image.new("RGB", (60, 40), "teal"), BytesIO()
    page.save(file, "TIFF", save_all=True, append_images=[page], icc_profile=b"profile")

    for kind in (3, 4, 5, 12):
        result = made(retyped(file.getvalue(), 0x8773, kind, 1), ".tif", RECIPES[1], tmp_path)

        assert result.status == "done", f"type {kind}: {result.failure}"
        assert "profile-dropped" in {notice.kind for notice in result.notices}


def assert_sane(result: Result, folder: Path, story: str) -> None:
    given = {result.source.relative}
    if result.status == "failed":
        assert result.failure is not None, story
        assert result.failure.stage != "worker", story
        assert result.failure.kind != "internal", story
        assert not result.written, story
        assert left(folder) == given, story
        return
    assert result.status == "done", story
    (written,) = result.written
    data = Path(written.path).read_bytes()
    assert opens_whole(data).size == (written.width, written.height), story
    assert len(data) == written.bytes, story
    assert left(folder) == given | {os.path.basename(written.path)}, story
