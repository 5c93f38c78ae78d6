"""Limits in bytes and --keep-smaller, for whole files and on the command line."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit.commands import imgbatch_here, imgbatch_text
from toolkit.folders import planted
from toolkit.limited import by_pillow, grainy, made
from toolkit.pictures import (
    exif_block,
    opened,
    saved,
    scene,
    stored,
    traces_of_position,
    wide_gamut_profile,
    with_metadata,
    xmp_packet,
)
from toolkit.reports import rows

import imgbatch
from imgbatch.errors import UsageError
from imgbatch.model import Encoding, Notice, Result

# Whole files


def only(path: Path, out: Path, *, strict: bool = False, **words: Any) -> Result:
    """Run one file and return its result."""
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [path], output=out, jobs=1, strict=strict)
    return result


JPEG: Final = saved(grainy(), "JPEG", quality=92)


def test_source_that_is_small_enough_and_unchanged_is_copied(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    exact = only(path, tmp_path / "a", max_bytes=len(JPEG))
    assert (exact.written[0].copied, made(exact)) == (True, JPEG)
    short = only(path, tmp_path / "b", max_bytes=len(JPEG) - 1)
    assert not short.written[0].copied
    assert len(made(short)) < len(JPEG)


def test_jpeg_that_fits_with_its_own_tables_keeps_them(tmp_path: Path) -> None:
    exif = b"Exif\0\0" + exif_block(orientation=1).block
    data = saved(grainy(), "JPEG", quality=75, exif=exif)
    path = planted(tmp_path, data)
    result = only(path, tmp_path / "a", metadata="none", max_bytes=len(data))
    own = opened(data).quantization  # type: ignore[attr-defined]
    assert opened(made(result)).quantization == own  # type: ignore[attr-defined]
    tight = only(path, tmp_path / "b", metadata="none", max_bytes=len(made(result)) - 1)
    assert opened(made(tight)).quantization != own  # type: ignore[attr-defined]
    asked = only(path, tmp_path / "c", metadata="none", max_bytes=len(data), quality=60)
    assert opened(made(asked)).quantization != own  # type: ignore[attr-defined]


def test_formats_without_a_quality_pass_or_fail(tmp_path: Path) -> None:
    png = saved(grainy(), "PNG")
    path = planted(tmp_path, png, "a.png")
    # Encoded again because of the effort.
    small = saved(grainy(), "PNG", compress_level=9)
    asked: dict[str, dict[str, Any]] = {"same": {}, "effort": {"effort": 9}}
    for name, words in asked.items():
        assert len(made(only(path, tmp_path / name, max_bytes=len(png), **words))) <= len(png)
        result = only(path, tmp_path / f"{name}-less", max_bytes=len(small) - 1, **words)
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == ("encode", "too-large")
        assert "PNG has no quality to adjust: use --format jpeg, webp or avif" in (
            result.failure.message
        )
        assert not (tmp_path / f"{name}-less/a.png").exists()


def test_all_pages_count_together(tmp_path: Path) -> None:
    pages = saved(grainy(), "TIFF", save_all=True, append_images=[grainy()] * 2)
    path = planted(tmp_path, pages, "a.tif")
    words: dict[str, Any] = {"compression": "deflate"}
    whole = made(only(path, tmp_path / "a", **words))
    assert len(made(only(path, tmp_path / "b", max_bytes=len(whole), **words))) == len(whole)
    for name, limit in (("c", len(whole) - 1), ("d", 100)):
        result = only(path, tmp_path / name, max_bytes=limit, **words)
        assert result.failure is not None
        assert f"it has {len(whole):,} bytes" in result.failure.message


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_animation_fits_as_a_whole(tmp_path: Path, suffix: str) -> None:
    frames = [grainy(120, 80), grainy(120, 80).rotate(180), grainy(120, 80).rotate(180)]
    frames[2].paste("red", (0, 0, 60, 40))
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[50, 90, 70])
    path = planted(tmp_path, data, "a.gif")
    whole = len(made(only(path, tmp_path / "0", format=suffix, quality=60)))
    for part, share in (("full", 1.0), ("smaller", 0.3)):
        result = only(path, tmp_path / part, format=suffix, max_bytes=round(whole * share))
        again = Image.open(BytesIO(made(result)))
        assert len(made(result)) <= round(whole * share)
        assert again.n_frames == 3  # type: ignore[attr-defined]
        assert (again.width < 120) == (part == "smaller")
        assert again.size == (result.written[0].width, result.written[0].height)
        assert ["scaled-down"] * (part == "smaller") == [one.kind for one in result.notices]


def test_several_outputs_have_the_same_limit(tmp_path: Path) -> None:
    path = planted(tmp_path, saved(grainy(300, 200), "PNG"), "a.png")
    result = only(
        path, tmp_path / "out", sizes=["big=300", "small=60"], format="jpeg", max_bytes=8_000
    )
    assert all(one.bytes <= 8_000 for one in result.written)
    assert result.written[0].bytes > 7_000
    small = opened(Path(result.written[1].path).read_bytes())
    tables = opened(saved(grainy(), "JPEG", quality=95))
    assert small.quantization == tables.quantization  # type: ignore[attr-defined]


def test_strict_fails_what_had_to_be_shrunk(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", max_bytes=2_000)
    assert len(made(result)) <= 2_000
    assert [notice.kind for notice in result.notices] == ["scaled-down"]
    assert isinstance(result.notices[0], Notice)
    strict = only(path, tmp_path / "b", strict=True, max_bytes=2_000)
    assert strict.failure is not None
    assert (strict.failure.kind, strict.written) == ("scaled-down", ())
    assert len(made(only(path, tmp_path / "c", strict=True, max_bytes=len(JPEG) // 2)))


WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "none": ({"max_bytes": 0}, r"found max-bytes 0, expected bytes, as in 500000 or '500KB'"),
    "less": ({"max_bytes": -5}, "found max-bytes -5, expected bytes"),
    "no number": ({"max_bytes": "much"}, "found max-bytes 'much', expected bytes"),
    "pixels": ({"max_bytes": "2MP"}, "found max-bytes '2MP', expected bytes"),
    "lossless": (
        {"format": "webp", "lossless": True, "max_bytes": 9},
        "--lossless and --max-bytes exclude each other",
    ),
    "PNG": ({"format": "png", "max_bytes": 9}, "PNG has no max-bytes setting: omit --max-bytes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_contradictory_settings_are_refused(wrong: str) -> None:
    words, message = WRONG[wrong]
    with pytest.raises(UsageError, match=message):
        imgbatch.Recipe.from_options(**words)


def test_limits_are_text_or_numbers_and_change_the_digest() -> None:
    said = {
        word: imgbatch.Recipe.from_options(max_bytes=word)
        for word in (500_000, "500KB", "0.5MB", "500000", "499KB", None)
    }
    limits = {word: recipe.outputs[0].encoding.max_bytes for word, recipe in said.items()}
    assert limits == {500_000: 500_000, "500KB": 500_000, "0.5MB": 500_000} | {
        "500000": 500_000,
        "499KB": 499_000,
        None: None,
    }
    assert len({recipe.digest for recipe in said.values()}) == 3
    kept = imgbatch.Recipe.from_options(keep_smaller=True)
    assert kept.outputs[0].encoding == Encoding(keep_smaller=True)
    assert kept.digest != said[None].digest


def test_limit_is_included_in_the_memory_estimate() -> None:
    plain, bounded = (
        imgbatch.Recipe.from_options(format="jpeg", max_bytes=limit) for limit in (None, 9_000)
    )
    full = (3000, 2000)
    more = bounded.working_bytes(full, full, mode="RGB") - plain.working_bytes(
        full, full, mode="RGB"
    )
    assert more == 8 * full[0] * full[1]


# The smaller one of two


LOW: Final = saved(grainy(), "JPEG", quality=40)
PNG: Final = saved(scene(300, 200), "PNG", compress_level=9)

FILES: Final[dict[str, tuple[str, bytes, dict[str, Any]]]] = {
    "quality": ("a.jpg", LOW, {"quality": 90}),
    "subsampling": ("a.jpg", LOW, {"subsampling": "4:4:4"}),
    "a size that it has": ("a.jpg", LOW, {"sizes": ["2048"], "quality": 90}),
    "a limit": ("a.jpg", LOW, {"quality": 90, "max_bytes": len(LOW) + 999}),
    "its own format": ("a.jpg", LOW, {"format": "jpeg", "quality": 90}),
    "a profile that it has": ("a.jpg", LOW, {"profile": "srgb", "quality": 90}),
    "effort": ("a.png", PNG, {"effort": 1}),
    "lossless": ("a.webp", saved(grainy(), "WEBP", quality=40), {"lossless": True}),
    "compression": (
        "a.tif",
        saved(scene(60, 40), "TIFF", compression="tiff_adobe_deflate"),
        {"compression": "none"},
    ),
    "animation": (
        "a.webp",
        saved(grainy(), "WEBP", quality=20, save_all=True, append_images=[grainy().rotate(180)]),
        {"quality": 95},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FILES)
def test_source_is_kept_if_the_result_would_be_larger(tmp_path: Path, what: str) -> None:
    name, data, words = FILES[what]
    path = planted(tmp_path, data, name)
    plain = only(path, tmp_path / "a", **words)
    assert not plain.written[0].copied
    assert len(made(plain)) > len(data)
    kept = only(path, tmp_path / "b", strict=True, keep_smaller=True, **words)
    assert (kept.written[0].copied, made(kept)) == (True, data)
    assert kept.written[0].bytes == len(data)
    assert (kept.written[0].width, kept.written[0].height) == opened(data).size


def test_result_that_is_not_larger_is_used(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", keep_smaller=True, quality=50)
    assert not result.written[0].copied
    assert made(result) == by_pillow(opened(JPEG), "jpeg", 50)
    # If it is as large, it is what was requested.
    again = planted(tmp_path, made(result), "b.jpg")
    same = only(again, tmp_path / "b", keep_smaller=True, quality=50)
    if len(made(same)) == len(made(result)):
        assert not same.written[0].copied


POSITION: Final = with_metadata(
    scene(96, 64),
    "JPEG",
    exif=exif_block(orientation=1).block,
    xmp=xmp_packet(gps="attributes"),
)

ASKED: Final[dict[str, tuple[bytes, dict[str, Any]]]] = {
    "another format": (LOW, {"format": "webp", "quality": 100}),
    "smaller": (LOW, {"sizes": ["150"], "quality": 100}),
    "a filter": (LOW, {"filters": ["sharpen"], "quality": 100}),
    "a profile": (
        saved(grainy(), "JPEG", quality=40, icc_profile=wide_gamut_profile()),
        {"profile": "srgb", "quality": 100},
    ),
    "no position": (POSITION, {"metadata": "no-gps", "quality": 100}),
    "rights alone": (POSITION, {"metadata": "copyright", "quality": 100}),
    "no metadata": (POSITION, {"metadata": "none", "quality": 100}),
    "no metadata where there are none": (LOW, {"metadata": "none", "quality": 100}),
    "an artist": (LOW, {"artist": "Ada", "quality": 100}),
    "a copyright": (LOW, {"copyright": "(c) Ada", "quality": 100}),
    "turned": (
        with_metadata(stored(scene(96, 64), 6), "JPEG", exif=exif_block(orientation=6).block),
        {"quality": 100},
    ),
    "broken EXIF": (
        saved(scene(60, 40), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=40),
        {"quality": 100},
    ),
}


@pytest.mark.parametrize("asked", ASKED)
def test_source_is_not_kept_if_it_is_not_what_was_requested(tmp_path: Path, asked: str) -> None:
    data, words = ASKED[asked]
    result = only(planted(tmp_path, data), tmp_path / "out", keep_smaller=True, **words)
    assert not result.written[0].copied
    assert made(result) != data
    # In all of these the result's own quality counted.
    if words.get("metadata") in ("no-gps", "copyright", "none"):
        assert traces_of_position(made(result)) == []
        if data is POSITION:
            assert traces_of_position(data) != []


def test_broken_source_is_not_kept(tmp_path: Path) -> None:
    path = planted(tmp_path, LOW[:-200])
    recipe = imgbatch.Recipe.from_options(keep_smaller=True, quality=95)
    for salvage in (False, True):
        out = tmp_path / str(salvage)
        (result,) = imgbatch.run(recipe, [path], output=out, jobs=1, salvage=salvage)
        assert (result.status == "done") == salvage
        assert not any(one.copied for one in result.written)


def test_source_that_fits_is_kept_if_the_result_does_not(tmp_path: Path) -> None:
    path = planted(tmp_path, PNG, "a.png")
    words: dict[str, Any] = {"effort": 1, "max_bytes": len(PNG)}
    assert only(path, tmp_path / "a", **words).failure is not None
    result = only(path, tmp_path / "b", keep_smaller=True, **words)
    assert (result.written[0].copied, made(result)) == (True, PNG)
    # Not if it is too large itself.
    words["max_bytes"] -= 1
    assert only(path, tmp_path / "c", keep_smaller=True, **words).failure is not None


def test_source_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEG)
    result = only(path, tmp_path / "a", keep_smaller=True, max_bytes=len(JPEG) // 2)
    assert not result.written[0].copied
    assert len(made(result)) <= len(JPEG) // 2


# The command


@pytest.mark.slow
def test_command_respects_a_limit(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    planted(tmp_path / "in", JPEG)
    planted(tmp_path / "in", saved(grainy(40, 30), "PNG"), "b.png")
    words = ("resize", "in", "-s", "100", "-o", "out", "--max-bytes", "3.2KB")
    run = imgbatch_text(*words, "--report", "r", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found, _ = rows((tmp_path / "r").read_bytes())
    sizes = {name: row["outputs"][0]["bytes"] for name, row in found.items()}
    assert 2_900 < sizes["in/a.jpg"] <= 3_200
    assert sizes["in/a.jpg"] == (tmp_path / "out/a.jpg").stat().st_size
    assert "2 up to date" in imgbatch_text(*words, cwd=tmp_path).stderr
    other = imgbatch_text(*words[:-1], "3.1KB", cwd=tmp_path)
    assert "2 done" in other.stderr
    assert (tmp_path / "out/a.jpg").stat().st_size <= 3_100


@pytest.mark.slow
def test_command_reports_what_was_shrunk_and_what_failed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    planted(tmp_path / "in", JPEG)
    planted(tmp_path / "in", saved(grainy(), "PNG"), "b.png")
    words = ("resize", "in", "-o", "out", "-v", "--max-bytes", "2000")
    run = imgbatch_text(*words, cwd=tmp_path)
    assert run.returncode == 1
    assert "pixels instead of 160 x 120: at quality 40" in run.stderr
    assert "in/b.png failed: it has" in run.stderr
    assert (tmp_path / "out/a.jpg").stat().st_size <= 2_000
    assert not (tmp_path / "out/b.png").exists()


def test_command_refuses_an_invalid_limit(tmp_path: Path) -> None:
    planted(tmp_path, JPEG)
    for word, message in (
        ("big", "'--max-bytes': found 'big', expected a number, as in 500MB"),
        ("0", "found max-bytes 0, expected bytes"),
    ):
        run = imgbatch_here("resize", "a.jpg", "-o", "out", "--max-bytes", word, cwd=tmp_path)
        assert run.returncode == 2
        assert message in run.stderr.decode()


@pytest.mark.slow
def test_in_place_smaller_original_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    low = planted(tmp_path / "in", LOW, "low.jpg")
    high = planted(tmp_path / "in", JPEG, "high.jpg")
    before = low.stat()
    words: tuple[str, ...] = (
        "filter",
        "in",
        "--filter",
        "gamma:amount=1",
        "--in-place",
        "--backup",
        "keep",
    )
    words += ("-q", "60", "--keep-smaller", "-v")
    run = imgbatch_text(*words, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (low.stat().st_ino, low.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert low.read_bytes() == LOW
    assert len(high.read_bytes()) < len(JPEG)
    assert (tmp_path / "keep/high.jpg").read_bytes() == JPEG
    assert not (tmp_path / "keep/low.jpg").exists()
    assert "low.jpg (160 x 120" in run.stderr
    assert "2 up to date" in imgbatch_text(*words, cwd=tmp_path).stderr


@pytest.mark.slow
def test_limit_applies_in_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = planted(tmp_path / "in", JPEG)
    words = ("resize", "in", "-s", "2048", "--in-place", "--no-backup", "--max-bytes", "6KB")
    assert imgbatch_text(*words, cwd=tmp_path).returncode == 0
    first = path.read_bytes()
    assert 5_000 < len(first) <= 6_000
    assert opened(first).size == (160, 120)
    assert "1 up to date" in imgbatch_text(*words, cwd=tmp_path).stderr
    assert path.read_bytes() == first
