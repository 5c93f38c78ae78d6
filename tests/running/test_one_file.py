"""One picture: into the file that is named, in the format of its suffix, or beside its original."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from PIL import Image
from toolkit.commands import imgbatch, imgbatch_here, imgbatch_text
from toolkit.folders import SMALL, files, plant, planted

import imgbatch as library
from imgbatch.recipes.recipe import Recipe

LOSSY = '[[output]]\nname = "web"\nsize = 20\nquality = 50\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return plant(tmp_path, "a.jpg", "s/b.jpg", "ü {x}/c d.jpg")


def planned(place: Path, typed: str) -> str:
    run = imgbatch_here(*shlex.split(typed), "-n", cwd=place)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().strip()


def test_output_with_a_suffix_is_that_file_in_that_format(place: Path) -> None:
    run = imgbatch_text("resize", "a.jpg", "-s", "20", "-o", "new/sub/b.webp", cwd=place)

    assert run.stderr.startswith("1 done: new/sub/b.webp · ")
    with Image.open(place / "new/sub/b.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (20, 13))
    assert files(place / "new") == ["sub/b.webp"]

    again = imgbatch_text("resize", "a.jpg", "-s", "20", "-o", "new/sub/b.webp", cwd=place)

    assert again.stderr == "1 up to date: new/sub/b.webp\n"


def test_own_file_is_remade_with_other_options_and_a_foreign_one_stays(place: Path) -> None:
    imgbatch("resize", "a.jpg", "-s", "20", "-o", "b.png", cwd=place)
    imgbatch("resize", "a.jpg", "-s", "10", "-o", "b.png", cwd=place)
    with Image.open(place / "b.png") as picture:
        assert picture.size == (10, 7)

    plant(place, "b.png", data=b"somebody's")
    refused = imgbatch_text("resize", "a.jpg", "-s", "20", "-o", "b.png", cwd=place)
    assert refused.returncode == 2
    assert "b.png was changed since imgbatch made it" in refused.stderr
    assert (place / "b.png").read_bytes() == b"somebody's"

    words = ("resize", "a.jpg", "-s", "20", "-o", "b.png", "--on-conflict", "overwrite")
    assert imgbatch(*words, cwd=place).returncode == 0
    with Image.open(place / "b.png") as picture:
        assert picture.size == (20, 13)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("resize a.jpg -o b.JPG", "a.jpg -> b.JPG"),
        ("resize a.jpg -o {odd}.jpeg", "a.jpg -> {odd}.jpeg"),
        ("resize 'ü {x}/c d.jpg' -o 'ü {x}/é f.png'", "ü {x}/c d.jpg -> ü {x}/é f.png"),
        ("resize a.jpg -o ./b.tif -f tiff", "a.jpg -> ./b.tif"),
        ("convert a.jpg -o b.apng", "a.jpg -> b.apng"),
        ("convert a.jpg -o b.gif", "a.jpg -> b.gif"),
        ("filter a.jpg -o s/x.avif --filter sepia", "a.jpg -> s/x.avif"),
        ("run lossy.toml a.jpg -o b.webp", "a.jpg -> b.webp"),
        ("resize a.jpg -o b.webp/", "a.jpg -> b.webp/a.jpg"),
        ("resize s -o b.webp/", "s/b.jpg -> b.webp/b.jpg"),
        ("resize a.jpg -o there.png", "a.jpg -> there.png/a.jpg"),
        ("resize s -o there.png", "s/b.jpg -> there.png/b.jpg"),
        ("resize a.jpg -o v1.2", "a.jpg -> v1.2/a.jpg"),
        ("resize a.jpg", "a.jpg -> a-resized.jpg"),
        ("convert a.jpg -f webp", "a.jpg -> a-converted.webp"),
        ("filter ./a.jpg --filter sepia", "a.jpg -> ./a-filtered.jpg"),
        ("run lossy.toml s/b.jpg", "s/b.jpg -> s/b-lossy.jpg"),
        ("resize 'ü {x}/c d.jpg'", "ü {x}/c d.jpg -> ü {x}/c d-resized.jpg"),
        ("convert a.jpg -f webp --name '{stem}{ext}'", "a.jpg -> a.webp"),
        ("resize a.jpg --name 'x/{stem}{ext}'", "a.jpg -> x/a.jpg"),
        (
            "resize a.jpg -s large=50 -s 20",
            "a.jpg -> a-large.jpg\na.jpg -> a-20.jpg",
        ),
        (
            "run paths.toml a.jpg",
            "a.jpg -> a-first.jpg\na.jpg -> a-second.jpg\na.jpg -> web/a.jpg",
        ),
    ],
)
def test_where_a_single_file_goes(place: Path, typed: str, said: str) -> None:
    (place / "there.png").mkdir()
    (place / "lossy.toml").write_text(LOSSY)
    paths = {"first": "{stem}{ext}", "second": "{dir}/{stem}{ext}", "third": "web/{stem}{ext}"}
    tables = (f'[[output]]\nname = "{name}"\npath = "{path}"\n' for name, path in paths.items())
    (place / "paths.toml").write_text("".join(tables))

    assert planned(place, typed) == said


def test_absolute_paths_and_lists_of_one(place: Path) -> None:
    path = place / "a.jpg"
    assert planned(place, f"resize {path} -o {place}/b.webp") == f"{path} -> {place}/b.webp"
    assert planned(place, f"resize {path}") == f"{path} -> {place}/a-resized.jpg"

    listed = imgbatch_here("resize", "-", "-o", "b.webp", "-n", cwd=place, stdin=b"s/b.jpg\n")
    assert listed.stdout == b"s/b.jpg -> b.webp\n"


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("resize a.jpg -o b.webp -f png", "omit --format png, or use --output b.png"),
        ("run web.toml a.jpg -o b.png", "omit --quality, or use another suffix"),
        ("resize a.jpg -o b.png -q 80", "omit --quality, or use another suffix"),
        ("resize s -o b.webp", "found the folder s: give a folder, as in --output b --format webp"),
        ("resize a.jpg s -o b.webp", "found 2 PATHs: give a folder"),
        ("resize a.jpg s/b.jpg -o b.webp", "(or b.webp/ if the folder is to have that name)"),
        ("resize a.jpg my photos -o b.webp", "there is no file or folder 'my'"),
        ("resize a.jpg -s 20 -s 30 -o b.webp", "2 are made of each picture (20, 30)"),
        ("resize a.jpg -o b.webp --name '{stem}{ext}'", "omit --name, or give a folder"),
        ("resize a.jpg -o b.nef", "use another, such as b.jpg"),
        ("resize a.jpg -o b.pfm", "use another, such as b.ppm"),
        ("resize a.jpg -o a.jpg", "Originals are never overwritten"),
        ("resize a.jpg -o .imgbatch/b.webp", "where imgbatch keeps its journal"),
        ("resize a.jpg -o notes.txt", "a file that ends in the suffix of a picture"),
        ("resize missing.jpg -o b.webp", "there is no file or folder 'missing.jpg'"),
        ("resize missing.jpg", "there is no file or folder 'missing.jpg'"),
        ("convert a.jpg", "Missing option '-f' / '--format'"),
        ("convert a.jpg -o web", "Missing option '-f' / '--format'"),
        ("resize a.jpg s/b.jpg", "only for a single folder or file"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(place: Path, typed: str, remedy: str) -> None:
    (place / "web.toml").write_text(LOSSY)
    (place / "notes.txt").write_text("mine")
    before = files(place)
    run = imgbatch_here(*shlex.split(typed), cwd=place)

    assert remedy in run.stderr.decode()
    assert run.returncode == 2
    assert files(place) == before
    assert not (place / ".imgbatch").exists()


def test_picture_beside_its_original_is_up_to_date_and_no_original(place: Path) -> None:
    first = imgbatch_text("resize", "s/b.jpg", "-s", "20", cwd=place)
    again = imgbatch_text("resize", "s/b.jpg", "-s", "20", cwd=place)

    assert first.stderr.startswith("1 done beside s/b.jpg · ")
    assert again.stderr == "1 up to date beside s/b.jpg\n"
    assert planned(place, "resize s -o out") == "s/b.jpg -> out/b.jpg"
    assert planned(place, "resize s/b-resized.jpg s/b.jpg -o out") == "s/b.jpg -> out/b.jpg"


def test_folder_into_which_one_file_was_made_keeps_its_originals(place: Path) -> None:
    plant(place, "shoot/day/1.jpg", "shoot/2.jpg", "shoot/3.jpg")
    run = imgbatch("resize", "a.jpg", "-s", "20", "-o", "shoot/day/a.jpg", cwd=place)
    assert run.returncode == 0
    # That folder holds nothing but outputs, however one file was added to it later.
    imgbatch("resize", "s", "-s", "20", "-o", "shoot/web", cwd=place)
    imgbatch("resize", "a.jpg", "-s", "20", "-o", "shoot/web/a.png", cwd=place)
    plant(place, "shoot/web/other.jpg")

    expected = ["2.jpg", "3.jpg", "day/1.jpg"]
    told = planned(place, "resize shoot -o out").splitlines()
    assert told == [f"shoot/{name} -> out/{name}" for name in expected]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_link_to_a_folder_is_a_folder_and_one_to_a_picture_is_a_file(place: Path) -> None:
    (place / "link.webp").symlink_to("s")
    (place / "link.jpg").symlink_to("a.jpg")

    assert planned(place, "resize link.jpg -o link.webp") == "link.jpg -> link.webp/link.jpg"
    assert planned(place, "resize link.jpg -o b.webp") == "link.jpg -> b.webp"
    refused = imgbatch_here("resize", "a.jpg", "-o", "link.jpg", cwd=place)
    assert b"link.jpg is a link to the original a.jpg" in refused.stderr


def test_summary_does_not_name_a_file_that_got_another_name(place: Path) -> None:
    planted(place, SMALL, "web/b.jpg")
    words = ("-s", "20", "-o", "web/b.jpg", "--on-conflict", "rename")

    run = imgbatch("resize", "a.jpg", *words, cwd=place)

    assert run.stderr.startswith(b"1 done in web ")
    assert (place / "web/b-2.jpg").exists()


def test_wrong_suffix_of_a_source_does_not_matter(place: Path) -> None:
    with Image.open(planted(place, SMALL, "really.png")) as picture:
        assert picture.format == "JPEG"
    run = imgbatch("resize", "really.png", "-s", "20", "-o", "b.png", cwd=place)

    assert run.returncode == 0
    with Image.open(place / "b.png") as picture:
        assert picture.format == "PNG"


def test_python_makes_one_file_too(place: Path) -> None:
    recipe = Recipe.from_options(sizes=["20"])
    (result,) = library.run(recipe, [place / "a.jpg"], output=place / "b.webp", jobs=1)

    assert [one.path for one in result.written] == [str(place / "b.webp")]
    with Image.open(place / "b.webp") as picture:
        assert picture.format == "WEBP"
    with pytest.raises(library.UsageError, match="is the name of one file"):
        library.run(recipe, [place / "s"], output=place / "c.webp")
