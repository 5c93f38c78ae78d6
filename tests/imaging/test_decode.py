"""From files to pictures: upright, in a known mode, with hostile input stopped here."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.decoding import (
    SIZE,
    SUFFIX,
    all_of_it,
    decoded,
    failure,
    kinds,
    png_chunk,
    sample,
    two_frames,
)
from toolkit.pictures import opened, saved

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.decode import Demand, decode, read_header
from imgbatch.model import Size

# Orientation


def oriented(source: str, orientation: int, size: Size = SIZE, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = pictures.stored(pictures.quarters(*size), orientation)
    return saved(pixels, source, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param("JPEG", {"quality": 95}, id="jpeg"),
        pytest.param("PNG", {}, id="png"),
        pytest.param("WEBP", {"lossless": True}, id="webp"),
        pytest.param("AVIF", {"quality": 90}, id="avif"),
        pytest.param("TIFF", {}, id="tiff"),
        pytest.param("TIFF", {"compression": "tiff_adobe_deflate"}, id="tiff-compressed"),
    ],
)
def test_every_orientation_comes_out_upright(
    tmp_path: Path, source: str, options: dict[str, Any], orientation: int
) -> None:
    data = oriented(source, orientation, **options)
    picture = decoded(tmp_path, data, f"photo{SUFFIX[source]}")
    assert (picture.image.size, picture.full_size) == (SIZE, SIZE)
    assert picture.area == (0, 0, *SIZE)
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    assert read_header(str(tmp_path / f"photo{SUFFIX[source]}")).size == SIZE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "CMYK"])
def test_every_mode_is_turned_exactly(tmp_path: Path, mode: str, orientation: int) -> None:
    count = {"L": 1, "I;16": 1, "LA": 2}.get(mode, 4)
    upright: NDArray[Any] = np.arange(6 * 9 * count, dtype=np.uint8).reshape(6, 9, count)
    if mode == "I;16":
        upright = upright[..., 0].astype(np.uint16) * 1_000
    stored = pictures.stored(upright, orientation)
    size = (stored.shape[1], stored.shape[0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.frombytes(mode, size, stored.tobytes()), "TIFF", exif=exif)
    picture = decoded(tmp_path, data, "photo.tif")
    assert picture.image.mode == mode
    assert picture.image.tobytes() == upright.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_jpeg_shrunk_on_load_comes_out_upright(
    tmp_path: Path, orientation: int, scale: int
) -> None:
    size = (643, 477)
    data = oriented("JPEG", orientation, size, quality=95)
    picture = decoded(tmp_path, data, least=(size[0] // scale, size[1] // scale))
    assert picture.image.size == (-(-size[0] // scale), -(-size[1] // scale))
    assert picture.full_size == size
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    left, top, right, bottom = picture.area
    assert (right - left, bottom - top) == (size[0] / scale, size[1] / scale)
    # The rows and columns that the decoder rounded up to are at what was the file's end.
    begins = pictures.SIDES[orientation]
    assert (top > 0) == ("bottom" in begins and scale > 1)
    assert (left > 0) == ("right" in begins and scale > 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_resized_jpeg_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    (tmp_path / "photo.jpg").write_bytes(oriented("JPEG", orientation, (640, 480), quality=95))
    recipe = imgbatch.Recipe.from_options(sizes=["60"], format="png")
    (result,) = imgbatch.run(recipe, [tmp_path / "photo.jpg"], output=tmp_path / "out", jobs=1)
    image = opened(Path(result.written[0].path).read_bytes())
    assert (image.size, pictures.corners(image)) == ((60, 45), pictures.UPRIGHT)


@pytest.mark.parametrize(
    ("least", "given"),
    [((640, 480), 640), ((321, 240), 640), ((320, 240), 320), ((161, 1), 320), ((1, 1), 80)],
)
def test_jpeg_is_never_decoded_smaller_than_needed(tmp_path: Path, least: Size, given: int) -> None:
    data = saved(pictures.scene(640, 480), "JPEG")
    assert decoded(tmp_path, data, least=least).image.size[0] == given


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_shrinking_on_load_keeps_the_picture(tmp_path: Path, scale: int) -> None:
    """Compared with the mean of each square of pixels, computed here."""
    pixels = pictures.scene(640, 480)
    picture = decoded(
        tmp_path, saved(pixels, "JPEG", quality=95), least=(640 // scale, 480 // scale)
    )
    squares = pixels.reshape(480 // scale, scale, 640 // scale, scale, 3).astype(np.float64)
    off = np.asarray(picture.image).astype(np.float64) - squares.mean(axis=(1, 3))
    assert np.abs(off).mean() < 2


@pytest.mark.parametrize(
    ("least", "progressive", "given"),
    [(400, False, 400), (399, True, 800), (267, True, 800), (266, True, 400)],
)
def test_progressive_jpeg_is_shrunk_only_with_half_as_much_to_spare(
    tmp_path: Path, least: int, progressive: bool, given: int
) -> None:
    data = saved(pictures.scene(800, 800), "JPEG", progressive=progressive)
    assert decoded(tmp_path, data, least=(least, least)).image.size == (given, given)


# Several pictures in one file


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_first_frame_knows_the_frame_count(tmp_path: Path, source: str) -> None:
    picture = decoded(tmp_path, two_frames(source), f"photo{SUFFIX[source]}")
    assert (picture.image.size, pictures.corners(picture.image)) == (SIZE, pictures.UPRIGHT)
    assert picture.series is not None
    assert picture.series.count == 3
    assert picture.series.kind == ("pages" if source == "TIFF" else "animation")
    assert picture.notices == ()


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
@pytest.mark.parametrize("target", ["jpeg", "bmp", "jpeg2000", "qoi"])
def test_animation_becomes_one_picture_in_a_still_format_with_a_warning(
    tmp_path: Path, source: str, target: str
) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(two_frames(source))
    recipe = imgbatch.Recipe.from_options(format=target)
    (result,) = imgbatch.run(recipe, [path], output=tmp_path / "out", jobs=1)
    assert result.failure is None
    image = opened(Path(result.written[0].path).read_bytes())
    assert getattr(image, "n_frames", 1) == 1
    assert pictures.corners(image) == pictures.UPRIGHT
    (notice,) = result.notices
    assert notice.kind == "frames-dropped"
    assert "the first of 3" in notice.message


def test_second_picture_in_a_jpeg_is_reported(tmp_path: Path) -> None:
    """As in HDR photographs of phones and pictures of drones: Pillow calls these MPO."""
    data = two_frames("MPO", {"quality": 90})
    assert Image.open(BytesIO(data)).format == "MPO"
    picture = decoded(tmp_path, data)
    assert (picture.format, kinds(picture)) == ("jpeg", ["gain-map-dropped"])
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_jpeg_with_a_second_picture_is_shrunk_on_load(tmp_path: Path) -> None:
    first = Image.fromarray(pictures.quarters(640, 480))
    data = saved(first, "MPO", save_all=True, append_images=[first])
    picture = decoded(tmp_path, data, least=(80, 60))
    assert picture.image.size == (80, 60)
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_icon_sizes_are_not_frames(tmp_path: Path) -> None:
    data = saved(pictures.quarters(64, 64), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    picture = decoded(tmp_path, data, "photo.ico")
    assert (picture.image.size, kinds(picture)) == ((64, 64), ["sizes-dropped"])
    assert "3 sizes" in picture.notices[0].message
    alone = saved(pictures.quarters(64, 64), "ICO", sizes=[(64, 64)])
    assert decoded(tmp_path, alone, "photo.ico").notices == ()


def test_icon_with_16_bits_is_reduced_with_a_warning(tmp_path: Path) -> None:
    levels = pictures.scene(32, 32).astype(np.uint16) * 257
    png = bytes(imagecodecs.png_encode(levels))
    entry = struct.pack("<4BHHII", 32, 32, 0, 0, 1, 48, len(png), 22)
    picture = decoded(tmp_path, b"\0\0\1\0\1\0" + entry + png, "photo.ico")
    assert kinds(picture) == ["depth-reduced"]
    assert np.array_equal(np.asarray(picture.image)[..., :3], pictures.scene(32, 32))


# Content decides


@pytest.mark.parametrize("source", [name for name in SUFFIX if name != "TGA"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.tga", "PHOTO.GIF", "photo"])
def test_content_decides_the_format(tmp_path: Path, source: str, name: str) -> None:
    picture = decoded(tmp_path, sample(source), name)
    assert picture.format == source.lower()
    assert pictures.corners(picture.image) == pictures.UPRIGHT


def test_format_without_signature_is_recognised_by_suffix(tmp_path: Path) -> None:
    picture = decoded(tmp_path, sample("TGA"), "photo.TGA")
    assert (picture.format, pictures.corners(picture.image)) == ("tga", pictures.UPRIGHT)
    assert failure(tmp_path, sample("TGA"), "photo.jpg").failure.kind == "not-an-image"


@pytest.mark.parametrize(
    ("source", "name", "output"),
    [
        ("JPEG", "photo.png", "photo.jpg"),
        ("PNG", "photo.jpg", "photo.png"),
        ("WEBP", "photo.JPEG", "photo.webp"),
        ("JPEG", "photo.jpeg", "photo.jpeg"),
        ("JPEG", "photo.JPG", "photo.JPG"),
        ("TIFF", "photo.tiff", "photo.tiff"),
    ],
)
def test_output_is_named_by_the_actual_format_of_its_source(
    tmp_path: Path, source: str, name: str, output: str
) -> None:
    (tmp_path / name).write_bytes(sample(source))
    recipe = imgbatch.Recipe.from_options()
    (result,) = imgbatch.run(recipe, [tmp_path / name], output=tmp_path / "out", jobs=1)
    path = Path(result.written[0].path)
    assert path.name == output
    assert opened(path.read_bytes()).format == source


# Asking before decoding


class Refused(Exception):  # noqa: N818
    """Stands for what decoding does not know."""


def demands(folder: Path, data: bytes, name: str, least: Size | None = None) -> list[Demand]:
    (folder / name).write_bytes(data)
    asked: list[Demand] = []
    decode(str(folder / name), lambda size: least or size, admit=asked.append)
    return asked


@pytest.mark.parametrize("source", SUFFIX)
def test_demand_is_made_once_before_any_pixel_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    name = f"photo{SUFFIX[source]}"
    (demand,) = demands(tmp_path, sample(source), name)
    assert (demand.full_size, demand.decoded_size) == (SIZE, SIZE)
    assert demand.bytes > SIZE[0] * SIZE[1] * 3
    assert demand.format == formats.recognise(sample(source)[:32], SUFFIX[source]).name  # type: ignore[union-attr]

    touched: list[object] = []
    monkeypatch.setattr(Image, "_getdecoder", lambda *words: touched.append(words))
    monkeypatch.setattr("PIL.Image.core.new", lambda *words: touched.append(words))
    refusal = Refused()

    def refuse(demand: Demand) -> None:
        raise refusal

    with pytest.raises(Refused) as caught:
        decode(str(tmp_path / name), all_of_it, admit=refuse)
    assert caught.value is refusal
    assert touched == []


@pytest.mark.parametrize(
    "raised", [OSError("x"), MemoryError(), ValueError(), PictureError("open", "truncated", "y")]
)
@pytest.mark.parametrize("salvage", [False, True])
def test_exception_from_a_refusal_is_passed_on(
    tmp_path: Path, raised: Exception, salvage: bool
) -> None:
    (tmp_path / "photo.jpg").write_bytes(sample("JPEG"))
    asked = []

    def refuse(demand: Demand) -> None:
        asked.append(demand)
        raise raised

    with pytest.raises(type(raised)) as caught:
        decode(str(tmp_path / "photo.jpg"), all_of_it, salvage=salvage, admit=refuse)
    assert caught.value is raised
    assert len(asked) == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_demand_matches_what_the_decoder_returns(tmp_path: Path, orientation: int) -> None:
    size = (640, 480)
    data = oriented("JPEG", orientation, size)
    (demand,) = demands(tmp_path, data, "photo.jpg", least=(80, 60))
    assert (demand.full_size, demand.decoded_size) == (size, (80, 60))
    for source in ("PNG", "TIFF", "WEBP"):
        (whole,) = demands(tmp_path, oriented(source, orientation, size), "photo")
        assert (whole.full_size, whole.decoded_size) == (size, size)
        assert whole.bytes > demand.bytes


@pytest.mark.parametrize(
    ("mode", "becomes", "keyed"),
    [
        *(("1", "L", "LA"), ("L", "L", "LA"), ("P", "RGB", "RGBA"), ("RGB", "RGB", "RGBA")),
        *(("I;16", "I;16", "LA;16"), ("LA", "LA", None), ("RGBA", "RGBA", None)),
        *(("CMYK", "CMYK", None), ("YCbCr", "RGB", None), ("F", "I;16", None)),
    ],
)
def test_demand_has_the_mode_of_the_pixels(
    tmp_path: Path, mode: str, becomes: str, keyed: str | None
) -> None:
    source = "TIFF" if mode in ("CMYK", "YCbCr", "F") else "PNG"
    image = Image.new(mode, SIZE)
    (demand,) = demands(tmp_path, saved(image, source), "photo")
    assert demand.mode == becomes
    assert decode(str(tmp_path / "photo"), lambda size: size).mode == becomes
    if keyed is not None:
        key = (0, 0, 0) if mode == "RGB" else 0
        (demand,) = demands(tmp_path, saved(image, source, transparency=key), "photo")
        assert demand.mode == keyed


def test_grey_that_may_become_colour_is_announced_as_colour(tmp_path: Path) -> None:
    """Because of its profile, or of code points for one, which a PNG has in cICP."""
    grey = Image.new("L", SIZE)
    wide = saved(grey, "PNG", icc_profile=pictures.wide_gamut_profile())
    start = saved(grey, "PNG")
    head = 8 + 25
    coded = start[:head] + png_chunk(b"cICP", bytes((12, 13, 0, 1))) + start[head:]
    for data in (wide, coded):
        (demand,) = demands(tmp_path, data, "photo")
        assert demand.mode == decode(str(tmp_path / "photo"), lambda size: size).mode == "RGB"


@pytest.mark.parametrize("source", SUFFIX)
def test_decoders_are_freed_when_done(tmp_path: Path, source: str) -> None:
    """WebP's would keep three times the pixels."""
    picture = decoded(tmp_path, sample(source), f"photo{SUFFIX[source]}")
    assert type(picture.image) is Image.Image


# Headers


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_header_has_size_date_and_camera(tmp_path: Path, source: str) -> None:
    pixels = pictures.stored(pictures.quarters(*SIZE), 6)
    path = tmp_path / "photo"
    path.write_bytes(
        pictures.with_metadata(pixels, source, exif=pictures.exif_block(orientation=6).block)
    )
    header = read_header(str(path))
    assert header.size == SIZE
    assert (header.date, header.camera) == (pictures.TAKEN, pictures.MODEL)


@pytest.mark.parametrize("source", ["JPEG", "GIF", "BMP"])
def test_header_without_exif_has_only_the_size(tmp_path: Path, source: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(sample(source))
    header = read_header(str(path))
    assert (header.size, header.date, header.camera) == (SIZE, None, None)


def test_header_of_a_non_picture_is_a_picture_error(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"text")
    with pytest.raises(PictureError):
        read_header(str(path))
