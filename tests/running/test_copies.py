"""Files that need no change are copied byte for byte, and no others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toolkit.commands import imgbatch_text
from toolkit.folders import planted
from toolkit.pictures import exif_block, opened, saved, scene, stored, with_metadata
from toolkit.reports import rows

import imgbatch
from imgbatch.model import Result

PLAIN = saved(scene(60, 40), "JPEG", quality=70)


def only(path: Path, out: Path, *, strict: bool = False, **words: Any) -> Result:
    """Run one file and return its result."""
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [path], output=out, jobs=1, strict=strict)
    return result


FILES = {
    "JPEG": ("a.jpg", PLAIN),
    "JPEG with EXIF": (
        "a.jpg",
        with_metadata(scene(60, 40), "JPEG", exif=exif_block(orientation=1).block),
    ),
    "palette": ("a.png", saved(opened(saved(scene(60, 40), "PNG")).quantize(16), "PNG")),
    "animation": (
        "a.gif",
        saved(scene(60, 40), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))]),
    ),
    "two pictures": (
        "a.jpg",
        saved(scene(60, 40), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))]),
    ),
    "icon": ("a.ico", saved(scene(64, 64), "ICO", sizes=[(64, 64), (16, 16)])),
    "pages": (
        "a.tif",
        saved(scene(60, 40), "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))]),
    ),
    "WebP": ("a.webp", saved(scene(60, 40), "WEBP")),
}


@pytest.mark.parametrize("kind", FILES)
def test_small_enough_picture_keeps_its_bytes(tmp_path: Path, kind: str) -> None:
    name, data = FILES[kind]
    result = only(planted(tmp_path, data, name), tmp_path / "out", sizes=["2048"], strict=True)
    assert result.failure is None
    assert (result.written[0].copied, result.notices) == (True, ())
    assert Path(result.written[0].path).read_bytes() == data
    assert (result.written[0].width, result.written[0].height) == opened(data).size


ASKED: dict[str, dict[str, Any]] = {
    "smaller": {"sizes": ["30"]},
    "cropped": {"sizes": ["40x40"], "fit": "cover"},
    "padded": {"sizes": ["80x80"], "fit": "pad"},
    "quality": {"quality": 70},
    "another format": {"format": "png"},
    "filter": {"filters": ["gamma"]},
    "less metadata": {"metadata": "no-gps"},
    "artist": {"artist": "Ada"},
    "copyright": {"copyright": "(c) Ada"},
    "progressive": {"progressive": True},
    "subsampling": {"subsampling": "4:4:4"},
    "effort": {"effort": 9},
}


@pytest.mark.parametrize("asked", ASKED)
def test_changed_picture_is_not_a_copy(tmp_path: Path, asked: str) -> None:
    result = only(planted(tmp_path, PLAIN), tmp_path / "out", **ASKED[asked])
    assert result.failure is None
    assert not result.written[0].copied
    assert Path(result.written[0].path).read_bytes() != PLAIN


def test_no_op_filter_and_own_profile_do_not_prevent_a_copy(
    tmp_path: Path,
) -> None:
    result = only(planted(tmp_path, PLAIN), tmp_path / "out", profile="srgb", background="red")
    assert result.written[0].copied


def test_setting_that_the_format_lacks_does_not_prevent_a_copy(tmp_path: Path) -> None:
    png = planted(tmp_path, saved(scene(60, 40), "PNG"), "a.png")
    jpeg = planted(tmp_path, PLAIN)
    words: dict[str, Any] = {"quality": 80, "subsampling": "4:4:4", "compression": "lzw"}
    assert only(png, tmp_path / "out", **words).written[0].copied
    assert not only(jpeg, tmp_path / "out", **words).written[0].copied


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_picture_that_is_not_upright_is_turned(tmp_path: Path, suffix: str) -> None:
    pixels = stored(scene(60, 40), 6)
    data = {
        ".jpg": with_metadata(pixels, "JPEG", exif=exif_block(orientation=6).block),
        ".tif": saved(pixels, "TIFF", tiffinfo={0x0112: 6}),
    }[suffix]
    result = only(planted(tmp_path, data, f"a{suffix}"), tmp_path / "out")
    assert not result.written[0].copied
    assert opened(Path(result.written[0].path).read_bytes()).size == (60, 40)


@pytest.mark.parametrize("kind", ["exif", "xmp", "icc_profile"])
def test_broken_metadata_are_repaired_instead(tmp_path: Path, kind: str) -> None:
    data = {
        "exif": saved(scene(60, 40), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "xmp": saved(scene(60, 40), "JPEG", xmp=b"<x tiff:Orientation="),
        "icc_profile": saved(scene(60, 40), "JPEG", icc_profile=b"no profile"),
    }[kind]
    result = only(planted(tmp_path, data), tmp_path / "out")
    assert not result.written[0].copied
    assert len(result.notices) == 1
    assert kind not in opened(Path(result.written[0].path).read_bytes()).info


@pytest.mark.parametrize("salvage", [False, True])
def test_broken_picture_is_not_copied(tmp_path: Path, salvage: bool) -> None:
    path = planted(tmp_path, saved(scene(60, 40), "JPEG")[:-200])
    recipe = imgbatch.Recipe.from_options()
    (result,) = imgbatch.run(recipe, [path], output=tmp_path / "out", jobs=1, salvage=salvage)
    assert (result.status == "done") == salvage
    assert not any(one.copied for one in result.written)


def test_each_output_is_a_copy_or_not(tmp_path: Path) -> None:
    result = only(planted(tmp_path, PLAIN), tmp_path / "out", sizes=["big=100", "small=30"])
    assert [one.copied for one in result.written] == [True, False]


def test_oversized_page_is_resized(tmp_path: Path) -> None:
    pages = saved(
        scene(60, 40), "TIFF", save_all=True, append_images=[Image.fromarray(scene(120, 80))]
    )
    result = only(planted(tmp_path, pages, "a.tif"), tmp_path / "out", sizes=["60"])
    assert not result.written[0].copied
    made = opened(Path(result.written[0].path).read_bytes())
    made.seek(1)
    assert made.size == (60, 40)


@pytest.mark.slow
def test_copies_are_reported_in_rows_summary_and_lines(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    planted(tmp_path / "in", PLAIN)
    planted(tmp_path / "in", saved(scene(120, 80), "JPEG"), "b.jpg")
    run = imgbatch_text(
        *("resize", "in", "-s", "60", "-o", "out", "-v", "--report", "r"), cwd=tmp_path
    )
    assert run.returncode == 0
    found, _ = rows((tmp_path / "r").read_bytes())
    copied = {name: row["outputs"][0].get("copied", False) for name, row in found.items()}
    assert copied == {"in/a.jpg": True, "in/b.jpg": False}
    lines = run.stderr.splitlines()
    assert [line for line in lines if "copied unchanged" in line and "a.jpg" in line]
    assert "2 done in out · 1 copied unchanged" in lines[-1]


@pytest.mark.slow
def test_in_place_an_unchanged_file_is_left_alone_and_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = planted(tmp_path / "in", PLAIN)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    before = path.stat()
    words = ("resize", "in", "-s", "60", "--in-place", "--backup", "keep", "-v")

    first = imgbatch_text(*words, cwd=tmp_path)

    assert (first.returncode, path.read_bytes()) == (0, PLAIN)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not (tmp_path / "keep/a.jpg").exists()
    assert "copied unchanged" in first.stderr
    assert "1 up to date" in imgbatch_text(*words, cwd=tmp_path).stderr
    # It is still processed when another size is requested.
    assert imgbatch_text(*words[:3], "30", *words[4:], cwd=tmp_path).returncode == 0
    assert opened(path.read_bytes()).size == (30, 20)
    assert (tmp_path / "keep/a.jpg").read_bytes() == PLAIN


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [False, True])
def test_dates_are_preserved_on_request(tmp_path: Path, in_place: bool) -> None:
    (tmp_path / "in").mkdir()
    names = ("copied.jpg", "made.jpg")
    for name, pixels in zip(names, (scene(30, 20), scene(60, 40)), strict=True):
        file = planted(tmp_path / "in", saved(pixels, "JPEG"), name)
        os.utime(file, ns=(10**18, 10**18 + 123_456_700))
    where = ("--in-place", "--no-backup") if in_place else ("-o", "out")
    words = ("resize", "in", "-s", "30", "--preserve-dates", *where)

    assert imgbatch_text(*words, cwd=tmp_path).returncode == 0

    made = tmp_path / ("in" if in_place else "out")
    assert {(made / name).stat().st_mtime_ns for name in names} == {10**18 + 123_456_700}
    assert opened((made / "made.jpg").read_bytes()).size == (30, 20)
    assert "2 up to date" in imgbatch_text(*words, cwd=tmp_path).stderr


def test_dates_are_those_of_the_run_by_default(tmp_path: Path) -> None:
    path = planted(tmp_path, PLAIN)
    os.utime(path, (10**9, 10**9))
    result = only(path, tmp_path / "out")
    assert Path(result.written[0].path).stat().st_mtime > 1.5e9
