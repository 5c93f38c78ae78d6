"""What people type, and what would help them: the answer must hold the remedy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toolkit.commands import imgbatch_here, imgbatch_text
from toolkit.folders import files, plant

from imgbatch.errors import UsageError
from imgbatch.recipes.recipe import Recipe

TOML = 'size = "300"\n[[output]]\nname = "a"\n'

REMEDIES = [
    ("resize s --sise 800", "did you mean --size?"),
    ("resize s --width 800", "--size 800x"),
    ("resize s --width=800", "--size 800x"),
    ("resize s --height 100", "--size x100"),
    ("resize s -width 800", "--size 800x"),
    ("resize s --width", "--size VALUEx"),
    ("resize s --overwrite", "--on-conflict overwrite"),
    ("resize s --strip", "--metadata none"),
    ("resize s --preset web-gallery", "imgbatch run web-gallery s"),
    ("resize --preset email", "imgbatch run email PATH"),
    ("resize s --s 800", "did you mean --size?"),
    ("resize s --threads 4", "--jobs 4"),
    ("resize s --watermark m.png", "--filter watermark:file=m.png"),
    ("resize s --crop 1:1", "--filter crop:ratio=1:1"),
    ("resize s --crop 1:1", "--fit cover"),
    ("resize s --sharpen", "--filter sharpen"),
    ("resize s --auto-orient", "always upright"),
    ("resize s -vx", "No such option '-x'"),
    ("resize s -quality 80", "did you mean --quality?"),
    ("resize s -size 800", "did you mean --size?"),
    ("convert s -s 800", "`imgbatch resize`"),
    ("convert s --size 800", "`imgbatch resize`"),
    ("filter s -s 800", "`imgbatch resize`"),
    ("filter s --fit cover", "`imgbatch resize`"),
    ("web-gallery s", "imgbatch run web-gallery s"),
    ("delivery.toml 'my photos'", "imgbatch run delivery.toml 'my photos'"),
    ("sharpen s", "imgbatch filter s --filter sharpen"),
    ("s -s 100", "imgbatch resize s -s 100"),
    ("resise s", "did you mean resize?"),
    ("-v resize s", "imgbatch resize -v"),
    ("--jobs 2 convert s", "imgbatch convert --jobs"),
    ("resize s -s 1600 x 1200", "1600x1200"),
    ("resize 's/*.jpg'", "omit the quotes"),
    ("resize 's/*.jpg'", "--include '*.jpg'"),
    ("resize my photos", '"my photos"'),
    ("resize s my photos", '"my photos"'),
    ("resize '~/Pictures'", "without quotes"),
    ("resize ss", "did you mean s?"),
    ("resize ''", "empty PATH"),
    ("resize web-gallery s", "imgbatch run web-gallery PATH"),
    ("filter s --filter sharpen=0.5", "sharpen:amount=0.5"),
    ("filter s --filter sharpen,blur", "--filter sharpen --filter blur"),
    ("filter s --filter sharpen:amount=1,blur", "expected amount=…"),
    ("filter s --filter bw", "did you mean grayscale?"),
    ("filter s --filter mono", "did you mean grayscale?"),
    ("filter s --filter black-and-white", "did you mean grayscale?"),
    ("filter s --filter 'text:text=Hello, World'", "'text:text=\"Hello, World\"'"),
    ("filter s --filter 'text:text=\"abc'", "without a closing quote"),
    ('filter s --filter "text:text=\'abc,size=3"', "without a closing quote"),
    ("resize s --filter resize:800", "--size"),
    ("filter s sepia", "--filter sepia"),
    ("filter s blur:radius=2", "--filter blur:radius=2"),
    ("resize s --include '*.png'", "2 left out by --include"),
    ("run s web-gallery", "imgbatch run web-gallery s"),
    ("run s mine.toml", "imgbatch run mine.toml s"),
    ("run r.toml s", "it belongs in [defaults] or an [[output]]"),
    ("resize s --memory 10", "did you mean 10GB?"),
    ("resize s --max-bytes 50", "did you mean 50KB?"),
    ("convert s -f jpeg,webp", "recipe"),
    ("convert s -f jpeg -f webp", "found jpeg and webp"),
    ("convert s -f mp4", "one of: keep, jpeg, png"),
    ("resize s --jobs 0", "expected 1 or more"),
    ("resize s -j -1", "expected 1 or more"),
    ("resize s -j many", "expected a whole number"),
    ("resize s --timeout soon", "as in 90s, 2m or 1h"),
    ("resize s --fit crop", "cropping to fill is called cover"),
    ("resize s -o ''", "is a variable empty?"),
    ("resize s -s ''", "is a variable empty?"),
    ("resize s -q ''", "is a variable empty?"),
    ("resize s --name ''", "is a variable empty?"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    plant(tmp_path, "s/a.jpg", "s/b.jpg", "my photos/a.jpg")
    (tmp_path / "r.toml").write_text(TOML)
    return tmp_path


@pytest.mark.parametrize(("typed", "remedy"), REMEDIES)
def test_mistake_is_answered_with_its_remedy(place: Path, typed: str, remedy: str) -> None:
    before = files(place)
    run = imgbatch_here(*shlex.split(typed), cwd=place)

    assert remedy in run.stderr.decode()
    assert run.returncode in (2, 3)
    assert run.stdout == b""
    assert files(place) == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("help", "Commands:"),
        ("help resize", "Usage: imgbatch resize"),
        ("version", "imgbatch, version"),
        ("-V", "imgbatch, version"),
    ],
)
def test_usual_words_for_help_and_version_just_work(place: Path, typed: str, said: str) -> None:
    run = imgbatch_here(*shlex.split(typed), cwd=place)

    assert run.returncode == 0
    assert said in run.stdout.decode()


def test_recipe_without_its_suffix_goes_before_a_folder_that_is_called_like_a_preset(
    place: Path,
) -> None:
    (place / "mine").write_text("[[output]]\nsize = 20\n")
    (place / "s").rename(place / "web-gallery")
    run = imgbatch_here("run", "mine", "web-gallery", "-o", "out", "-n", cwd=place)

    assert run.returncode == 0
    assert b"web-gallery/a.jpg -> out/a.jpg" in run.stdout


def outputs(place: Path, typed: str) -> dict[str, bytes]:
    """What comes out; each command into a folder of its own."""
    out = place / f"out-{len(list(place.iterdir()))}"
    run = imgbatch_text(*shlex.split(typed), "-o", out.name, cwd=place)
    assert run.returncode == 0, run.stderr
    return {name: (out / name).read_bytes() for name in files(out)}


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ("resize s -s 32px", "resize s -s 32"),
        ("resize s -s 32x20px", "resize s -s 32x20"),
        ("resize s -s 32 -q 60%", "resize s -s 32 -q 60"),
        ("resize s -s 32 --dpi 300dpi", "resize s -s 32 --dpi 300"),
        ("resize s -s 32 --profile sRGB", "resize s -s 32 --profile srgb"),
        (
            "resize s -s 20x20 --fit cover --gravity top-left",
            "resize s -s 20x20 --fit cover --gravity northwest",
        ),
        (
            "resize s -s 20x20 --fit cover --gravity right",
            "resize s -s 20x20 --fit cover --gravity east",
        ),
        (
            "filter s --filter crop:ratio=1:1,gravity=left",
            "filter s --filter crop:ratio=1:1,gravity=west",
        ),
        (
            "filter s --filter text:text=x,color=red",
            "filter s --filter text:text=x,colour=red",
        ),
    ],
)
def test_other_spellings_mean_the_same(place: Path, other: str, ours: str) -> None:
    assert outputs(place, other) == outputs(place, ours) != {}


@pytest.mark.parametrize("words", ["-j all", "--timeout 1m", "--timeout 0.5h", "--timeout 90s"])
def test_times_and_all_processors_are_taken(place: Path, words: str) -> None:
    assert list(outputs(place, f"resize s -s 32 {words}")) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    "words",
    [
        {"gravity": ["top"]},
        {"metadata": ["all"]},
        {"profile": 5},
        {"quality": "85%"},
    ],
)
def test_wrong_types_from_python_are_refused_in_words(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="found"):
        Recipe.from_options(sizes=["20"], **words)


def test_time_that_is_taken_is_that_time(place: Path) -> None:
    run = imgbatch_text("resize", "s", "--timeout", "300h", cwd=place)

    assert run.returncode == 2
    assert "found a timeout of 1.08e+06 s" in run.stderr


@pytest.mark.parametrize("name", ["P1000123.JPG", "P5.jpg", "BMW.jpg", "GIF89a.jpg", "8BPS.jpg"])
def test_list_whose_first_name_begins_like_a_picture_is_a_list(place: Path, name: str) -> None:
    plant(place, name)
    run = imgbatch_here("resize", "-", "-o", "out", "-n", cwd=place, stdin=f"{name}\n".encode())

    assert run.stdout.decode() == f"{name} -> out/{name}\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_list_written_on_windows_is_read(place: Path, mark: bytes, ending: bytes) -> None:
    listed = mark + b"s/a.jpg" + ending + b"s/b.jpg" + ending
    run = imgbatch_here("resize", "-", "-o", "out", "-n", cwd=place, stdin=listed)

    assert run.returncode == 0
    assert run.stdout == b"s/a.jpg -> out/a.jpg\ns/b.jpg -> out/b.jpg\n"


def test_name_that_ends_in_a_carriage_return_is_found_among_others(place: Path) -> None:
    plant(place, "s/odd\r")
    listed = b"s/odd\r\ns/a.jpg\n"
    run = imgbatch_here("resize", "-", "-o", "out", "-n", cwd=place, stdin=listed)

    assert run.returncode == 0
    assert b"s/odd\\r -> out/odd" in run.stdout


def test_numbers_follow_numbers_in_names(place: Path) -> None:
    for number, name in enumerate(["IMG_2.jpg", "IMG_10.jpg", "IMG_9.jpg", "IMG_010.jpg"], 1):
        Image.new("L", (number, 4)).save(place / "s" / name)
    run = imgbatch_here(
        *("resize", "s", "-o", "out", "-n", "--name", "{seq}{ext}", "--include", "IMG*"), cwd=place
    )

    order = [line.split(" -> ")[0] for line in run.stdout.decode().splitlines()]
    assert order == ["s/IMG_2.jpg", "s/IMG_9.jpg", "s/IMG_010.jpg", "s/IMG_10.jpg"]
