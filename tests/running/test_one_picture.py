"""`Recipe.apply`: one picture in memory, by the same pipeline as the files of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from toolkit.folders import files, plant
from toolkit.pictures import corners, exif_block, opened, quarters, saved, scene, stored

import imgbatch

SIZES: Final = imgbatch.Recipe.from_options(sizes=["web=30", "x10"], filters=["sharpen"])
AS_IS: Final = imgbatch.Recipe.from_options()
JPEG: Final = saved(scene(), "JPEG", quality=90)


@pytest.mark.parametrize(
    "options",
    [
        {"sizes": [30, "thumb=10"], "filters": ["sharpen"]},
        {"sizes": 30, "format": "webp", "template": "{date:%Y}/{stem!u}-{width}{ext}"},
        {},
        {"filters": "text:text='{stem} {seq}'"},
    ],
)
def test_bytes_and_names_are_those_of_a_run(tmp_path: Path, options: dict[str, Any]) -> None:
    photos = plant(tmp_path / "in", "ä b.jpg", data=JPEG)
    os.utime(photos / "ä b.jpg", (1e9, 1e9))
    recipe = imgbatch.Recipe.from_options(**options)

    made = recipe.apply(photos / "ä b.jpg")

    (result,) = imgbatch.run(recipe, [photos], output=tmp_path / "out", jobs=1)
    assert [(one.name, one.output, one.width, one.height, one.format) for one in made] == [
        (os.path.relpath(one.path, tmp_path / "out"), one.output, one.width, one.height, one.format)
        for one in result.written
    ]
    for one in made:
        assert (tmp_path / "out" / one.name).read_bytes() == one.data
        assert one.image().size == (one.width, one.height)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.jpg", data=JPEG)
    monkeypatch.chdir(tmp_path)

    SIZES.apply("a.jpg")

    assert files(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    "given",
    [bytes, bytearray, memoryview, BytesIO, lambda data: Image.open(BytesIO(data))],
    ids=["bytes", "bytearray", "memoryview", "file", "image"],
)
def test_bytes_and_files_and_images_are_taken(given: Callable[[bytes], Any]) -> None:
    made = SIZES.apply(given(JPEG))

    assert [(one.name, one.format, opened(one.data).size) for one in made] == [
        ("picture-web.jpg", "jpeg", (30, 20)),
        ("picture-x10.jpg", "jpeg", (15, 10)),
    ]


def test_open_file_is_read_from_where_it_is_and_names_the_picture(tmp_path: Path) -> None:
    plant(tmp_path, "photo.bin", data=b"header" + JPEG)

    with (tmp_path / "photo.bin").open("rb") as file:
        file.seek(6)
        (made,) = AS_IS.apply(file)

    assert (made.name, made.copied, made.data) == ("photo.jpg", True, JPEG)


@pytest.mark.parametrize(
    ("shape", "kind", "mode"),
    [
        ((4, 6), np.uint8, "L"),
        ((4, 6, 1), np.uint8, "L"),
        ((4, 6, 2), np.uint8, "LA"),
        ((4, 6, 3), np.uint8, "RGB"),
        ((4, 6, 4), np.uint8, "RGBA"),
        ((4, 6), np.uint16, "I;16"),
        ((4, 6, 1), ">u2", "I;16"),
    ],
)
def test_arrays_become_png_with_the_same_levels(
    shape: tuple[int, ...], kind: Any, mode: str
) -> None:
    # Arithmetic would change the order of its bytes.
    levels = (np.arange(np.prod(shape)).reshape(shape) * 2).astype(kind)
    assert levels.dtype == kind

    (made,) = AS_IS.apply(levels)

    assert (made.name, made.format, made.image().mode) == ("picture.png", "png", mode)
    assert np.array_equal(np.asarray(made.image()).reshape(shape), levels)


def test_matrices_and_read_only_arrays_are_taken() -> None:
    levels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    levels.flags.writeable = False

    for array in (levels, levels.view(np.matrix), np.ma.masked_less(levels, 3), levels[::2, ::-1]):
        (made,) = AS_IS.apply(array)
        assert np.array_equal(np.asarray(made.image()), np.asarray(array))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_of_colours_are_kept(channels: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    levels = (np.arange(4 * 6 * channels).reshape(4, 6, channels) * 700).astype(np.uint16)

    (made,) = AS_IS.apply(levels[:, ::-1])

    assert np.array_equal(imagecodecs.png_decode(made.data), levels[:, ::-1])


def test_an_image_keeps_its_metadata_and_is_turned_upright() -> None:
    block = b"Exif\0\0" + exif_block(orientation=6).block
    data = saved(stored(quarters(), 6), "JPEG", exif=block, quality=95)

    (made,) = AS_IS.apply(Image.open(BytesIO(data)))

    image = made.image()
    assert corners(image) == corners(Image.fromarray(quarters()))
    assert image.getexif()[0x010F] == Image.open(BytesIO(data)).getexif()[0x010F]


def test_a_new_image_becomes_a_png_and_stays_as_it_is() -> None:
    image = Image.new("RGBA", (50, 20), "#11223344")

    (made,) = imgbatch.Recipe.from_options(sizes=10).apply(image)

    assert (made.format, made.width, made.height) == ("png", 10, 4)
    assert image.size == (50, 20)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (5, TypeError, "found int, expected a path, bytes, a binary file"),
        (StringIO("x"), TypeError, "a file that gives str, expected one opened 'rb'"),
        (np.zeros((2, 2)), TypeError, "float64, expected uint8 or uint16"),
        (np.zeros((2, 2, 5), np.uint8), ValueError, r"shape \(2, 2, 5\), expected \(height"),
        (np.zeros((0, 2), np.uint8), ValueError, r"shape \(0, 2\)"),
        (Image.new("L", (0, 3)), ValueError, "0 x 3 pixels"),
    ],
)
def test_what_is_no_picture_is_refused(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AS_IS.apply(source)


@pytest.mark.parametrize(
    ("source", "stage", "kind"),
    [
        (b"", "open", "empty"),
        (b"hello", "open", "not-an-image"),
        (JPEG[:-100], "decode", "truncated"),
        (Image.open(BytesIO(JPEG[:-100])), "decode", "truncated"),
        ("gone.jpg", "open", "not-found"),
        ("a\0b", "open", "not-found"),
        (os.curdir, "open", "unreadable"),
        ("", "open", "not-found"),
    ],
)
def test_what_cannot_be_made_raises_the_failure(source: Any, stage: str, kind: str) -> None:
    with pytest.raises(imgbatch.PictureError) as found:
        AS_IS.apply(source)

    error = found.value
    assert (error.stage, error.kind) == (stage, kind)
    with pytest.raises(imgbatch.PictureError, match=f"^{re.escape(error.message)}$"):
        imgbatch.open(source).to_numpy()
    assert error.message == str(error) == error.failure.message
    assert isinstance(error, imgbatch.ImgbatchError)


def test_options_of_runs_count() -> None:
    cut = JPEG[:-100]

    (made,) = AS_IS.apply(cut, salvage=True)
    assert [notice.kind for notice in made.notices] == ["truncated"]
    for options, kind in (
        ({"salvage": True, "strict": True}, "truncated"),
        ({"max_pixels": 100}, "too-large"),
        ({"memory": "1MB"}, "memory"),
    ):
        with pytest.raises(imgbatch.PictureError) as found:
            AS_IS.apply(cut if "salvage" in options else JPEG, **options)
        assert found.value.kind == kind


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"salvag": True}, TypeError, r"apply\(\) got an unexpected .*'salvag'; .* 'salvage'"),
        ({"jobs": 2}, TypeError, r"unexpected keyword argument 'jobs'"),
        ({"salvage": "yes"}, imgbatch.UsageError, "found salvage 'yes', expected True or False"),
        ({"memory": "much"}, imgbatch.UsageError, "found much bytes of memory"),
        ({"max_pixels": None}, imgbatch.UsageError, "found a limit of None pixels"),
    ],
)
def test_wrong_options_are_named(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AS_IS.apply(JPEG, **options)


def test_two_outputs_of_one_name_are_refused() -> None:
    recipe = imgbatch.Recipe.from_options(sizes=[10, 20], template="{stem}{ext}")

    with pytest.raises(imgbatch.PlanError, match="would both become picture"):
        recipe.apply(JPEG)
