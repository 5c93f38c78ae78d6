"""`imgbatch.open`: a picture that is changed step by step, and saved."""

from __future__ import annotations

import os
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from toolkit.folders import files, plant
from toolkit.pictures import (
    cmyk_profile,
    corners,
    exif_block,
    opened,
    quarters,
    saved,
    scene,
    stored,
    wide_gamut_profile,
)

import imgbatch

EXIF: Final = b"Exif\0\0" + exif_block(orientation=6).block
JPEG: Final = saved(
    stored(scene(96, 64), 6), "JPEG", exif=EXIF, icc_profile=wide_gamut_profile(), quality=90
)


def test_steps_make_what_a_recipe_makes(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", data=JPEG)
    recipe = imgbatch.Recipe.from_options(
        sizes="40x40", fit="cover", filters="sharpen:amount=0.5", format="webp", quality=70
    )
    (expected,) = recipe.apply(JPEG)

    picture = imgbatch.open(tmp_path / "a.jpg").resize((40, 40), fit="cover")
    made = picture.apply("sharpen:amount=0.5").save(tmp_path / "out.webp", quality=70)

    assert (tmp_path / "out.webp").read_bytes() == made.data == expected.data
    assert (made.width, made.height, made.format) == (40, 40, "webp")


def test_a_picture_never_changes(tmp_path: Path) -> None:
    picture = imgbatch.open(JPEG)

    small, grey = picture.resize(30), picture.apply("grayscale")

    sizes = [(one.width, one.height, one.format) for one in (picture, small, grey)]
    assert sizes == [(96, 64, "jpeg"), (30, 20, "jpeg"), (96, 64, "jpeg")]
    assert [one.to_pillow().mode for one in (picture, small, grey)] == ["RGB", "RGB", "L"]
    assert repr(small) == "<imgbatch.Picture from 96 x 64 jpeg resize>"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (48, (48, 32)),
        ("48x", (48, 32)),
        ((48, None), (48, 32)),
        ((None, 16), (24, 16)),
        ("50%", (48, 32)),
    ],
)
def test_sizes_are_known_before_anything_is_decoded(size: Any, expected: tuple[int, int]) -> None:
    cut = imgbatch.open(JPEG[:-600]).resize(size)

    assert (cut.width, cut.height) == expected
    with pytest.raises(imgbatch.PictureError):
        cut.to_numpy()


def test_size_that_depends_on_what_is_seen_is_found_out() -> None:
    framed = Image.new("RGB", (60, 40), "white")
    framed.paste(Image.fromarray(scene(30, 20)), (10, 10))

    picture = imgbatch.open(framed).apply("trim")

    assert (picture.width, picture.height) == picture.to_pillow().size
    assert picture.width < 40


def test_a_large_jpeg_is_decoded_at_the_size_that_is_needed() -> None:
    data = saved(scene(1600, 1200), "JPEG")

    with pytest.raises(imgbatch.PictureError, match="memory"):
        imgbatch.open(data, memory="80MB").to_numpy()
    assert imgbatch.open(data, memory="80MB").resize(100).to_numpy().shape == (75, 100, 3)


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (4, 6)), ("LA", (4, 6, 2)), ("RGB", (4, 6, 3)), ("RGBA", (4, 6, 4))]
)
def test_arrays_come_out_as_they_went_in(mode: str, shape: tuple[int, ...]) -> None:
    levels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 2

    picture = imgbatch.open(levels)
    array = picture.to_numpy()

    assert np.array_equal(array, levels)
    assert picture.to_pillow().mode == mode
    array[:] = 0
    picture.to_pillow().paste(0, (0, 0, 6, 4))
    assert np.array_equal(picture.to_numpy(), levels)


def test_sixteen_bits_come_out_as_they_went_in() -> None:
    pytest.importorskip("imagecodecs")
    levels = (np.arange(4 * 6 * 3).reshape(4, 6, 3) * 700).astype(np.uint16)
    for array in (levels, levels[..., 0]):
        picture = imgbatch.open(array)
        assert np.array_equal(picture.to_numpy(), array)
    assert imgbatch.open(levels).to_pillow().mode == "RGB"


def test_cmyk_comes_out_in_srgb() -> None:
    image = Image.new("CMYK", (4, 3), (0, 0, 0, 255))

    picture = imgbatch.open(saved(image, "JPEG", icc_profile=cmyk_profile()))

    assert picture.to_numpy().shape == (3, 4, 3)


def test_metadata_and_colours_are_kept() -> None:
    image = imgbatch.open(JPEG).resize(48).to_pillow()

    exif = image.getexif()
    assert image.size == (48, 32)
    assert exif[0x0112] == 1
    assert exif[0x010F] == opened(JPEG).getexif()[0x010F]
    assert image.info["icc_profile"] == wide_gamut_profile()
    converted = imgbatch.open(JPEG).convert("srgb").to_pillow()
    assert converted.info.get("icc_profile") != wide_gamut_profile()


def test_pictures_are_upright() -> None:
    data = saved(stored(quarters(), 6), "PNG", exif=EXIF)

    assert corners(imgbatch.open(data).to_pillow()) == corners(Image.fromarray(quarters()))


# Saving


def test_suffix_decides_about_the_format(tmp_path: Path) -> None:
    picture = imgbatch.open(JPEG)

    for name, kind in (("a.png", "PNG"), ("b.JPG", "JPEG"), ("c", "JPEG")):
        picture.save(tmp_path / name)
        assert opened((tmp_path / name).read_bytes()).format == kind
    with pytest.raises(imgbatch.UsageError, match=r"unknown format '\.xyz'"):
        picture.save(tmp_path / "d.xyz")
    with pytest.raises(imgbatch.UsageError, match=r"d\.png for format jpeg, expected the suffix"):
        picture.save(tmp_path / "d.png", format="jpeg")
    assert files(tmp_path) == ["a.png", "b.JPG", "c"]


def test_file_objects_are_written_to() -> None:
    buffer = BytesIO(b"before")
    buffer.seek(6)

    made = imgbatch.open(JPEG).resize(20).save(buffer, format="png", metadata="none")

    assert buffer.getvalue() == b"before" + made.data
    assert "exif" not in opened(made.data).info


def test_saving_replaces_as_a_whole_even_the_source(tmp_path: Path) -> None:
    path = plant(tmp_path, "a.jpg", data=JPEG) / "a.jpg"
    path.chmod(0o604)
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    picture = imgbatch.open(path).resize(30)

    picture.save(tmp_path / "link.jpg")

    assert opened(path.read_bytes()).size == (30, 20)
    assert path.stat().st_mode & 0o777 == 0o604
    assert (tmp_path / "link.jpg").is_symlink()
    assert files(tmp_path) == ["a.jpg", "link.jpg"]


def test_failed_saving_leaves_what_was_there(tmp_path: Path) -> None:
    path = plant(tmp_path, "a.jpg", data=b"mine") / "a.jpg"

    with pytest.raises(imgbatch.PictureError, match="cut short"):
        imgbatch.open(JPEG[:-600]).save(path)
    for target, why in (
        (tmp_path / "gone/a.jpg", "there is no folder"),
        (tmp_path, "something else than a file"),
        (os.devnull, "something else than a file"),
    ):
        with pytest.raises(imgbatch.PictureError, match=why) as found:
            imgbatch.open(JPEG).save(target)
        assert found.value.stage == "write"

    assert path.read_bytes() == b"mine"
    assert files(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda one: one.apply("sharpn"), imgbatch.UsageError, "did you mean sharpen"),
        (lambda one: one.apply(7), imgbatch.UsageError, "found 7, expected a name"),
        (lambda one: one.resize("huge"), imgbatch.UsageError, "cannot read the size 'huge'"),
        (lambda one: one.resize(1.5), imgbatch.UsageError, "found the size 1.5"),
        (lambda one: one.resize(9, fitt="pad"), TypeError, r"resize\(\) .* did you mean 'fit'"),
        (lambda one: one.resize(9, fit="pda"), imgbatch.UsageError, "did you mean pad"),
        (lambda one: one.convert("nope"), imgbatch.UsageError, "unknown profile 'nope'"),
        (lambda one: one.save("a.jpg", qualty=1), TypeError, "did you mean 'quality'"),
        (lambda one: one.save("a.jpg", quality=0), imgbatch.UsageError, "found quality 0"),
        (lambda one: one.save(StringIO()), TypeError, "str"),
        (lambda one: one.save(None), TypeError, "found NoneType, expected a path"),
        (lambda one: one.save(""), imgbatch.UsageError, "found an empty path to save to"),
        (
            lambda one: one.save("a.png", format="keep"),
            imgbatch.UsageError,
            "a.png for format jpeg",
        ),
    ],
)
def test_mistakes_are_refused_by_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Any,
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(error, match=message):
        call(imgbatch.open(JPEG))
    assert files(tmp_path) == []


def test_what_cannot_be_opened_is_refused_at_once() -> None:
    with pytest.raises(imgbatch.PictureError) as found:
        imgbatch.open("gone.jpg")
    assert (found.value.stage, found.value.kind) == ("open", "not-found")


def test_strict_pictures_have_no_warnings() -> None:
    cut = JPEG[:-600]

    assert imgbatch.open(cut, salvage=True).to_numpy().shape == (64, 96, 3)
    with pytest.raises(imgbatch.PictureError, match="strict"):
        imgbatch.open(cut, salvage=True, strict=True).to_numpy()


def test_notebooks_show_it() -> None:
    shown = opened(imgbatch.open(saved(scene(1400, 700), "JPEG"))._repr_png_())

    assert (shown.format, shown.size) == ("PNG", (1000, 500))
