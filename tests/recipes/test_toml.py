"""Recipe files: what they mean, how errors in them are reported, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import plant
from toolkit.pictures import opened, saved, scene, wide_gamut_profile
from toolkit.reports import rows

from imgbatch.errors import UsageError
from imgbatch.model import Encoding
from imgbatch.naming import Template
from imgbatch.operations.colour import Grayscale
from imgbatch.operations.detail import Sharpen
from imgbatch.operations.geometry import FITS, KERNELS, Resize, SizeSpec
from imgbatch.operations.profile import ConvertProfile
from imgbatch.operations.tone import Gamma
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.recipes.settings import RecipeWords
from imgbatch.recipes.toml import load, save, written

DELIVERY: Final = """
[prepare]
profile = "srgb"
operations = ["grayscale", { name = "gamma", amount = 2 }]

[defaults]
metadata = "no-gps"

[[output]]
name = "web"
size = "2048"
format = "jpeg"
quality = 84
operations = ["sharpen:amount=0.5"]
path = "web/{dir}/{stem}{ext}"

[[output]]
name = "thumb"
size = "400x300"
fit = "cover"
format = "webp"
metadata = "all"
max-bytes = "20KB"
"""


def recipe_at(folder: Path, text: str, name: str = "delivery.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_recipe_matches_the_equivalent_options(tmp_path: Path) -> None:
    assert load(recipe_at(tmp_path, DELIVERY)) == Recipe(
        "delivery",
        (
            Output(
                "web",
                Template("web/{dir}/{stem}{ext}"),
                (Resize(SizeSpec(2048, 2048)), Sharpen(0.5)),
                Encoding("jpeg", 84, "no-gps"),
            ),
            Output(
                "thumb",
                Template("{stem}-{output}{ext}"),
                (Resize(SizeSpec(400, 300), "cover"),),
                Encoding("webp", max_bytes=20_000),
            ),
        ),
        (ConvertProfile(), Grayscale(), Gamma(2.0)),
    )


def test_single_output_keeps_the_names_of_its_sources(tmp_path: Path) -> None:
    path = recipe_at(tmp_path, 'name = "small"\n[[output]]\nsize = 800\n')
    recipe = load(path)
    assert recipe == Recipe(
        "small", (Output("800", Template("{stem}{ext}"), (Resize(SizeSpec(800, 800)),)),)
    )


def test_resize_among_the_operations_sets_its_position(tmp_path: Path) -> None:
    words = (
        '[[output]]\nsize = 80\nprofile = "srgb"\noperations = ["invert", "resize", "sharpen"]\n'
    )
    (output,) = load(recipe_at(tmp_path, words)).outputs
    assert [step.name for step in output.operations] == ["invert", "resize", "profile", "sharpen"]
    by_options = Recipe.from_options(
        sizes=["80"], profile="srgb", filters=["invert", "resize", "sharpen"]
    )
    assert by_options.outputs[0].operations == output.operations


def test_files_are_relative_to_the_recipe(tmp_path: Path) -> None:
    icc = wide_gamut_profile()
    (tmp_path / "wide.icc").write_bytes(icc)
    (output,) = load(recipe_at(tmp_path, '[[output]]\nprofile = "wide.icc"\n')).outputs
    assert output.operations == (ConvertProfile(icc),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("size = 100\n", ["size", "unknown key", "output"]),
        ("[[output]]\nsiz = 100\n", ["output 1", "siz", "did you mean size?"]),
        ("[[output]]\nname = 'a'\nmax_bytes = 1\n", ["'a'", "max_bytes", "mean max-bytes?"]),
        ("[prepare]\nprofil = 'srgb'\n[[output]]\n", ["[prepare]", "did you mean profile?"]),
        ("[defaults]\nsizes = 1\n[[output]]\n", ["[defaults]", "did you mean size?"]),
        ("[prepare]\n", ["[[output]]", "found none", "at least one"]),
        ("output = 3\n", ["[[output]]", "found 3", "a list"]),
        ("output = [3]\n", ["output 1", "found 3", "a table"]),
        ("prepare = 'x'\n[[output]]\n", ["[prepare]", "found 'x'", "a table"]),
        ("[[output]]\nquality = 'high'\n", ["quality", "found 'high'", "a whole number"]),
        ("[[output]]\nquality = true\n", ["quality", "found True", "a whole number"]),
        ("[[output]]\nquality = 101\n", ["quality 101", "expected 1 to 100"]),
        ("[[output]]\nlinear = 1\n", ["linear", "found 1", "true or false"]),
        ("[[output]]\nsize = true\n", ["size", "found True", "text in quotes or a whole number"]),
        ("[[output]]\nsize = 'big'\n", ["size", "'big'", "1600x1200"]),
        ("[[output]]\nfit = 'inseid'\n", ["fit", "'inseid'", "did you mean inside?"]),
        ("[[output]]\nkernel = 'lancos'\n", ["kernel", "'lancos'", "did you mean lanczos?"]),
        ("[[output]]\nformat = 'jpg2'\n", ["jpg2"]),
        ("[[output]]\nmax-bytes = 'big'\n", ["found max-bytes 'big'", "'500KB'"]),
        (
            "[[output]]\nmax-bytes = 1.5\n",
            ["max-bytes", "found 1.5", "text in quotes or a whole number"],
        ),
        ("[[output]]\noperations = 'x'\n", ["operations", "found 'x'", "a list"]),
        ("[[output]]\noperations = [1]\n", ["operations", "found 1", "text in quotes or a table"]),
        ("[[output]]\noperations = [{amount = 1}]\n", ["operations", "expected a name in each"]),
        ("[[output]]\noperations = ['shrapen']\n", ["'shrapen'", "did you mean sharpen?"]),
        (
            "[[output]]\noperations = [{name = 'sharpen', amont = 1}]\n",
            ["sharpen", "'amont'", "did you mean"],
        ),
        (
            "[[output]]\noperations = [{name = 'sharpen', amount = 9}]\n",
            ["sharpen: amount", "found 9", "a number from 0 to 8"],
        ),
        ("[[output]]\noperations = ['resize']\n", ["resize", "no size"]),
        ("[[output]]\nsize = 9\noperations = ['resize', 'resize']\n", ["resize twice"]),
        ("[prepare]\noperations = ['sharpn']\n[[output]]\n", ["[prepare]", "mean sharpen?"]),
        ("[prepare]\nintent = 'abs'\n[[output]]\n", ["[prepare] intent", "'abs'", "absolute"]),
        ("[[output]]\npath = '{stam}'\n", ["{stam}", "did you mean {stem}?"]),
        ("[[output]]\npath = '../{stem}'\n", ["leaves the output folder"]),
        ("[[output]]\nprofile = 'no.icc'\n", ["no.icc", "an ICC file"]),
        ("[[output]]\nname = 'a/b'\n", ["'a/b'", "cannot be part of a file name"]),
        ("[[output]]\nsize = 9\n[[output]]\nsize = 9\n", ["two", "'9'", "a name for each"]),
        ("[[output]\n", ["not valid TOML", "line 1"]),
        ("[[output]]\nsize = 9\nsize = 8\n", ["not valid TOML", "line 3"]),
        (f"[[output]]\nsize = {'9' * 5000}\n", ["not valid TOML"]),
        (f"a = {'[' * 5000}", ["not valid TOML"]),
        ('name = "a\\u0000b"\n[[output]]\n', ["name", "cannot be part of a file name"]),
        ('[[output]]\nprofile = "a\\u0000b"\n', ["unknown profile"]),
        (
            f"[[output]]\noperations = [{{name = 'exposure', stops = 1{'0' * 400}}}]\n",
            ["exposure: stops", "a number from -5 to 5"],
        ),
        (f"[[output]]\nmax-bytes = '{'9' * 400}'\n", ["max-bytes", "expected bytes"]),
    ],
)
def test_error_names_file_key_found_and_expected(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    path = recipe_at(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("none.toml", None, "No such file"),
        ("folder.toml", "", "found a folder, expected a recipe"),
        ("latin.toml", "café".encode("latin-1"), "not valid UTF-8"),
        ("huge.toml", b"#" * 1_000_001, "expected a recipe of at most 1 MB"),
    ],
)
def test_file_that_cannot_be_a_recipe_is_refused(
    tmp_path: Path, name: str, data: bytes | str | None, part: str
) -> None:
    path = tmp_path / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data is not None:
        path.mkdir()
    with pytest.raises(UsageError, match=part):
        load(path)


# Writing

OPTIONS: Final = st.fixed_dictionaries(
    {},
    optional={
        "sizes": st.lists(
            st.sampled_from(["web=1600", "400x300", "50%", "2MP", "x90", "70x"]), unique=True
        ),
        "fit": st.sampled_from(FITS),
        "gravity": st.sampled_from(["north", "southwest"]),
        "kernel": st.sampled_from(KERNELS),
        "linear": st.booleans(),
        "enlarge": st.booleans(),
        "background": st.sampled_from(["black", "#12345678", "transparent"]),
        "quality": st.integers(1, 100),
        "max_bytes": st.integers(1, 10**9),
        "keep_smaller": st.booleans(),
        "progressive": st.booleans(),
        "subsampling": st.sampled_from(["4:4:4", "4:2:0"]),
        "effort": st.integers(1, 10),
        "filters": st.lists(
            st.sampled_from(["sharpen", "sharpen:amount=0.25", "invert", "autocontrast:cutoff=2"])
        ),
        "metadata": st.sampled_from(["no-gps", "copyright", "none"]),
        "artist": st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
        "copyright": st.just('(c) "Ada"\n'),
        "profile": st.just("srgb"),
        "intent": st.sampled_from(["perceptual", "absolute"]),
        "raw_preview": st.booleans(),
        "template": st.just("x/{stem}_{output}{ext}"),
    },
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(options=OPTIONS)
def test_written_recipe_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any]
) -> None:
    recipe = Recipe.from_options("delivery", **options, format="jpeg")
    path = recipe_at(tmp_path_factory.mktemp("recipes"), written(recipe))
    assert load(path) == recipe
    assert load(path).digest == recipe.digest


def test_saved_recipe_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    save(Recipe.from_options(sizes=["100"]), path)
    before = path.read_bytes()
    save(Recipe.from_options(sizes=["100"]), path)
    with pytest.raises(UsageError, match="exists already"):
        save(Recipe.from_options(sizes=["200"]), path)
    assert path.read_bytes() == before


def test_recipe_is_saved_only_to_new_files(tmp_path: Path) -> None:
    recipe = Recipe.from_options(sizes=["100"])
    for path, part in ((tmp_path, "exists already"), (tmp_path / "none/r.toml", "cannot write")):
        with pytest.raises(UsageError, match=part):
            save(recipe, path)
    if Path("/dev/full").exists():
        with pytest.raises(UsageError, match="exists already"):
            save(recipe, "/dev/full")
    with pytest.raises(UsageError, match="UTF-8"):
        save(Recipe.from_options(artist="\udcff"), tmp_path / "r.toml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "exposure:stops=0.123456789",
        "curves:points=0/0.123456789 255/250.00000001",
        """text:text='say "a,b" now'""",
        "text:text='  lead '",
        "text:text=it's",
    ],
)
def test_every_digit_and_every_character_is_kept(tmp_path: Path, words: str) -> None:
    recipe = Recipe.from_options(
        "x", sizes=["12.3456789%", "12345678.5MP", "0.00001MP"], filters=[words]
    )
    path = tmp_path / "r.toml"
    save(recipe, path)
    assert load(path) == recipe


def test_recipe_that_toml_cannot_express_is_not_written() -> None:
    twice = (Resize(SizeSpec(9, 9)), Resize(SizeSpec(8, 8)))
    with pytest.raises(UsageError, match="resized twice"):
        written(Recipe("x", (Output("x", Template("{stem}"), twice),)))
    with pytest.raises(UsageError, match="no words for the operation profile"):
        written(Recipe("x", (Output("x", Template("{stem}"), (Sharpen(), ConvertProfile())),)))


# On the command line


@pytest.mark.slow
def test_recipe_makes_all_its_outputs(tmp_path: Path) -> None:
    photo = saved(scene(900, 600), "JPEG", quality=92)
    plant(tmp_path / "photos", "a.jpg", "day/b.jpg", data=photo)
    recipe_at(tmp_path, DELIVERY.replace('"2048"', '"600"'))
    run = imgbatch("run", "delivery.toml", "photos", "--report", "-", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    made = tmp_path / "photos-delivery"
    sizes = {
        name: opened((made / name).read_bytes()).size
        for name in ("web/a.jpg", "web/day/b.jpg", "a-thumb.webp", "day/b-thumb.webp")
    }
    assert list(sizes.values()) == [(600, 400), (600, 400), (400, 300), (400, 300)]
    found, _ = rows(run.stdout)
    assert len(found) == 2
    for row in found.values():
        assert [one["name"] for one in row["outputs"]] == ["web", "thumb"]
    # A grey picture was prepared once, for both.
    assert opened((made / "web/a.jpg").read_bytes()).mode == "L"


@pytest.mark.slow
def test_saved_recipe_is_equivalent_to_its_options(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "a.jpg")
    words = ("-s", "a=30", "-s", "b=20x20", "--fit", "cover", "--filter", "sharpen:amount=0.5")
    first = imgbatch(
        "resize", "photos", *words, "-o", "out", "--save-recipe", "mine.toml", cwd=tmp_path
    )
    assert first.returncode == 0, first.stderr.decode()
    again = imgbatch("run", "mine.toml", "photos", "-o", "out", cwd=tmp_path)
    assert again.returncode == 0
    assert b"1 up to date" in again.stderr


@pytest.mark.slow
def test_options_apply_to_every_output_of_a_recipe(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "a.jpg", "b.jpg")
    recipe_at(tmp_path, "[[output]]\nsize = 30\nquality = 90\n[[output]]\nsize = 20\n", "r.toml")
    said = ("--name", "{output}/{stem}{ext}", "-o", "out", "-j", "2")
    run = imgbatch_here("run", "r.toml", "photos", *said, "--format", "png", cwd=tmp_path)
    # PNG has no quality: the recipe is refused, before the encoder finds out.
    assert run.returncode == 2
    assert b"r.toml: output 1: PNG has no quality" in run.stderr
    run = imgbatch("run", "r.toml", "photos", *said, "--format", "webp", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("out/[0-9]*/*"))
    assert made == ["out/20/a.webp", "out/20/b.webp", "out/30/a.webp", "out/30/b.webp"]


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        (
            "quality = 92",
            {"format": "png"},
            "PNG has no quality setting, and the recipe says quality = 92: omit --format, "
            "or take that out of the recipe",
        ),
        (
            'format = "png"',
            {"quality": 92},
            'PNG has no quality setting, and the recipe says format = "png": omit --quality, '
            "or take that out of the recipe",
        ),
        (
            'max-bytes = "9KB"',
            {"lossless": True},
            'lossless and max-bytes exclude each other, and the recipe says max-bytes = "9KB": '
            "omit --lossless, or take that out of the recipe",
        ),
        (
            "dither = false",
            {"format": "jpeg"},
            "JPEG has no dither setting, and the recipe says dither = false: omit --format, "
            "or take that out of the recipe",
        ),
        (
            'format = "tiff"\nquality = 9',
            {"artist": "Ada"},
            "TIFF has a quality with compression jpeg only: omit quality",
        ),
        ('format = "png"\nmax-bytes = 9', {}, "PNG has no max-bytes setting: omit max-bytes"),
        (
            "quality = 9",
            {"format": "png", "quality": 8},
            "PNG has no quality setting: omit --quality",
        ),
    ],
)
def test_invalid_settings_are_blamed_on_their_origin(
    tmp_path: Path, text: str, said: dict[str, Any], expected: str
) -> None:
    path = recipe_at(tmp_path, f"[[output]]\n{text}\n")
    with pytest.raises(UsageError) as caught:
        load(path, cast(RecipeWords, said))
    assert str(caught.value) == f"{path}: output 1: {expected}"


def test_preset_with_an_unsuitable_setting_suggests_a_copy(tmp_path: Path) -> None:
    run = imgbatch_here("run", "print-proof", "photos", "-f", "png", cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.decode().strip() == (
        "imgbatch: preset print-proof: output 'proof': PNG has no quality setting, and the recipe "
        "says quality = 92: omit --format, or take that out of a copy of it (imgbatch "
        "presets print-proof > FILE)"
    )


@pytest.mark.parametrize(
    "word",
    ["fit = 'cover'", "enlarge = true", "gravity = 'north'", "kernel = 'box'", "linear = true"],
)
def test_fit_needs_a_size(tmp_path: Path, word: str) -> None:
    key, _, value = word.partition(" = ")
    found = value.replace("true", "True")
    path = recipe_at(tmp_path, f"[[output]]\n{word}\n")
    with pytest.raises(UsageError) as caught:
        load(path)
    expected = f"{key}: found {found} without a size, expected size = … with it"
    assert str(caught.value) == f"{path}: output 1: {expected}"
    # Defaults may be meant for other outputs.
    outputs = "[[output]]\nname = 'a'\nsize = 9\n[[output]]\nname = 'b'\n"
    sized, whole = load(recipe_at(tmp_path, f"[defaults]\n{word}\n{outputs}")).outputs
    assert (len(sized.operations), len(whole.operations)) == (1, 0)
    load(recipe_at(tmp_path, f"[defaults]\nsize = 9\n[[output]]\n{word}\n"))


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_differ_only_in_case_or_accents_are_refused_in_one_folder(
    tmp_path: Path, one: str, other: str
) -> None:
    path = recipe_at(tmp_path, f"[[output]]\nname = '{one}'\n[[output]]\nname = '{other}'\n")
    with pytest.raises(UsageError) as caught:
        load(path)
    for part in (str(path), repr(one), repr(other), "differ in more than case"):
        assert part in str(caught.value)
    text = path.read_text(encoding="utf-8")
    paths = iter(("path = 'x/{stem}'", "path = 'y/{stem}'"))
    apart = "\n".join(
        line + "\n" + next(paths) if "name" in line else line for line in text.split("\n")
    )
    assert [output.name for output in load(recipe_at(tmp_path, apart)).outputs] == [one, other]


def test_impossible_name_field_is_reported_with_the_file(tmp_path: Path) -> None:
    path = recipe_at(tmp_path, "[[output]]\noperations = ['trim']\npath = '{width}{ext}'\n")
    with pytest.raises(UsageError, match=r"delivery\.toml: \{width\} cannot be in the name"):
        load(path)


def test_explain_shows_the_recipe_its_digest_and_the_steps(tmp_path: Path) -> None:
    path = recipe_at(tmp_path, DELIVERY)
    run = imgbatch_here("run", "delivery.toml", "--explain", cwd=tmp_path)
    assert run.returncode == 0
    told = run.stdout.decode()
    recipe = load(path)
    for part in (
        written(recipe).rstrip(),
        f"digest {recipe.digest}",
        *(recipe.digest_of(output) for output in recipe.outputs),
        "convert colours to sRGB",
        "gamma:amount=2",
        "fit into 2048",
        "fill 400x300",
        "sharpen:amount=0.5 (Make fine detail crisper",
        "save as JPEG, quality 84, with metadata except GPS",
        "save as WebP, at most 20,000 bytes, with all metadata",
    ):
        assert part in told
    assert list(tmp_path.iterdir()) == [path]


def test_recipe_needs_input_paths(tmp_path: Path) -> None:
    run = imgbatch_here("run", "thumbnails", cwd=tmp_path)
    assert run.returncode == 2
    assert b"found no PATH" in run.stderr


def test_unknown_recipe_name_gets_a_suggestion(tmp_path: Path) -> None:
    run = imgbatch_here("run", "web-galery", "photos", cwd=tmp_path)
    assert run.returncode == 2
    assert b"did you mean web-gallery?" in run.stderr


# Presets
def test_folder_named_like_a_preset_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    assert imgbatch_here("run", "thumbnails", "--explain", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_caption_with_the_output_name_is_remade_under_another_name(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "a.jpg")
    for name in ("one", "two"):
        recipe_at(
            tmp_path,
            f'[[output]]\nname = "{name}"\noperations = ["text:text={{output}}"]\n',
            "r.toml",
        )
        run = imgbatch("run", "r.toml", "photos", "-o", "out", cwd=tmp_path)
        assert b"1 done" in run.stderr


@pytest.mark.slow
def test_profile_option_of_run_is_not_relative_to_the_recipe(
    tmp_path: Path,
) -> None:
    plant(tmp_path / "photos", "a.jpg")
    (tmp_path / "sub").mkdir()
    recipe_at(tmp_path / "sub", "[[output]]\n", "r.toml")
    (tmp_path / "my.icc").write_bytes(wide_gamut_profile())
    words = ("run", "sub/r.toml", "photos", "-o", "out", "--profile", "my.icc")
    run = imgbatch(*words, cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()


def test_preset_can_be_copied_and_changed(tmp_path: Path) -> None:
    shown = imgbatch_here("presets", "thumbnails", cwd=tmp_path).stdout
    path = recipe_at(tmp_path, shown.decode(), "thumbnails.toml")
    assert load(path) == load("thumbnails")
    assert imgbatch_here("presets", "none", cwd=tmp_path).returncode == 2
