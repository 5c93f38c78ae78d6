"""HEIC through the extra `heif`: reading, writing, and what is reported."""

from __future__ import annotations

import json
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import decoding, pictures
from toolkit.exiftool import exiftool

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.colour import icc
from imgbatch.imaging.decode import read_header
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import encode
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Encoding, Size

decoded: Final = partial(decoding.decoded, name="photo.heic")

SIZE: Final = (96, 64)
LOSSLESS: Final = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}


def same_size(size: Size) -> Size:
    return size


HEIF: Final = formats.codec(formats.BY_NAME["heif"])


def heic(pixels: NDArray[Any] | Image.Image, **options: Any) -> bytes:
    return pictures.saved(pixels, "HEIF", **LOSSLESS, **options)


def kinds(picture: Any) -> list[str]:
    return [notice.kind for notice in picture.notices]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_are_read(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(pictures.scene(*SIZE)).convert(mode)
    if mode == "RGBA":
        image.putalpha(image.getchannel("G"))
    picture = decoded(tmp_path, heic(image))
    assert (picture.mode, picture.format, picture.notices) == (mode, "heif", ())
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(tmp_path: Path, orientation: int) -> None:
    stored = pictures.stored(pictures.quarters(*SIZE), orientation)
    block = pictures.exif_block(orientation=orientation).block
    # The encoder puts the EXIF orientation into the properties that count for HEIC, too.
    picture = decoded(tmp_path, heic(stored, exif=block, xmp=pictures.xmp_packet()))
    assert picture.orientation == 1
    assert picture.full_size == picture.size == SIZE
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    header = read_header(str(tmp_path / "photo.heic"))
    assert (header.size, header.camera, header.date) == (SIZE, pictures.MODEL, pictures.TAKEN)


def test_metadata_are_read(tmp_path: Path) -> None:
    icc = pictures.wide_gamut_profile()
    data = heic(
        pictures.scene(*SIZE),
        exif=pictures.exif_block(orientation=1).block,
        xmp=pictures.xmp_packet(),
        icc_profile=icc,
    )
    picture = decoded(tmp_path, data)
    assert picture.icc == icc
    assert picture.metadata.exif is not None
    assert pictures.MODEL.encode() in picture.metadata.exif.tobytes()
    assert picture.metadata.xmp is not None
    assert b"Ada Licht" in picture.metadata.xmp


def test_main_picture_of_several_is_kept(tmp_path: Path) -> None:
    first, main = (
        Image.fromarray(pictures.scene(*SIZE)),
        Image.fromarray(pictures.quarters(*SIZE)),
    )
    buffer = BytesIO()
    first.save(buffer, "HEIF", save_all=True, append_images=[main], primary_index=1, **LOSSLESS)
    picture = decoded(tmp_path, buffer.getvalue())
    assert kinds(picture) == ["frames-dropped"]
    assert picture.series is None
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(main))


@pytest.mark.parametrize("key", ["aux", "depth_images"])
def test_auxiliary_maps_are_reported(key: str) -> None:
    # No program at hand writes such files.
    file = BytesIO(heic(pictures.scene(*SIZE)))
    image = Image.open(file)
    assert HEIF.left_behind(image, file) == ()
    image.info[key] = {"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}
    assert [notice.kind for notice in HEIF.left_behind(image, file)] == ["gain-map-dropped"]


def levels(channels: int) -> NDArray[np.uint16]:
    shape = (SIZE[1], SIZE[0], channels)
    array = np.random.default_rng(5).integers(0, 65_536, shape, dtype=np.uint16)
    array[0, 0], array[0, 1] = 0, 65_535
    return array


@pytest.mark.parametrize("mode", ["RGB;16", "RGBA;16"])
def test_10_bits_are_written_and_read_back(tmp_path: Path, mode: str) -> None:
    array = levels(3 if mode == "RGB;16" else 4)
    picture = Picture(Deep(array), "png", SIZE, (0, 0, *SIZE))
    encoded = encode(picture, Encoding("heif", lossless=True))
    assert [(one.kind, "10 bits" in one.message) for one in encoded.notices] == [
        ("depth-reduced", True)
    ]
    ten = np.floor(array.astype(np.float64) * 1023 / 65_535 + 0.5)
    file: Any = pillow_heif.open_heif(
        BytesIO(encoded.data), convert_hdr_to_8bit=False, hdr_to_16bit=False
    )
    np.testing.assert_array_equal(np.asarray(file[0]), ten)
    again = decoded(tmp_path, encoded.data)
    assert (again.mode, again.notices) == (mode, ())
    assert again.deep is not None
    np.testing.assert_array_equal(again.deep.array, np.floor(ten * 65_535 / 1023 + 0.5))
    # 10 bits lose nothing in a HEIC.
    assert encode(again, Encoding("heif", lossless=True)).notices == ()


def test_grey_of_10_bits_fills_16(tmp_path: Path) -> None:
    array = levels(1)[..., 0]
    picture = decoded(tmp_path, heic(Image.fromarray(array)))
    assert (picture.mode, kinds(picture)) == ("I;16", [])
    expected = np.floor((array >> 6) * (65_535 / 1023) + 0.5)
    np.testing.assert_array_equal(np.asarray(picture.image), expected)


def test_without_the_deep_extra_10_bits_become_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = levels(3)
    buffer = BytesIO()
    pillow_heif.encode("RGB;16", SIZE, array.tobytes(), buffer, **LOSSLESS)
    monkeypatch.setattr(formats, "installed", lambda extra: extra != "deep")
    picture = decoded(tmp_path, buffer.getvalue())
    assert (picture.mode, kinds(picture)) == ("RGB", ["depth-reduced"])
    assert np.abs(np.asarray(picture.image) - array / 257).max() < 2


# Writing


def scene_picture(mode: str = "RGB", **options: Any) -> Picture:
    image = Image.fromarray(pictures.scene(*SIZE)).convert(mode)
    if image.mode in ("LA", "RGBA"):
        image.putalpha(image.convert("RGB").getchannel("R"))
    return Picture(image, "png", SIZE, (0, 0, *SIZE), **options)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_lossless_is_exact(mode: str) -> None:
    picture = scene_picture(mode)
    encoded = encode(picture, Encoding("heif", lossless=True))
    assert encoded.notices == ()
    image = Image.open(BytesIO(encoded.data))
    expected = picture.image.convert("RGBA") if mode == "LA" else picture.image
    assert image.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_quality_and_effort_take_effect() -> None:
    wanted = (
        Encoding("heif", quality=30),
        Encoding("heif", quality=65),
        Encoding("heif"),
        Encoding("heif", quality=95),
        Encoding("heif", quality=95, subsampling="4:4:4"),
        Encoding("heif", quality=95, effort=10),
    )
    sizes = [len(encode(scene_picture(), encoding).data) for encoding in wanted]
    low, usual, default, high, full, slow = sizes
    assert low < usual < high < full
    assert default == usual
    assert slow != high
    fine = Image.open(BytesIO(encode(scene_picture(), Encoding("heif", quality=95)).data))
    error = np.asarray(fine).astype(np.float64) - pictures.scene(*SIZE)
    # x265 at 95 is within 2 levels of luma; halved chroma blurs the edges of the sun.
    assert np.abs(error @ (0.299, 0.587, 0.114)).mean() < 2


@pytest.mark.slow
@pytest.mark.external("exiftool")
def test_metadata_are_written(tmp_path: Path) -> None:
    icc = pictures.wide_gamut_profile()
    block = pictures.exif_block(orientation=1).block
    travelling = Metadata(exif=Exif(block), xmp=pictures.xmp_packet())
    encoded = encode(scene_picture(icc=icc, metadata=travelling), Encoding("heif"))
    assert encoded.notices == ()
    path = tmp_path / "out.heic"
    path.write_bytes(encoded.data)
    (tags,) = json.loads(exiftool("-j", "-G1", path))
    assert tags["IFD0:Model"] == pictures.MODEL
    assert tags["IFD0:Artist"] == pictures.ARTIST
    assert tags["ExifIFD:DateTimeOriginal"] == pictures.TAKEN
    assert any(key.startswith("XMP-dc:") for key in tags)
    assert tags["File:MIMEType"] == "image/heic"
    with Image.open(path) as image:
        assert image.info["icc_profile"] == icc


def test_round_trip_through_the_program(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    block = pictures.exif_block(orientation=6).block
    stored = pictures.stored(pictures.quarters(96, 64), 6)
    (photos / "a.heic").write_bytes(heic(stored, exif=block))
    (photos / "b.jpg").write_bytes(pictures.saved(stored, "JPEG", exif=b"Exif\0\0" + block))
    recipe = imgbatch.Recipe.from_options(sizes=["48"], format="heic", quality=90)
    results = list(imgbatch.run(recipe, [photos], output=tmp_path / "out", jobs=1))
    assert [result.failure for result in results] == [None, None]
    for name in ("a.heic", "b.heic"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (48, 32)
            assert pictures.corners(image) == pictures.UPRIGHT
    keep = imgbatch.Recipe.from_options(sizes=["48"])
    results = list(imgbatch.run(keep, [photos], output=tmp_path / "kept", jobs=1))
    with Image.open(tmp_path / "kept/a.heic") as image:
        assert (image.format, image.size) == ("HEIF", (48, 32))


# Damage, and what is not installed


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_file_is_reported_as_such(tmp_path: Path, part: float) -> None:
    data = heic(pictures.scene(*SIZE))
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data[: int(len(data) * part)])
    assert caught.value.failure.kind == "truncated"


def test_damage_raises_nothing_but_picture_error(tmp_path: Path) -> None:
    whole = heic(pictures.scene(*SIZE), exif=pictures.exif_block().block)
    rng = np.random.default_rng(2)
    failures = set()
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, 700, 3):
            data[place] = rng.integers(0, 256)
        try:
            decoded(tmp_path, bytes(data), max_pixels=10_000_000)
        except PictureError as error:
            failures.add(error.failure.kind)
    assert "broken" in failures


def test_picture_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, heic(pictures.scene(*SIZE)), max_pixels=SIZE[0] * SIZE[1] - 1)
    assert caught.value.failure.kind == "too-large"


def test_without_the_extra_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = heic(pictures.scene(*SIZE))
    monkeypatch.setattr(formats, "installed", lambda extra: False)
    with pytest.raises(PictureError, match=r"imgbatch\[heif\]") as caught:
        decoded(tmp_path, data)
    assert caught.value.failure.kind == "no-codec"
    with pytest.raises(PictureError, match=r"imgbatch\[heif\]"):
        encode(scene_picture(), Encoding("heif"))


def test_read_only_build_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif, "libheif_info", lambda: {"HEIF": ""})
    with pytest.raises(PictureError, match="encoder") as caught:
        encode(scene_picture(), Encoding("heif"))
    assert caught.value.failure.kind == "no-codec"


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("transfer", [1, 6, 13, 14, 15])
def test_curve_of_bt709_is_shown_as_srgb(tmp_path: Path, transfer: int, bits: int) -> None:
    """Whatever the camera's curve was: in every viewer, and by heif-convert."""
    array = levels(3)
    pixels = array if bits == 10 else (array >> 8).astype(np.uint8)
    for primaries in (1, 12):
        buffer = BytesIO()
        options = LOSSLESS | {"color_primaries": primaries, "transfer_characteristics": transfer}
        mode = "RGB;16" if bits == 10 else "RGB"
        pillow_heif.encode(mode, SIZE, pixels.tobytes(), buffer, **options)
        picture = decoded(tmp_path, buffer.getvalue())
        assert kinds(picture) == []
        assert picture.mode == mode
        if primaries == 1:
            assert picture.icc is None
        else:
            assert picture.icc is not None
            assert icc.tags(picture.icc)[b"rTRC"] == icc.srgb_curve()  # type: ignore[index]
