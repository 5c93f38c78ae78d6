"""Defaults from files and from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import Word, imgbatch, imgbatch_here
from toolkit.folders import plant

from imgbatch.cli.help import every_setting

Row = tuple[str, str]
USERS: Final = "config/imgbatch/config.toml"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder below home, with a photo; the user's own file belongs to `USERS`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/imgbatch/presets").mkdir(parents=True)
    return plant(tmp_path / "shoot", "in/a.jpg")


def settings(*words: Word, cwd: Path) -> dict[str, Row]:
    """What --explain says: the value and the origin of each setting."""
    run = imgbatch_here(*words, "--explain", cwd=cwd)
    assert run.returncode == 0, run.stderr.decode()
    _, _, table = run.stdout.decode().partition("\nSettings:\n")
    rows = (re.split(r"\s{2,}", line.strip()) for line in table.splitlines())
    return {word: (value, origin) for word, value, origin in rows}


def refused(*words: Word, cwd: Path) -> str:
    run = imgbatch_here(*words, cwd=cwd)
    assert run.returncode == 2
    return run.stderr.decode()


def test_the_nearer_source_wins(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users, project = place.parent / USERS, place / "imgbatch.toml"
    users.write_text('quality = 1\ncopyright = "© 1"\nartist = "One"\njobs = 1\ndpi = 100\n')
    project.write_text('quality = 2\ncopyright = "© 2"\nartist = "Two"\njobs = 2\n')
    monkeypatch.setenv("IMGBATCH_COPYRIGHT", "© 3")
    monkeypatch.setenv("IMGBATCH_ARTIST", "Three")
    monkeypatch.setenv("IMGBATCH_JOBS", "3")

    found = settings("resize", "in", "--artist", "Four", "-j", "4", cwd=place)

    assert found["artist"] == ("Four", "option --artist")
    assert found["jobs"] == ("4", "option --jobs")
    assert found["copyright"] == ("© 3", "IMGBATCH_COPYRIGHT")
    assert found["quality"] == ("2", f"{project}: quality")
    assert found["dpi"] == ("100", f"{users}: dpi")
    assert found["metadata"] == ("all", "default")
    assert found["size"] == ("2048", "default")


@pytest.mark.parametrize("command", ["resize", "convert", "filter", "run"])
def test_every_command_explains_its_settings(place: Path, command: str) -> None:
    (place / "imgbatch.toml").write_text('format = "webp"\nmetadata = "none"\n')
    words = {"filter": ["in", "--filter", "sepia"], "run": ["instagram"]}.get(command, ["in"])

    found = settings(command, *words, cwd=place)

    by_recipe = command == "run"
    assert found["metadata"][1] == "recipe" if by_recipe else f"{place}/imgbatch.toml: metadata"
    assert found["format"] == ("jpeg", "recipe") or not by_recipe
    assert ("size" in found) == (command in ("resize", "run"))
    assert not list(place.glob("in-*"))


def test_all_settings_that_can_be_defaults_are_read(place: Path) -> None:
    said = {
        "artist": '"A"',
        "background": '"red"',
        "colours": "8",
        "compression": '"lzw"',
        "copyright": '"C"',
        "dither": "false",
        "dpi": "72",
        "effort": "3",
        "enlarge": "true",
        "exclude": '["x", "y"]',
        "fit": '"cover"',
        "flat": "true",
        "format": '"tiff"',
        "gravity": '"north"',
        "include": '"*.jpg"',
        "include-outputs": "true",
        "intent": '"perceptual"',
        "jobs": "2",
        "keep-smaller": "true",
        "kernel": '"box"',
        "linear": "true",
        "links": "false",
        "lossless": "false",
        "max-bytes": '"1MB"',
        "max-pixels": '"9MP"',
        "memory": '"2GB"',
        "metadata": '"none"',
        "preserve-dates": "true",
        "profile": '"srgb"',
        "progressive": "true",
        "quality": "50",
        "quiet": "true",
        "raw-preview": "true",
        "recursive": "false",
        "salvage": "true",
        "size": "300",
        "sort": '"date"',
        "strict": "true",
        "subfolder": '"web"',
        "subsampling": '"4:4:4"',
        "timeout": '"2m"',
        "verbose": "true",
        "wait": "90",
    }
    (place / "imgbatch.toml").write_text("".join(f"{key} = {it}\n" for key, it in said.items()))

    found = settings("resize", "in", cwd=place)

    assert {one.word for one in every_setting() if not one.each_run} == set(said)
    origins = {word: origin for word, (_, origin) in found.items() if origin != "default"}
    # A subfolder leaves it nothing to do.
    assert set(origins) == set(said) - {"flat"}
    dropped = {word for word, origin in origins.items() if "does not go" in origin}
    # TIFF has none of these.
    assert dropped == {"effort", "progressive", "subsampling", "quality", "max-bytes"}


def test_no_config_reads_no_file(place: Path) -> None:
    (place.parent / USERS).write_text("quality = 1\n")
    (place / "imgbatch.toml").write_text("not even TOML")
    assert settings("resize", "in", "--no-config", cwd=place)["quality"][1] == "default"
    assert "imgbatch.toml" in refused("resize", "in", "-n", cwd=place)


def test_config_reads_that_file_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.parent / USERS).write_text("quality = 1\njobs = 1\n")
    (place / "imgbatch.toml").write_text("quality = 2\n")
    (place / "für alle.toml").write_bytes(b"\xef\xbb\xbfquality = 3\r\n")

    found = settings("resize", "in", "--config", "für alle.toml", cwd=place)
    assert found["quality"] == ("3", "für alle.toml: quality")
    assert found["jobs"][1] == "default"
    assert "exclude each other" in refused(
        "resize", "in", "--config", "für alle.toml", "--no-config", cwd=place
    )
    for name, why in (
        ("none.toml", "cannot read none.toml: No such"),
        ("in", "cannot read in: found a folder, expected a file of defaults"),
        ("", "found nothing, expected a value"),
    ):
        assert why in refused("resize", "in", "--config", name, cwd=place)

    monkeypatch.setenv("IMGBATCH_CONFIG", "für alle.toml")
    assert settings("resize", "in", cwd=place)["quality"][0] == "3"
    assert settings("resize", "in", "--no-config", cwd=place)["quality"][1] == "default"


def test_nearest_file_above_counts_up_to_home(place: Path) -> None:
    deep = place / "a/b"
    deep.mkdir(parents=True)
    (place.parent / "imgbatch.toml").write_text("quality = 1\n")
    assert settings("resize", "x", cwd=deep)["quality"][0] == "1"
    (place / "imgbatch.toml").write_text("jobs = 2\n")
    found = settings("resize", "x", cwd=deep)
    assert found["quality"][1] == "default"
    assert found["jobs"][0] == "2"


def test_files_above_home_are_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "imgbatch.toml").write_text("quality = 1\n")
    home = place / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    assert settings("resize", "x", cwd=home)["quality"][1] == "default"


def foreign(path: Path) -> None:
    os.chown(path, 4321, 4321)


def writable(path: Path) -> None:
    path.chmod(0o666)


def linked(path: Path) -> None:
    path.rename(path.with_name("own.toml"))
    path.symlink_to("own.toml")
    os.lchown(path, 4321, 4321)


@pytest.mark.skipif(os.name != "posix", reason="there are no owners")
@pytest.mark.parametrize(
    ("change", "why"),
    [(foreign, "another user"), (writable, "everybody"), (linked, "another user")],
)
def test_file_that_others_may_have_written_is_ignored_with_a_notice(
    place: Path, change: Callable[[Path], None], why: str
) -> None:
    path = place / "imgbatch.toml"
    path.write_text("quality = 1\n")
    if change is not writable and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    change(path)

    run = imgbatch_here("resize", "in", "--explain", cwd=place)

    assert "quality = 1" not in run.stdout.decode()
    assert f"ignored {path}: " in run.stderr.decode()
    assert why in run.stderr.decode()
    assert settings("resize", "in", "--config", path, cwd=place)["quality"][0] == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qualty = 80", "qualty: an unknown key; did you mean quality?"),
        ("quality = 800", "quality: found quality 800, expected 1 to 100"),
        ("quality = true", "quality: found True, expected a whole number"),
        ('quality = "high"', "quality: found 'high', expected a whole number"),
        ('metadata = "gps"', "metadata: unknown metadata policy 'gps': did you mean no-gps?"),
        ('strict = "yes"', "strict: found 'yes', expected true or false"),
        ('sort = "size"', "sort: found 'size', expected one of name, date"),
        ("timeout = 0", "timeout: found a timeout of 0 s"),
        ('timeout = "soon"', "timeout: found 'soon', expected seconds, or a time as in 90s"),
        ('memory = "10"', "memory: found 10: did you mean 10GB?"),
        ("exclude = [1.5]", "exclude: found 1.5, expected text in quotes"),
        ('format = "wepb"', "format: unknown format 'wepb': did you mean webp?"),
        ('background = "blau"', "background: "),
        ('size = "huge"', "size: "),
        ('profile = "none.icc"', "profile: unknown profile 'none.icc'"),
        ('background = ""', "background: found nothing, expected a value"),
        ('output = "out"', "output: not a default: it is where the pictures of one run go"),
        ("in-place = true", "in-place: not a default: originals are replaced only where"),
        ('backup = "b"', "backup: not a default: originals are replaced only where"),
        ("no-backup = true", "no-backup: not a default"),
        ("force = true", "force: not a default: everything would be made again"),
        ("dry-run = true", "dry-run: not a default: nothing would ever be made"),
        ('on-conflict = "overwrite"', "on-conflict: not a default"),
        ('name = "{stem}"', "name: not a default: names depend on what is made"),
        ('path = "{stem}"', "path: not a default: names depend on what is made"),
        ('filter = "sepia"', "filter: not a default: put operations into a recipe"),
        ('config = "x"', "config: not a default: it says which defaults are read"),
        ("[[output]]\nname = 'x'", "output: this is a recipe, not a file of defaults"),
        ("[resize]\nquality = 3", "resize: an unknown key; defaults hold for all commands"),
        ("presets = 3", "presets: found 3, expected the folder of your recipes"),
        ("[presets.mine]\nsize = 3", "presets: found a table, expected the folder of your recipes"),
        ("quality = ", "not valid TOML: "),
    ],
)
def test_mistake_in_a_file_is_refused_with_file_and_key(
    place: Path, text: str, message: str
) -> None:
    path = place / "imgbatch.toml"
    path.write_text(text, encoding="utf-8")
    assert f"{path}: {message}" in refused("resize", "in", "-n", cwd=place)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("IMGBATCH_JOBS", "many", "found 'many', expected a whole number"),
        ("IMGBATCH_QUALITY", "101", "found quality 101, expected 1 to 100"),
        ("IMGBATCH_STRICT", "perhaps", "found 'perhaps', expected yes or no"),
        ("IMGBATCH_FORMAT", "wepb", "unknown format 'wepb': did you mean webp?"),
        ("IMGBATCH_METADATA", "gps", "unknown metadata policy 'gps': did you mean no-gps?"),
    ],
)
def test_wrong_value_names_its_variable(
    place: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert f"imgbatch: {variable}: {message}" in refused("resize", "in", "-n", cwd=place)


def test_other_variables_are_ignored(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_SKIPS", "OUTPUT", "FORCE", "IN_PLACE", "DRY_RUN", "NATIVE", "NAME"):
        monkeypatch.setenv(f"IMGBATCH_{name}", "1")
    # A variable that is set to nothing is as good as none.
    monkeypatch.setenv("IMGBATCH_JOBS", "")
    found = settings("resize", "in", cwd=place)
    assert {origin for _, origin in found.values()} == {"default"}


def test_variables_have_flags_and_lists(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGBATCH_EXCLUDE", os.pathsep.join(["a b/*", "c"]))
    monkeypatch.setenv("IMGBATCH_RECURSIVE", "no")
    monkeypatch.setenv("IMGBATCH_MAX_BYTES", "1.5MB")
    found = settings("resize", "in", cwd=place)
    assert found["exclude"] == ("a b/* c", "IMGBATCH_EXCLUDE")
    assert found["recursive"] == ("no", "IMGBATCH_RECURSIVE")
    assert found["max-bytes"][0] == "1500KB"


def test_flag_of_a_default_is_turned_off_by_its_negative(place: Path) -> None:
    (place / "imgbatch.toml").write_text("strict = true\nprogressive = true\n")
    found = settings("resize", "in", "--no-strict", "--no-progressive", cwd=place)
    assert found["strict"] == ("no", "option --no-strict")
    assert found["progressive"] == ("no", "option --no-progressive")


def test_defaults_give_way_to_what_they_do_not_go_with(place: Path) -> None:
    path = place / "imgbatch.toml"
    path.write_text('quality = 70\neffort = 5\nsubsampling = "4:4:4"\n')
    assert imgbatch_here("resize", "in", "-n", "-f", "png", cwd=place).returncode == 0
    assert (
        imgbatch_here("resize", "in", "-n", "-f", "webp", "--lossless", cwd=place).returncode == 0
    )
    origin = f"default ({path}: quality does not go with the others)"
    assert settings("resize", "in", "-f", "png", cwd=place)["quality"][1] == origin
    assert settings("resize", "in", "-f", "png", cwd=place)["effort"][0] == "5"

    path.write_text("lossless = true\n")
    assert settings("resize", "in", "-q", "50", cwd=place)["lossless"][0] == "no"
    path.write_text('format = "gif"\nflat = true\n')
    assert f"{path}: format: " in refused("resize", "in", "-n", "--effort", "5", cwd=place)
    words = ["resize", "in", "-n", "--in-place", "--no-backup"]
    assert imgbatch_here(*words, cwd=place).returncode == 0


def test_default_is_the_same_recipe_as_the_option(place: Path) -> None:
    config = place / "imgbatch.toml"
    config.write_text('quality = 70\ncopyright = "© Ä"\nsize = [32, "web=64"]\njobs = 1\n')
    made = imgbatch("resize", "in", cwd=place)
    words = ["-q", "70", "--copyright", "© Ä", "-s", "32", "-s", "web=64"]
    again = imgbatch("resize", "in", "--no-config", *words, cwd=place)

    assert b"1 done" in made.stderr
    assert b"1 up to date" in again.stderr
    assert sorted(one.name for one in (place / "in-resized").glob("*.jpg")) == [
        "a-32.jpg",
        "a-web.jpg",
    ]


RECIPE: Final = """
[[output]]
name = "own"
quality = 60
metadata = "none"
[[output]]
name = "open"
format = "{}"
"""


def test_defaults_fill_what_a_recipe_leaves_open(place: Path) -> None:
    (place / "r.toml").write_text(RECIPE.format("webp"))
    config = place / "imgbatch.toml"
    config.write_text('quality = 70\nmetadata = "no-gps"\ncopyright = "C"\nraw-preview = true\n')

    filled = imgbatch_here("run", "r.toml", "--explain", cwd=place).stdout.decode()
    assert f"70                              {config}: quality (open)" in filled
    assert "60                              recipe (own)" in filled
    assert filled.count('copyright = "C"') == 2
    assert "raw-preview = true" in filled

    (place / "same.toml").write_text(
        "prepare = { raw-preview = true }\n"
        "[defaults]\nquality = 70\nmetadata = 'no-gps'\ncopyright = 'C'\n" + RECIPE.format("webp")
    )
    same = imgbatch_here("run", "same.toml", "--no-config", "--explain", cwd=place).stdout.decode()
    digests = re.findall(r"  digest \w+", filled)
    assert len(digests) == 2
    assert re.findall(r"  digest \w+", same) == digests

    given = settings("run", "r.toml", "-q", "9", cwd=place)
    assert given["quality"] == ("9", "option --quality")


def test_default_that_an_output_cannot_have_is_left_out_there_alone(place: Path) -> None:
    (place / "r.toml").write_text(RECIPE.format("png"))
    (place / "imgbatch.toml").write_text('quality = 70\nmax-bytes = "9KB"\n')
    shown = imgbatch_here("run", "r.toml", "--explain", cwd=place).stdout.decode()
    own, other = shown.split("name = ")[2:4]
    assert "max-bytes = 9000" in own
    assert "max-bytes" not in other.split("digest")[0]


def test_colours_prepared_for_all_outputs_are_not_converted_again(place: Path) -> None:
    (place / "r.toml").write_text('[prepare]\nprofile = "keep"\n[[output]]\nname = "x"\n')
    (place / "imgbatch.toml").write_text('profile = "srgb"\n')
    shown = imgbatch_here("run", "r.toml", "--explain", cwd=place).stdout.decode()
    assert "convert colours" not in shown
    (place / "r.toml").write_text('[[output]]\nname = "x"\n')
    shown = imgbatch_here("run", "r.toml", "--explain", cwd=place).stdout.decode()
    assert "convert colours" in shown


def test_own_presets_are_listed_shown_and_run_by_name(place: Path) -> None:
    folder = place.parent / "config/imgbatch/presets"
    recipe = 'description = "For Müller"\n[[output]]\nname = "m"\nsize = 16\n'
    (folder / "müller.toml").write_text(recipe)
    (folder / "thumbnails.toml").write_text('[[output]]\nname = "mine"\n')
    (folder / "notes.txt").write_text("no recipe")
    (place.parent / USERS).write_text('presets = "presets"\n')

    listed = imgbatch_here("presets", cwd=place).stdout.decode()
    assert f"müller: For Müller ({folder}/müller.toml)\n" in listed
    assert listed.count("thumbnails: ") == 1
    assert "web-gallery: " in listed
    assert "notes" not in listed
    assert imgbatch_here("presets", "müller", cwd=place).stdout.decode() == recipe
    assert "müller" not in imgbatch_here("presets", "--no-config", cwd=place).stdout.decode()
    assert "did you mean müller?" in refused("run", "muller", "in", cwd=place)
    assert "did you mean müller?" in refused("presets", "muller", cwd=place)
    assert "imgbatch run müller in" in refused("müller", "in", cwd=place)
    assert "imgbatch run müller in" in refused("run", "in", "müller", cwd=place)
    assert (
        'name = "mine"'
        in imgbatch_here("run", "thumbnails", "--explain", cwd=place).stdout.decode()
    )

    assert imgbatch("run", "müller", "in", cwd=place).returncode == 0
    assert (place / "in-müller/a.jpg").is_file()


def test_folder_of_presets_that_cannot_be_listed_is_refused_where_it_is_needed(place: Path) -> None:
    path = place / "imgbatch.toml"
    path.write_text('presets = "gone"\n')
    assert f"{path}: presets: cannot list {place}/gone: No such" in refused("presets", cwd=place)
    assert imgbatch_here("resize", "in", "-n", cwd=place).returncode == 0


def test_profile_is_looked_for_next_to_its_file(place: Path) -> None:
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (place.parent / "config/imgbatch/house.icc").write_bytes(icc)
    (place.parent / USERS).write_text('profile = "house.icc"\n')
    shown = imgbatch_here("run", "thumbnails", "--explain", cwd=place).stdout.decode()
    assert "house.icc" not in shown
    shown = imgbatch_here("resize", "in", "--explain", cwd=place).stdout.decode()
    assert f"convert colours to {place.parent}/config/imgbatch/house.icc" in shown


def test_default_format_is_enough_to_convert(place: Path) -> None:
    assert "Missing option" in refused("convert", "in", "-n", cwd=place)
    (place / "imgbatch.toml").write_text('format = "webp"\n')
    assert b"in-converted/a.webp" in imgbatch_here("convert", "in", "-n", cwd=place).stdout


def test_python_is_not_steered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgbatch import Recipe

    plain = Recipe.from_options(sizes=["32"]).digest
    (place / "imgbatch.toml").write_text("quality = 3\n")
    monkeypatch.setenv("IMGBATCH_QUALITY", "4")
    monkeypatch.chdir(place)
    assert Recipe.from_options(sizes=["32"]).digest == plain


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (("-o", "out"), "out/a.jpg"),
        (("--flat", "-o", "out"), "out/a.jpg"),
        (("--flat",), "in-resized/a.jpg"),
        (("--subfolder", "small"), "in/small/a.jpg"),
        ((), "in/web/a.jpg"),
        (("--in-place", "--no-backup"), "in/a.jpg"),
    ],
)
def test_default_places_give_way(place: Path, options: tuple[str, ...], target: str) -> None:
    (place / "imgbatch.toml").write_text('subfolder = "web"\nflat = true\n')
    run = imgbatch("resize", "in", "-s", "20", *options, "--report", "-", cwd=place)
    assert run.returncode == 0, run.stderr
    assert f'"path": "{target}"'.encode() in run.stdout


@pytest.mark.parametrize("command", [("resize", "-s", "20"), ("convert",)])
def test_name_of_a_file_says_more_than_a_default_format(
    place: Path, command: tuple[str, ...]
) -> None:
    (place / "imgbatch.toml").write_text('format = "webp"\n')
    run = imgbatch(*command, "in/a.jpg", "-o", "b.png", cwd=place)
    assert run.returncode == 0, run.stderr
    assert (place / "b.png").read_bytes().startswith(b"\x89PNG")


def test_page_names_all_that_is_no_default() -> None:
    page = (Path(__file__).parents[2] / "docs/defaults.md").read_text("utf-8")
    section = page.partition("## What is no default")[2].partition("\n## ")[0]
    named = re.findall(r"`([a-z-]+)`", section)
    assert sorted(named) == sorted(one.word for one in every_setting() if one.each_run)


def test_profile_with_a_name_is_no_file(place: Path) -> None:
    (place / "prophoto").touch()
    (place / "imgbatch.toml").write_text('profile = "ProPhoto"\n')
    assert settings("resize", "in", cwd=place)["profile"][0] == "ProPhoto"
    (place / "imgbatch.toml").write_text('profile = "prophoto"\n')
    assert settings("resize", "in", cwd=place)["profile"][0] == "prophoto"


def test_output_of_a_recipe_without_a_size_stays_as_it_is(place: Path) -> None:
    (place / "r.toml").write_text('[[output]]\nname = "x"\n[[output]]\nname = "y"\nsize = 9\n')
    run = imgbatch_here("run", "r.toml", "in", "--explain", cwd=place)
    rows = re.findall(r"^  size +(.+?)  +(.+)$", run.stdout.decode(), re.MULTILINE)
    assert rows == [("as it is", "default (x)"), ("9", "recipe (y)")]
