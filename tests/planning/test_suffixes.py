"""Names have the suffix of their format, and a dry run shows the names of the run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import SMALL, files, plant, planted
from toolkit.pictures import saved, scene

from imgbatch.errors import UsageError
from imgbatch.naming import Template
from imgbatch.recipes.recipe import Recipe
from imgbatch.recipes.toml import load, written

PNG = saved(scene(60, 40), "PNG")


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("{stem}.png", ".png"),
        ("x.JPG", ".jpg"),
        ("{dir}/{stem!u}-v1.2", ".2"),
        ("{stem}", ""),
        ("{seq:04d}", ""),
        ("a.png/{stem}", ""),
        ("{stem}.{output}", ""),
        ("{{ext}}.png", ".png"),
        ("{stem}{ext}", None),
        ("{stem}{ext!l}", None),
        ("{ext}/{stem}", ""),
    ],
)
def test_suffix_of_a_template(text: str, suffix: str | None) -> None:
    assert Template(text).suffix == suffix


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("resize s --name '{stem}-web'", "a-web.jpg"),
        ("convert s -f webp --name '{seq:04d}'", "0001.webp"),
        ("convert s -f webp --name 'v1.2-{stem}.x'", "v1.2-a.x.webp"),
        ("convert s -f jpeg --name '{stem}.jpeg'", "a.jpeg"),
        ("convert s -f jpeg --name '{stem}.JPE'", "a.JPE"),
        ("convert s -f png --name '{stem}.apng'", "a.apng"),
        ("resize s --name '{stem}.jpeg'", "a.jpeg"),
        ("resize s --name '{ext!u}/{stem}'", ".JPG/a.jpg"),
        ("run r.toml s", "web/a.png"),
    ],
)
def test_name_gets_the_suffix_of_its_format(tmp_path: Path, typed: str, name: str) -> None:
    plant(tmp_path, "s/a.jpg")
    (tmp_path / "r.toml").write_text('[[output]]\nformat = "png"\npath = "web/{stem}"\n')
    run = imgbatch_here(*shlex.split(typed), "-o", "out", "-n", cwd=tmp_path)

    assert run.stdout.decode() == f"s/a.jpg -> out/{name}\n"


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("convert s -f jpeg --name '{stem}.png'", "end it with {ext}, or use --format png"),
        (
            "convert s -f png --name '{stem}.dng'",
            "only read, not written: end it with {ext}\n",
        ),
        ("resize s --name '{stem}.png'", "s/a.jpg becomes a JPEG, but --name gives it the suffix"),
        ("convert s -f ppm --name '{stem}.pfm'", "ends in .pfm, which is only read"),
        ("resize s --name '{stem}.png'", "End --name with {ext}, or use --format png."),
        ("run web.toml s", "web.toml: output 'w': the name template '{stem}.gif' ends in .gif"),
    ],
)
def test_suffix_of_another_format_is_refused(tmp_path: Path, typed: str, remedy: str) -> None:
    plant(tmp_path, "s/a.jpg")
    (tmp_path / "web.toml").write_text(
        '[[output]]\nname = "w"\nformat = "webp"\npath = "{stem}.gif"\n'
    )
    run = imgbatch_here(*shlex.split(typed), "-o", "out", cwd=tmp_path)

    assert remedy in run.stderr.decode()
    assert run.returncode == 2
    assert not (tmp_path / "out").exists()


def test_recipe_says_what_it_means(tmp_path: Path) -> None:
    recipe = Recipe.from_options(sizes=["20"], template="{stem}-x")
    (tmp_path / "r.toml").write_text(written(recipe))

    assert load(tmp_path / "r.toml") == recipe
    assert recipe.outputs[0].template == Template("{stem}-x{ext}")
    with pytest.raises(UsageError, match="use --format webp"):
        Recipe.from_options(template="{stem}.webp", format="avif")


def test_dry_run_shows_the_names_of_the_run(tmp_path: Path) -> None:
    planted(tmp_path, PNG, "s/png.jpg")
    planted(tmp_path, SMALL, "s/jpeg.PNG")
    planted(tmp_path, b"no picture", "s/text.jpg")
    planted(tmp_path, SMALL, "s/right.jpeg")
    words = ("resize", "s", "-s", "20", "-o", "out")
    told = imgbatch_here(*words, "-n", cwd=tmp_path).stdout.decode().splitlines()
    imgbatch(*words, cwd=tmp_path)

    assert told == [
        "s/jpeg.PNG -> out/jpeg.jpg",
        "s/png.jpg -> out/png.png",
        "s/right.jpeg -> out/right.jpeg",
        "s/text.jpg -> out/text.jpg",
    ]
    assert files(tmp_path / "out") == ["jpeg.jpg", "png.png", "right.jpeg"]

    forced = imgbatch_here(*words, "--force", "-n", cwd=tmp_path).stdout.decode()
    assert "s/png.jpg remakes out/png.png\n" in forced


def test_dry_run_shows_where_a_right_suffix_is_in_the_way(tmp_path: Path) -> None:
    planted(tmp_path, PNG, "s/a.jpg")
    planted(tmp_path, PNG, "s/a.png")
    planted(tmp_path, PNG, "s/b.jpg")
    planted(tmp_path, b"somebody's", "out/b.png")
    run = imgbatch_here("resize", "s", "-o", "out", "-n", cwd=tmp_path)

    assert run.stdout.decode().splitlines() == [
        "s/a.jpg fails: out/a.png is another file's (its suffix is wrong)",
        "s/a.png -> out/a.png",
        "s/b.jpg fails: out/b.png is another file's (its suffix is wrong)",
    ]


def test_picture_of_the_named_suffix_counts_by_its_bytes(tmp_path: Path) -> None:
    planted(tmp_path, PNG, "s/a.jpg")
    run = imgbatch_here("resize", "s", "--name", "{stem}.png", "-o", "out", "-n", cwd=tmp_path)

    assert run.stdout == b"s/a.jpg -> out/a.png\n"
