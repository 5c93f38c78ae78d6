"""JPEG XL through the extra `jxl`: reading, writing, JPEGs held whole, and what is reported."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image
from toolkit import decoding, pictures, programs
from toolkit.decoding import kinds
from toolkit.deep import CHANNELS, levels
from toolkit.exiftool import exiftool
from toolkit.folders import planted

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats, limits
from imgbatch.imaging.codecs import libjxl, libjxl_api
from imgbatch.imaging.codecs.libjxl import Frame, Wanted
from imgbatch.imaging.colour import icc
from imgbatch.imaging.decode import pictures as decoded_pictures
from imgbatch.imaging.decode import read_header
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import encode
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.opening import Rules
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Encoding, Result

decoded: Final = partial(decoding.decoded, name="photo.jxl")
failure: Final = partial(decoding.failure, name="photo.jxl")

SIZE: Final = (96, 64)
MODES: Final = ("L", "LA", "RGB", "RGBA")
JXL: Final = formats.codec(formats.BY_NAME["jxl"])
NAKED: Final = b"\xff\x0a"
HEAD: Final = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "


def pixels_in(mode: str) -> NDArray[Any]:
    """A scene (height, width, channels) in a mode."""
    image = Image.fromarray(pictures.scene(*SIZE)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(SIZE))
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array


def jxl(array: NDArray[Any], distance: float = 0, **more: Any) -> bytes:
    return libjxl.encoded([Frame(array, 0)], Wanted(distance, 3, **more))


def picture_of(array: NDArray[Any], **more: Any) -> Picture:
    pixels: Any = Deep(array) if array.dtype == np.uint16 and array.shape[2] > 1 else None
    if pixels is None:
        pixels = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    return Picture(pixels, "png", pixels.size, (0, 0, *pixels.size), **more)


def by_imagecodecs(data: bytes) -> NDArray[Any]:
    """The pixels as another binding of libjxl finds them."""
    array: NDArray[Any] = imagecodecs.jpegxl_decode(data)
    return array[..., None] if array.ndim == 2 else array


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def container(codestream: bytes, *before: bytes, behind: bytes = b"") -> bytes:
    return HEAD + b"".join(before) + box(b"jxlc", codestream) + behind


# Reading and writing pixels


@pytest.mark.parametrize("mode", MODES)
def test_lossless_is_exact(tmp_path: Path, mode: str) -> None:
    array = pixels_in(mode)
    made = encode(picture_of(array), Encoding("jxl", lossless=True))
    assert made.notices == ()
    assert made.data.startswith(NAKED)
    np.testing.assert_array_equal(by_imagecodecs(made.data), array)
    picture = decoded(tmp_path, made.data)
    assert (picture.mode, picture.format, picture.notices) == (mode, "jxl", ())
    assert (picture.full_size, picture.icc) == (SIZE, None)
    np.testing.assert_array_equal(np.atleast_3d(np.asarray(picture.image)), array)


@pytest.mark.parametrize("mode", ["I;16", *CHANNELS])
def test_lossless_is_exact_in_16_bits(tmp_path: Path, mode: str) -> None:
    array = levels(CHANNELS.get(mode, 1))
    made = encode(picture_of(array), Encoding("jxl", lossless=True))
    assert made.notices == ()
    np.testing.assert_array_equal(by_imagecodecs(made.data), array)
    picture = decoded(tmp_path, made.data)
    assert (picture.mode, picture.notices) == (mode, ())
    got = picture.deep.array if picture.deep is not None else np.asarray(picture.image)[..., None]
    np.testing.assert_array_equal(got, array)


@pytest.mark.slow
@pytest.mark.external("djxl")
@pytest.mark.parametrize(("mode", "lossless"), [*((m, True) for m in MODES), ("RGBA", False)])
def test_another_release_of_libjxl_finds_the_same(
    tmp_path: Path, mode: str, lossless: bool
) -> None:
    array = pixels_in(mode)
    quality = None if lossless else 90
    made = encode(picture_of(array), Encoding("jxl", lossless=lossless, quality=quality))
    out = tmp_path / "out.png"
    command = [programs.path_of("djxl"), str(planted(tmp_path, made.data, "in.jxl")), str(out)]
    subprocess.run(command, capture_output=True, check=True, timeout=300)
    seen = np.atleast_3d(np.asarray(Image.open(out))).astype(int)
    mine = np.atleast_3d(np.asarray(decoded(tmp_path, made.data).image))
    np.testing.assert_array_equal(seen[..., -1], mine[..., -1] if "A" in mode else seen[..., -1])
    assert np.abs(seen - mine).max() <= (0 if lossless else 1)


def test_lossy_16_bits_keep_their_levels(tmp_path: Path) -> None:
    smooth = np.linspace(20_000, 40_000, SIZE[0] * SIZE[1] * 3).reshape(*SIZE[::-1], 3)
    made = encode(picture_of(smooth.astype(np.uint16)), Encoding("jxl", quality=95))
    picture = decoded(tmp_path, made.data)
    assert picture.deep is not None
    # Far below a level of 8 bits, which are 257.
    assert np.abs(picture.deep.array - smooth).mean() < 100
    assert np.unique(picture.deep.array).size > 1000


def test_without_the_deep_extra_16_bits_become_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = levels(3)
    monkeypatch.setattr(formats, "installed", lambda extra: extra != "deep")
    picture = decoded(tmp_path, jxl(array))
    assert (picture.mode, kinds(picture)) == ("RGB", ["depth-reduced"])
    assert np.abs(np.asarray(picture.image) - array / 257).max() < 1


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("beyond", [False, True])
def test_floats_become_16_bits(tmp_path: Path, channels: int, beyond: bool) -> None:
    values = (np.mgrid[0:48, 0:64][1] / 63).astype(np.float32)
    array = np.ascontiguousarray(np.repeat(values[:, :, None], channels, axis=2))
    if beyond:
        array[0, 0] = 2
    # In sRGB, because imagecodecs tags floats as linear otherwise.
    data = bytes(imagecodecs.jpegxl_encode(array, lossless=True, bitspersample=32))
    picture = decoded(tmp_path, data)
    assert picture.mode == {1: "I;16", 3: "RGB;16", 4: "RGBA;16"}[channels]
    assert kinds(picture) == (["range-scaled"] if beyond else [])
    got = picture.deep.array if picture.deep is not None else np.asarray(picture.image)
    np.testing.assert_allclose(
        got[5:].reshape(43, 64, -1)[..., 0], values[5:] * 65_535 / (2 if beyond else 1), atol=1
    )


def test_invisible_colours_stay(tmp_path: Path) -> None:
    array = pixels_in("RGBA") * np.array([1, 1, 1, 0], np.uint8)
    picture = decoded(tmp_path, encode(picture_of(array), Encoding("jxl", lossless=True)).data)
    np.testing.assert_array_equal(np.asarray(picture.image), array)


def test_quality_and_effort_take_effect() -> None:
    array = pixels_in("RGB")
    wanted = (
        Encoding("jxl", quality=1),
        Encoding("jxl", quality=40),
        Encoding("jxl", quality=formats.BY_NAME["jxl"].quality),
        Encoding("jxl"),
        Encoding("jxl", quality=99),
        Encoding("jxl", quality=100),
        Encoding("jxl", lossless=True),
    )
    made = [encode(picture_of(array), one).data for one in wanted]
    sizes = [len(one) for one in made]
    assert sizes == sorted(sizes)
    assert made[2] == made[3]
    assert len(set(sizes)) == len(sizes) - 1
    efforts = {n: encode(picture_of(array), Encoding("jxl", effort=n)).data for n in (1, 5, 9, 10)}
    assert efforts[5] == made[3]
    assert efforts[1] != efforts[5] != efforts[9] == efforts[10]
    fine = by_imagecodecs(made[5]).astype(int)
    assert np.abs(fine - array).mean() < 1


def test_max_bytes_are_kept(tmp_path: Path) -> None:
    source = planted(tmp_path, pictures.saved(pictures.scene(480, 320), "PNG"), "a.png")
    for limit in (4_000, 20_000):
        recipe = imgbatch.Recipe.from_options(format="jxl", max_bytes=str(limit))
        (result,) = imgbatch.run(recipe, [source], output=tmp_path / str(limit), jobs=1)
        assert result.failure is None
        assert 0.8 * limit < result.written[0].bytes <= limit


# Colour


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
def test_profile_survives(tmp_path: Path, mode: str, lossless: bool) -> None:
    profile = pictures.grey_profile() if mode == "L" else pictures.wide_gamut_profile()
    array = pixels_in(mode)
    options: dict[str, Any] = {"lossless": True} if lossless else {"quality": 99}
    made = encode(picture_of(array, icc=profile), Encoding("jxl", **options))
    picture = decoded(tmp_path, made.data)
    assert picture.icc is not None
    if lossless:
        assert picture.icc == profile
    # Otherwise libjxl may name the colours by numbers, and writes its own profile from those.
    again = np.atleast_3d(np.asarray(picture.image)).astype(int)
    assert np.abs(again - array)[..., :3].mean() < 1
    for one in (profile, picture.icc):
        assert icc.tags(one) is not None


def test_lossy_colours_outside_srgb_are_not_clipped(tmp_path: Path) -> None:
    array = np.tile(np.array([10, 240, 20], np.uint8), (32, 32, 1))
    profile = pictures.wide_gamut_profile()
    picture = decoded(tmp_path, jxl(array, 0.1, icc=profile))
    assert np.abs(np.asarray(picture.image).astype(int) - array).max() <= 3


def test_profile_that_is_a_table_survives_lossy_coding(tmp_path: Path) -> None:
    curve = np.linspace(0, 1, 256) ** 1.5 * 0.9 + np.linspace(0, 1, 256) * 0.1
    profile = pictures.rgb_profile(pictures.WIDE_TO_XYZ, pictures.table_curve(curve))
    array = pixels_in("RGB")
    picture = decoded(tmp_path, jxl(array, 0.1, icc=profile))
    assert picture.icc == profile
    assert np.abs(np.asarray(picture.image).astype(int) - array).mean() < 1


@pytest.mark.parametrize("grey", [False, True])
def test_srgb_profile_of_libjxl_is_none(tmp_path: Path, grey: bool) -> None:
    profile = icc.grey_srgb() if grey else None
    array = pixels_in("L" if grey else "RGB")
    assert decoded(tmp_path, jxl(array, 1.0, icc=profile)).icc is None


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transfer: int
) -> None:
    real = libjxl._srgb

    def hdr(*, grey: bool) -> libjxl_api.ColorEncoding:
        encoding = real(grey=grey)
        encoding.primaries, encoding.transfer_function = 9, transfer
        return encoding

    with monkeypatch.context() as patched:
        patched.setattr(libjxl, "_srgb", hdr)
        data = jxl(pixels_in("RGB"))
    picture = decoded(tmp_path, data)
    assert (picture.icc, kinds(picture)) == (icc.from_cicp(9, transfer), [])
    np.testing.assert_array_equal(np.asarray(picture.image), pixels_in("RGB"))


# Metadata


def full() -> dict[str, Any]:
    return {
        "exif": pictures.exif_block(orientation=1).block,
        "xmp": pictures.xmp_packet(),
    }


def test_metadata_are_written_and_read(tmp_path: Path) -> None:
    block, packet = full().values()
    metadata = Metadata(exif=Exif(block), xmp=packet)
    made = encode(picture_of(pixels_in("RGB"), metadata=metadata), Encoding("jxl"))
    assert made.notices == ()
    assert made.data.startswith(HEAD[:12])
    picture = decoded(tmp_path, made.data)
    assert picture.metadata.exif is not None
    assert pictures.MODEL.encode() in picture.metadata.exif.tobytes()
    assert picture.metadata.exif.orientation in (None, 1)
    assert picture.metadata.xmp == packet
    header = read_header(str(tmp_path / "photo.jxl"))
    assert (header.size, header.camera, header.date) == (SIZE, pictures.MODEL, pictures.TAKEN)


@pytest.mark.slow
@pytest.mark.external("exiftool")
def test_exiftool_finds_the_metadata(tmp_path: Path) -> None:
    block, packet = full().values()
    metadata = Metadata(exif=Exif(block), xmp=packet)
    made = encode(picture_of(pixels_in("RGB"), metadata=metadata), Encoding("jxl"))
    path = planted(tmp_path, made.data, "out.jxl")
    told = exiftool("-G1", "-Model", "-MIMEType", "-XMP:all", path).decode()
    assert pictures.MODEL in told
    assert "image/jxl" in told
    assert "Ada Licht" in told


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_boxes_are_found_wherever_they_are(tmp_path: Path, packed: bool, behind: bool) -> None:
    block, packet = full().values()
    boxes: list[tuple[bytes, Any]] = [(b"Exif", b"\0\0\0\x06Exif\0\0" + block), (b"xml ", packet)]
    if packed:
        boxes = [(b"brob", kind + imagecodecs.brotli_encode(part)) for kind, part in boxes]
    made = b"".join(box(kind, content) for kind, content in boxes)
    stream = jxl(pixels_in("RGB"))
    data = container(stream, behind=made) if behind else container(stream, made)
    picture = decoded(tmp_path, data)
    assert picture.notices == ()
    assert picture.metadata.xmp == packet
    assert picture.metadata.exif is not None
    assert pictures.MODEL.encode() in picture.metadata.exif.tobytes()


def test_boxes_that_unpack_to_too_much_are_dropped(tmp_path: Path) -> None:
    boxes = b""
    for kind, most in ((b"Exif", limits.EXIF_BYTES), (b"xml ", limits.XMP_BYTES)):
        bomb = imagecodecs.brotli_encode(b"\0\0\0\0II*\0" + bytes(2 * most))
        assert len(bomb) < 1000
        boxes += box(b"brob", kind + bomb)
    picture = decoded(tmp_path, container(jxl(pixels_in("RGB")), boxes))
    assert set(kinds(picture)) <= {"metadata-dropped", "exif-broken"}
    assert (picture.metadata.exif, picture.metadata.xmp) == (None, None)


def test_many_boxes_take_no_time(tmp_path: Path) -> None:
    stream = jxl(pixels_in("RGB"))
    data = container(stream, behind=box(b"free", b"") * 200_000)
    about = libjxl.header(data, {b"xml ": 10})
    assert about.kinds == {b"JXL ", b"ftyp", b"jxlc", b"free"}
    np.testing.assert_array_equal(np.asarray(decoded(tmp_path, data).image), pixels_in("RGB"))


@pytest.mark.parametrize("offset", [0, 6, 500_000_000])
def test_exif_offset_is_followed(tmp_path: Path, offset: int) -> None:
    block = full()["exif"]
    content = struct.pack(">I", offset) + bytes(min(offset, 6)) + block
    picture = decoded(tmp_path, container(jxl(pixels_in("RGB")), box(b"Exif", content)))
    assert (picture.metadata.exif is not None) == (offset <= 6)


# Orientation, other channels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(tmp_path: Path, orientation: int) -> None:
    block = pictures.exif_block(orientation=orientation).block
    stored = pictures.stored(pictures.quarters(*SIZE), orientation)
    jpeg = pictures.with_metadata(stored, "JPEG", exif=block, xmp=pictures.xmp_packet())
    data = libjxl.recompressed(jpeg, 3)
    assert data is not None
    picture = decoded(tmp_path, data)
    assert picture.orientation == 1
    assert picture.full_size == picture.size == SIZE
    assert pictures.corners(picture.image) == pictures.UPRIGHT
    assert read_header(str(tmp_path / "photo.jxl")).size == SIZE
    # A copy would not be upright for everybody.
    assert picture.as_stored == (orientation == 1)


def with_extra_channel(kind: int) -> bytes:
    """A scene with one more channel of a type, through functions that imgbatch does not need."""
    array, library = pixels_in("RGB"), ctypes.CDLL(libjxl_api.library()._name)
    with libjxl._encoding() as encoder:
        info, extra = libjxl_api.BasicInfo(), libjxl_api.ExtraChannelInfo()
        libjxl_api.library().JxlEncoderInitBasicInfo(info)
        info.xsize, info.ysize = SIZE
        info.num_extra_channels = info.uses_original_profile = 1
        encoder.call("SetBasicInfo", info)
        library.JxlEncoderInitExtraChannelInfo(kind, ctypes.byref(extra))
        pointer = ctypes.c_void_p(encoder._pointer)
        set_info = library.JxlEncoderSetExtraChannelInfo
        assert set_info(pointer, ctypes.c_size_t(0), ctypes.byref(extra)) == 0
        profile = pictures.cmyk_profile() if kind == libjxl_api.BLACK else b""
        if profile:
            encoder.call("SetICCProfile", profile, len(profile))
        else:
            encoder.call("SetColorEncoding", libjxl._srgb(grey=False))
        encoder.call("FrameSettingsSetOption", 0, 3, of=encoder.settings)
        encoder.call("SetFrameLossless", 1, of=encoder.settings)
        layout = libjxl_api.PixelFormat(3, 2, 0, 0)
        pixels = array.ctypes.data
        encoder.call("AddImageFrame", layout, pixels, array.nbytes, of=encoder.settings)
        one = np.ascontiguousarray(array[..., 0])
        set_buffer = library.JxlEncoderSetExtraChannelBuffer
        place, length = ctypes.c_void_p(one.ctypes.data), ctypes.c_size_t(one.nbytes)
        settings, alone = ctypes.c_void_p(encoder.settings), libjxl_api.PixelFormat(1, 2, 0, 0)
        assert set_buffer(settings, ctypes.byref(alone), place, length, 0) == 0
        encoder.call("CloseInput")
        return encoder.output()


def test_depth_map_is_dropped_with_a_warning(tmp_path: Path) -> None:
    picture = decoded(tmp_path, with_extra_channel(1))
    assert kinds(picture) == ["gain-map-dropped"]
    np.testing.assert_array_equal(np.asarray(picture.image), pixels_in("RGB"))


def test_cmyk_is_refused(tmp_path: Path) -> None:
    error = failure(tmp_path, with_extra_channel(libjxl_api.BLACK))
    assert (error.failure.kind, "CMYK" in error.failure.message) == ("no-codec", True)


# Animations


def moving(mode: str = "RGB") -> tuple[list[Image.Image], list[float]]:
    first = Image.fromarray(np.squeeze(pixels_in(mode)))
    images = [first.transpose(Image.Transpose(turn)) for turn in (0, 1, 3)]
    return images, [40.0, 50.0, 1000.0]


def animated(mode: str = "RGB", plays: int = 3, **words: Any) -> bytes:
    images, durations = moving(mode)
    encoding = Encoding("jxl", lossless=True)
    options = JXL.options(Picture.of(images[0]), encoding) | words
    return JXL.animated(images, durations, plays, options, encoding)


@pytest.mark.parametrize("mode", MODES)
def test_animation_is_written_and_read(tmp_path: Path, mode: str) -> None:
    images, durations = moving(mode)
    path = planted(tmp_path, animated(mode), "moving.jxl")
    rules = Rules(every=lambda name, series: True)
    found = list(decoded_pictures(str(path), lambda size: size, rules))
    assert [one.duration for one in found] == durations
    for one, image in zip(found, images, strict=True):
        assert (one.mode, one.notices) == (mode, ())
        np.testing.assert_array_equal(np.asarray(one.image), np.asarray(image))
    series = found[0].series
    assert series is not None
    assert (series.kind, series.count, series.plays) == ("animation", 3, 3)
    np.testing.assert_array_equal(
        np.squeeze(by_imagecodecs(path.read_bytes())), [np.asarray(image) for image in images]
    )


def test_animation_travels_through_the_program(tmp_path: Path) -> None:
    images, durations = moving()
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "loop": 2}
    gif = pictures.saved(images[0], "WEBP", lossless=True, duration=durations, **options)
    result = only(planted(tmp_path, gif, "a.webp"), tmp_path / "out", format="jxl", lossless=True)
    assert result.notices == ()
    back = only(Path(result.written[0].path), tmp_path / "back", format="webp", lossless=True)
    assert back.notices == ()
    image: Any = Image.open(BytesIO(Path(back.written[0].path).read_bytes()))
    assert (image.n_frames, image.info["loop"]) == (3, 2)
    for number, wanted in enumerate(images):
        image.seek(number)
        image.load()
        assert image.info["duration"] == durations[number]
        np.testing.assert_array_equal(np.asarray(image)[..., :3], np.asarray(wanted))
    still = only(Path(result.written[0].path), tmp_path / "still", format="png")
    assert [one.kind for one in still.notices] == []


def test_animation_of_16_bits_has_8(tmp_path: Path) -> None:
    array = levels(3)
    both = [Frame(array, 10), Frame(array[::-1], 20)]
    data = libjxl.encoded(both, Wanted(0, 3), plays=0)
    picture = decoded(tmp_path, data)
    assert (picture.mode, kinds(picture)) == ("RGB", ["depth-reduced"])
    grey = [one._replace(array=one.array[..., :1]) for one in both]
    picture = decoded(tmp_path, libjxl.encoded(grey, Wanted(0, 3), plays=0))
    assert (picture.mode, kinds(picture)) == ("L", ["depth-reduced"])


def test_animation_cut_short_keeps_its_whole_frames(tmp_path: Path) -> None:
    data = animated()
    path = planted(tmp_path, data[: len(data) * 55 // 100], "moving.jxl")
    rules = Rules(every=lambda name, series: True)
    with pytest.raises(PictureError) as caught:
        list(decoded_pictures(str(path), lambda size: size, rules))
    assert caught.value.failure.kind == "truncated"
    rules = replace(rules, salvage=True)
    found = list(decoded_pictures(str(path), lambda size: size, rules))
    assert len(found) == 1
    assert kinds(found[0]) == ["truncated"]


# JPEGs held whole


def only(path: Path, out: Path, **words: Any) -> Result:
    """Run one file and return its result."""
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [path], output=out, jobs=1)
    assert result.failure is None, result.failure
    return result


SCENE: Final = pictures.scene(203, 101)
JPEGS: Final[dict[str, bytes]] = {
    "4:2:0": pictures.saved(SCENE, "JPEG", quality=80),
    "4:2:2": pictures.saved(SCENE, "JPEG", quality=80, subsampling=1),
    "4:4:4": pictures.saved(SCENE, "JPEG", quality=95, subsampling=0),
    "progressive": pictures.saved(SCENE, "JPEG", progressive=True),
    "optimised": pictures.saved(SCENE, "JPEG", optimize=True),
    "grey": pictures.saved(SCENE[..., 0], "JPEG", icc_profile=pictures.grey_profile()),
    "restart markers": pictures.saved(SCENE, "JPEG", restart_marker_rows=1),
    "profile": pictures.saved(SCENE, "JPEG", icc_profile=pictures.wide_gamut_profile()),
    "metadata": pictures.with_metadata(SCENE, "JPEG", dpi=(300, 300), **full()),
    "comment": pictures.saved(SCENE, "JPEG", comment=b"a remark"),
    "behind the end": pictures.saved(SCENE, "JPEG") + b"trailing bytes" * 9,
    "RGB": pictures.saved(SCENE, "JPEG", keep_rgb=True),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_is_held_whole_and_given_back(tmp_path: Path, kind: str) -> None:
    jpeg = JPEGS[kind]
    held = only(planted(tmp_path, jpeg), tmp_path / "jxl", format="jxl", lossless=True)
    path = Path(held.written[0].path)
    assert (held.written[0].copied, held.notices) == (False, ())
    assert held.written[0].bytes < len(jpeg)
    back = only(path, tmp_path / "jpeg", format="jpeg")
    assert Path(back.written[0].path).read_bytes() == jpeg
    # As a picture it is what the JPEG is.
    picture = decoded(tmp_path, path.read_bytes())
    off = np.asarray(picture.image).astype(int) - np.asarray(Image.open(BytesIO(jpeg)))
    assert np.abs(off).mean() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_on_its_side_is_held_whole_and_shown_upright(tmp_path: Path, orientation: int) -> None:
    block = pictures.exif_block(orientation=orientation, thumbnail=b"").block
    shown = pictures.quarters(*SIZE)
    jpeg = pictures.saved(
        pictures.stored(shown, orientation), "JPEG", exif=b"Exif\0\0" + block, quality=95
    )
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    lossless = imgbatch.Recipe.from_options(format="jxl", lossless=True)
    (result,) = imgbatch.run(lossless, [tmp_path / "photo.jpg"], output=tmp_path / "jxl", jobs=1)
    assert (result.written[0].width, result.written[0].height) == SIZE
    held = Path(result.written[0].path)
    assert imagecodecs.jpegxl_decode_jpeg(held.read_bytes(), numthreads=1) == jpeg
    # As a decoder that is not ours shows it.
    found = imagecodecs.jpegxl_decode(held.read_bytes())
    assert np.abs(found.astype(int) - shown).mean() < 3
    back = imgbatch.Recipe.from_options(format="jpeg")
    (result,) = imgbatch.run(back, [held], output=tmp_path / "back", jobs=1)
    assert Path(result.written[0].path).read_bytes() == jpeg


def test_resized_jpeg_is_a_plain_encode(tmp_path: Path) -> None:
    path = planted(tmp_path, JPEGS["4:2:0"])
    result = only(path, tmp_path / "out", format="jxl", lossless=True, sizes=["100"])
    data = Path(result.written[0].path).read_bytes()
    assert libjxl.reconstructed(data, 1_000_000) is None
    lossy = only(path, tmp_path / "lossy", format="jxl")
    assert libjxl.reconstructed(Path(lossy.written[0].path).read_bytes(), 1_000_000) is None


def test_jpeg_that_cannot_be_held_is_encoded(tmp_path: Path) -> None:
    inks = Image.fromarray(SCENE).convert("CMYK")
    path = planted(tmp_path, pictures.saved(inks, "JPEG"))
    result = only(path, tmp_path / "out", format="jxl", lossless=True)
    data = Path(result.written[0].path).read_bytes()
    assert libjxl.reconstructed(data, 1_000_000) is None
    assert decoded(tmp_path, data).mode == "RGB"


def test_jpeg_of_a_plain_jxl_is_encoded(tmp_path: Path) -> None:
    path = planted(tmp_path, jxl(pixels_in("RGB")), "a.jxl")
    result = only(path, tmp_path / "out", format="jpeg")
    with Image.open(result.written[0].path) as image:
        assert (image.format, image.size) == ("JPEG", SIZE)


def test_original_that_is_longer_than_allowed_is_left() -> None:
    data = libjxl.recompressed(JPEGS["4:4:4"], 3)
    assert data is not None
    assert libjxl.reconstructed(data, len(JPEGS["4:4:4"])) == JPEGS["4:4:4"]
    long = libjxl.recompressed(pictures.saved(pictures.scene(2000, 1500), "JPEG", quality=98), 1)
    assert long is not None
    assert libjxl.reconstructed(long, 1_000_000) is None


def test_camera_profile_of_a_held_jpeg_is_understood(tmp_path: Path) -> None:
    short: Any = (0xA001, 3, struct.pack("<H", 65_535))
    index: Any = pictures.exif_block(orientation=1, more=[short]).block.replace(b"R98\0", b"R03\0")
    jpeg = pictures.with_metadata(SCENE, "JPEG", exif=index)
    before = decoding.decoded(tmp_path, jpeg)
    data = libjxl.recompressed(jpeg, 3)
    assert data is not None
    assert before.icc is not None
    assert decoded(tmp_path, data).icc == before.icc


# Damage, and what is not installed


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_reported_as_such(tmp_path: Path, part: float, held: bool) -> None:
    data = libjxl.recompressed(JPEGS["4:2:0"], 3) if held else jxl(pixels_in("RGB"), 1.0)
    assert data is not None
    cut = data[: max(12, int(len(data) * part))]
    assert failure(tmp_path, cut).failure.kind == "truncated"


def test_salvage_gives_what_was_decoded(tmp_path: Path) -> None:
    array = pictures.scene(1200, 900)
    data = jxl(array, 1.0)
    picture = decoded(tmp_path, data[: len(data) * 9 // 10], salvage=True)
    assert kinds(picture) == ["truncated"]
    off = np.abs(np.asarray(picture.image).astype(int) - array).mean(axis=(1, 2))
    assert off[:200].mean() < 3


def test_damage_raises_nothing_but_picture_error(tmp_path: Path) -> None:
    whole = libjxl.recompressed(pictures.with_metadata(SCENE, "JPEG", **full()), 3)
    assert whole is not None
    rng = np.random.default_rng(2)
    failures = set()
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(0, 256)
        try:
            decoded(tmp_path, bytes(data), max_pixels=10_000_000)
        except PictureError as error:
            failures.add(error.failure.kind)
    assert "broken" in failures


def test_picture_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    error = failure(tmp_path, jxl(pixels_in("RGB")), max_pixels=SIZE[0] * SIZE[1] - 1)
    assert error.failure.kind == "too-large"


def test_size_is_checked_before_anything_is_decoded(tmp_path: Path) -> None:
    # SizeHeader (ISO 18181-1, D.2): not small, 30 bits for each side.
    bits = "0" + "11" + f"{2**29:030b}"[::-1] + "000" + "11" + f"{2**29:030b}"[::-1] + "1"
    bits += "0" * (-len(bits) % 8)
    header = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    error = failure(tmp_path, NAKED + header + bytes(100))
    assert error.failure.kind in ("too-large", "broken")


def test_without_the_extra_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jxl(pixels_in("RGB"))
    monkeypatch.setattr(formats, "installed", lambda extra: False)
    with pytest.raises(PictureError, match=r"imgbatch\[jxl\]") as caught:
        decoded(tmp_path, data)
    assert caught.value.failure.kind == "no-codec"
    with pytest.raises(PictureError, match=r"imgbatch\[jxl\]"):
        encode(picture_of(pixels_in("RGB")), Encoding("jxl"))


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Any:
    libjxl_api.library.cache_clear()
    monkeypatch.setattr(libjxl_api, "_candidates", lambda: iter(["/nowhere/libjxl.so"]))
    yield
    libjxl_api.library.cache_clear()


def test_missing_library_is_reported(tmp_path: Path, no_library: None) -> None:
    with pytest.raises(PictureError, match="libjxl") as caught:
        decoded(tmp_path, HEAD + bytes(40))
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("open", "no-codec")
    assert not formats.encodes(formats.BY_NAME["jxl"])
    with pytest.raises(PictureError, match="no encoder") as caught:
        encode(picture_of(pixels_in("RGB")), Encoding("jxl"))
    assert caught.value.failure.kind == "no-codec"


def test_old_library_is_not_used(monkeypatch: pytest.MonkeyPatch, no_library: None) -> None:
    monkeypatch.setattr(libjxl_api, "_OLDEST", 10**9)
    monkeypatch.undo()
    libjxl_api.library.cache_clear()
    monkeypatch.setattr(libjxl_api, "_OLDEST", 10**9)
    with pytest.raises(ImportError, match="is version 0"):
        libjxl_api.library()


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("BasicInfo", 204),
        ("ColorEncoding", 104),
        ("FrameHeader", 56),
        ("ExtraChannelInfo", 44),
        ("PixelFormat", 24),
    ],
)
def test_structures_have_the_size_of_the_headers(kind: str, size: int) -> None:
    """As a C compiler reports it for the headers of 0.11, on machines with 64 bits."""
    assert ctypes.sizeof(getattr(libjxl_api, kind)) == size


def test_encoder_says_what_fails() -> None:
    with pytest.raises(PictureError, match="JPEG XL encoder") as caught:
        encode(picture_of(pixels_in("RGB"), icc=b"no profile"), Encoding("jxl"))
    assert caught.value.failure.kind == "encoder"
